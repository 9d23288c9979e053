// Prediction vectors on chip and their agreement with output capsules.
//
// A block is a few input capsules. Its prediction vectors form a tile
// u_hat [J][count][D][L]; dot products with [J][D] vectors form dots [J][count][L].
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace fastcaps::FASTCAPS_ISA {

// Weights of the block after this one, fetched while this one is computed. Every tile of a batch
// fetches its share, in order of address, a few cache lines at a time.
struct Prefetch {
  const char* start;
  int64_t lines;

  // The share of one of `steps` equal steps.
  FASTCAPS_INLINE void fetch(int64_t step, int64_t steps) const {
    const int64_t first = step * lines / steps, last = (step + 1) * lines / steps;
    for (int64_t n = first; n < last; n++) __builtin_prefetch(start + n * 64, 0, 2);
  }
};

// u_hat[d] = sum_k u[k] weight[k][d] for DB neighbouring d. K > 0: u is held in registers.
template <class T, int NV, int K, int DB>
FASTCAPS_INLINE void predict(
    const Vec<T> (&u_registers)[K > 0 ? K : 1][NV], const T* u, const T* weight, int64_t in_dim,
    int64_t row_stride, Vec<T> (&u_hat)[DB][NV]) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  FASTCAPS_UNROLL for (int d = 0; d < DB; d++) {
    FASTCAPS_UNROLL for (int v = 0; v < NV; v++) u_hat[d][v] = Vec<T>{};
  }
  const T* row = weight;
  if constexpr (K > 0) {
    FASTCAPS_UNROLL for (int k = 0; k < K; k++) {
      FASTCAPS_UNROLL for (int d = 0; d < DB; d++) {
        const Vec<T> w = broadcast(row[d]);
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
          u_hat[d][v] = k == 0 ? u_registers[k][v] * w : u_hat[d][v] + u_registers[k][v] * w;
        }
      }
      row += row_stride;
      asm("" : "+r"(row));  // one running pointer instead of K, which would spill
    }
  } else {
    for (int64_t k = 0; k < in_dim; k++, row += row_stride) {
      Vec<T> u_k[NV];
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) u_k[v] = load(u + k * lanes + v * width);
      FASTCAPS_UNROLL for (int d = 0; d < DB; d++) {
        const Vec<T> w = broadcast(row[d]);
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) u_hat[d][v] += u_k[v] * w;
      }
    }
  }
}

// Lanes are samples: predicts a block for output capsules [first, last) and takes its dots with
// DOTS arrays vectors [J][D][L]. KEEP leaves the prediction vectors in the tile, which starts at
// the first output capsule. CENTERED takes the second dot of u_hat minus a third array, the mean
// of u_hat: their difference is then exact where one coefficient is 1.
template <class T, int NV, int K, int DOTS, bool KEEP, bool CENTERED>
void predict_block(
    const T* u, const T* weight, int64_t count, int64_t block, int64_t in_dim, int64_t outputs,
    int64_t dim, int64_t first, int64_t last, const T* const* vectors, Prefetch prefetch, T* tile,
    T* const* dots) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  constexpr int DB = NV == 1 ? 8 : 4;
  const int64_t row_stride = outputs * dim;
  for (int64_t j = first; j < last; j++) {
    constexpr int kVectors = DOTS + (CENTERED ? 1 : 0);
    const T* vectors_j[kVectors];
    FASTCAPS_UNROLL for (int n = 0; n < kVectors; n++) vectors_j[n] = vectors[n] + j * dim * lanes;
    for (int64_t i = 0; i < count; i++) {
      const T* u_i = u + i * in_dim * lanes;
      const T* w = weight + i * in_dim * row_stride + j * dim;
      T* u_hat = tile + ((j - first) * block + i) * dim * lanes;
      Vec<T> u_registers[K > 0 ? K : 1][NV];
      if constexpr (K > 0) {
        FASTCAPS_UNROLL for (int k = 0; k < K; k++) {
          FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
            u_registers[k][v] = load(u_i + k * lanes + v * width);
          }
        }
      }
      prefetch.fetch(j * count + i, outputs * count);
      Vec<T> sums[DOTS][NV];
      FASTCAPS_UNROLL for (int n = 0; n < DOTS; n++) {
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) sums[n][v] = Vec<T>{};
      }
      const auto columns = [&](auto columns_at_once, int64_t d) FASTCAPS_LAMBDA_INLINE {
        constexpr int N = decltype(columns_at_once)::value;
        Vec<T> predicted[N][NV];
        predict<T, NV, K, N>(u_registers, u_i, w + d, in_dim, row_stride, predicted);
        FASTCAPS_UNROLL for (int c = 0; c < N; c++) {
          FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
            const int64_t at = (d + c) * lanes + v * width;
            FASTCAPS_UNROLL for (int n = 0; n < DOTS; n++) {
              const bool center = CENTERED && n == 1;
              const Vec<T> x =
                  center ? predicted[c][v] - load(vectors_j[kVectors - 1] + at) : predicted[c][v];
              sums[n][v] += x * load(vectors_j[n] + at);
            }
            if constexpr (KEEP) store(u_hat + at, predicted[c][v]);
          }
        }
      };
      int64_t d = 0;
      for (; d + DB <= dim; d += DB) columns(Constant<DB>(), d);
      for (; d < dim; d++) columns(Constant<1>(), d);
      FASTCAPS_UNROLL for (int n = 0; n < DOTS; n++) {
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
          store(dots[n] + (j * block + i) * lanes + v * width, sums[n][v]);
        }
      }
    }
  }
}

// Lanes are input capsules of one sample: dots of a given tile [J][D][L] with vectors [J][D].
template <class T, int NV, int DOTS, bool CENTERED>
void agree(const T* tile, int64_t outputs, int64_t dim, const T* const* vectors, T* const* dots) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = 0; j < outputs; j++) {
    Vec<T> sums[DOTS][NV] = {};
    for (int64_t d = 0; d < dim; d++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        const Vec<T> u_hat = load(tile + (j * dim + d) * lanes + v * width);
        FASTCAPS_UNROLL for (int n = 0; n < DOTS; n++) {
          const bool center = CENTERED && n == 1;
          const Vec<T> x = center ? u_hat - vectors[DOTS][j * dim + d] : u_hat;
          sums[n][v] += x * vectors[n][j * dim + d];
        }
      }
    }
    FASTCAPS_UNROLL for (int n = 0; n < DOTS; n++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        store(dots[n] + j * lanes + v * width, sums[n][v]);
      }
    }
  }
}

// Lanes are samples: sums [J * D][L] += u_i W_i summed over the block, all coefficients 1.
template <class T, int NV>
void predict_sum(
    const T* u, const T* weight, int64_t rows, int64_t columns, Prefetch prefetch, T* sums) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  constexpr int DB = NV == 1 ? 16 : 8;
  const auto strip = [&](auto columns_at_once, int64_t c) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(columns_at_once)::value;
    Vec<T> total[N][NV];
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        total[n][v] = load(sums + (c + n) * lanes + v * width);
      }
    }
    const T* row = weight + c;
    for (int64_t k = 0; k < rows; k++, row += columns) {
      Vec<T> u_k[NV];
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) u_k[v] = load(u + k * lanes + v * width);
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        const Vec<T> w = broadcast(row[n]);
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) total[n][v] += u_k[v] * w;
      }
    }
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        store(sums + (c + n) * lanes + v * width, total[n][v]);
      }
    }
  };
  int64_t c = 0;
  for (; c + DB <= columns; c += DB) {
    prefetch.fetch(c / DB, divide_up(columns, DB));
    strip(Constant<DB>(), c);
  }
  for (; c < columns; c++) strip(Constant<1>(), c);
}

}  // namespace fastcaps::FASTCAPS_ISA
