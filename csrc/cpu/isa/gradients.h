// The last backward pass: gradients of the prediction vectors, and from them those of u and W.
#pragma once

#include "lanes.h"

namespace fastcaps::FASTCAPS_ISA {

// grad [count][columns][L] = base [columns][L] + sum over terms of coefficient_m [count][L] *
// vector_m [columns][L], for one output capsule and lanes that are samples.
// Coefficients of neighbouring capsules lie L apart; base may be null. `onto` adds to grad instead.
template <class T, int NV, int TERMS>
void combine_terms(
    const T* base, bool onto, const T* const* coefficients, const T* const* vectors, int64_t count,
    int64_t dim, int64_t grad_stride, T* grad) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  constexpr int kTogether = 4;
  const auto capsules = [&](auto capsules_at_once, int64_t i) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(capsules_at_once)::value;
    for (int v = 0; v < NV; v++) {
      Vec<T> c[N][TERMS > 0 ? TERMS : 1];
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        FASTCAPS_UNROLL for (int m = 0; m < TERMS; m++) {
          c[n][m] = load(coefficients[m] + (i + n) * lanes + v * width);
        }
      }
      for (int64_t d = 0; d < dim; d++) {
        const int64_t at = d * lanes + v * width;
        const Vec<T> first = base ? load(base + at) : Vec<T>{};
        Vec<T> total[N];
        FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
          total[n] = onto ? load(grad + (i + n) * grad_stride + at) : first;
        }
        FASTCAPS_UNROLL for (int m = 0; m < TERMS; m++) {
          const Vec<T> x = load(vectors[m] + at);
          FASTCAPS_UNROLL for (int n = 0; n < N; n++) total[n] += c[n][m] * x;
        }
        FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
          store(grad + (i + n) * grad_stride + at, total[n]);
        }
      }
    }
  };
  int64_t i = 0;
  for (; i + kTogether <= count; i += kTogether) capsules(Constant<kTogether>(), i);
  for (; i < count; i++) capsules(Constant<1>(), i);
}

// grad_u [in_dim][L] += sum over columns of weight[k][column] * grad [columns][L].
template <class T, int NV>
void accumulate_grad_u(
    const T* grad, const T* weight, int64_t row_stride, int64_t in_dim, int64_t columns,
    T* grad_u) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  const auto rows = [&](auto rows_at_once, int64_t k) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(rows_at_once)::value;
    Vec<T> total[N][NV];
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        total[n][v] = load(grad_u + (k + n) * lanes + v * width);
      }
    }
    const T* column = weight + k * row_stride;
    for (int64_t c = 0; c < columns; c++, column++) {
      Vec<T> g[NV];
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) g[v] = load(grad + c * lanes + v * width);
      const T* w = column;
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) total[n][v] += g[v] * broadcast(*w);
        w += row_stride;
        asm("" : "+r"(w));
      }
    }
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
        store(grad_u + (k + n) * lanes + v * width, total[n][v]);
      }
    }
  };
  int64_t k = 0;
  for (; k + 8 <= in_dim; k += 8) rows(Constant<8>(), k);
  for (; k + 4 <= in_dim; k += 4) rows(Constant<4>(), k);
  for (; k < in_dim; k++) rows(Constant<1>(), k);
}

// grad_weight [in_dim][columns] += sum over samples of u[k][sample] * grad_rows[sample][columns].
// Lanes of the registers are columns here; rows are padded to whole vectors.
template <class T, int NV>
void accumulate_grad_weight(
    const T* u, const T* grad_rows, int64_t grad_stride, int64_t samples, int64_t in_dim,
    int64_t columns, int64_t row_stride, T* grad_weight) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  const auto square = [&](auto rows_at_once, auto vectors_at_once, int64_t k,
                          int64_t c) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(rows_at_once)::value, M = decltype(vectors_at_once)::value;
    Vec<T> total[N][M];
    T* target = grad_weight + k * row_stride + c;
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int m = 0; m < M; m++) {
        total[n][m] = load(target + n * row_stride + m * width);
      }
    }
    for (int64_t b = 0; b < samples; b++) {
      Vec<T> g[M];
      FASTCAPS_UNROLL for (int m = 0; m < M; m++) {
        g[m] = load(grad_rows + b * grad_stride + c + m * width);
      }
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        const Vec<T> u_kb = broadcast(u[(k + n) * lanes + b]);
        FASTCAPS_UNROLL for (int m = 0; m < M; m++) total[n][m] += g[m] * u_kb;
      }
    }
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int m = 0; m < M; m++) {
        store(target + n * row_stride + m * width, total[n][m]);
      }
    }
  };
  const auto rows = [&](auto rows_at_once, int64_t k) FASTCAPS_LAMBDA_INLINE {
    int64_t c = 0;
    for (; c + 2 * width <= columns; c += 2 * width) square(rows_at_once, Constant<2>(), k, c);
    for (; c < columns; c += width) square(rows_at_once, Constant<1>(), k, c);
  };
  int64_t k = 0;
  for (; k + 8 <= in_dim; k += 8) rows(Constant<8>(), k);
  for (; k + 4 <= in_dim; k += 4) rows(Constant<4>(), k);
  for (; k < in_dim; k++) rows(Constant<1>(), k);
}

// out [samples][columns] = u [samples][in_dim] weight [in_dim][columns], for any few samples.
template <class T, class S>
void predict_rows(
    const T* u, int64_t u_stride, const T* weight, int64_t samples, int64_t in_dim, int64_t columns,
    S* out, int64_t out_stride) {
  constexpr int width = kWidth<T>;
  const auto square = [&](auto samples_at_once, auto vectors_at_once, int64_t b,
                          int64_t c) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(samples_at_once)::value, M = decltype(vectors_at_once)::value;
    Vec<T> total[N][M] = {};
    const T* row = weight + c;
    for (int64_t k = 0; k < in_dim; k++, row += columns) {
      Vec<T> w[M];
      FASTCAPS_UNROLL for (int m = 0; m < M; m++) w[m] = load(row + m * width);
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        const Vec<T> u_k = broadcast(u[(b + n) * u_stride + k]);
        FASTCAPS_UNROLL for (int m = 0; m < M; m++) total[n][m] += u_k * w[m];
      }
    }
    FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
      FASTCAPS_UNROLL for (int m = 0; m < M; m++) {
        narrow(out + (b + n) * out_stride + c + m * width, total[n][m]);
      }
    }
  };
  const auto rows = [&](auto samples_at_once, int64_t b) FASTCAPS_LAMBDA_INLINE {
    constexpr int N = decltype(samples_at_once)::value;
    int64_t c = 0;
    for (; c + 4 * width <= columns; c += 4 * width) square(samples_at_once, Constant<4>(), b, c);
    for (; c + width <= columns; c += width) square(samples_at_once, Constant<1>(), b, c);
    if (c < columns && columns >= width) {  // the last vector overlaps the one before
      square(samples_at_once, Constant<1>(), b, columns - width);
      return;
    }
    for (; c < columns; c++) {
      for (int n = 0; n < N; n++) {
        T total = 0;
        for (int64_t k = 0; k < in_dim; k++) {
          total += u[(b + n) * u_stride + k] * weight[k * columns + c];
        }
        narrow_one(out + (b + n) * out_stride + c, total);
      }
    }
  };
  int64_t b = 0;
  for (; b + 4 <= samples; b += 4) rows(Constant<4>(), b);
  for (; b < samples; b++) rows(Constant<1>(), b);
}

}  // namespace fastcaps::FASTCAPS_ISA
