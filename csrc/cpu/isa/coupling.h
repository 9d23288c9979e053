// From routing logits to coupling coefficients and their gradients, and the weighted sums.
// Arrays of logits, coefficients and dots are [J][block][L], of which `count` capsules are used.
#pragma once

#include "lanes.h"

namespace fastcaps::FASTCAPS_ISA {

template <class T, int NV>
void softmax_over_outputs(T* logits, int64_t count, int64_t block, int64_t outputs) {
  constexpr int width = kWidth<T>;
  const int64_t stride = block * NV * width;
  for (int64_t n = 0; n < count * NV; n++) {
    T* l = logits + n * width;
    Vec<T> largest = load(l);
    for (int64_t j = 1; j < outputs; j++) largest = maximum(load(l + j * stride), largest);
    Vec<T> total{};
    for (int64_t j = 0; j < outputs; j++) {
      const Vec<T> e = exp_nonpositive(load(l + j * stride) - largest);
      total += e;
      store(l + j * stride, e);
    }
    const Vec<T> scale = 1 / total;
    for (int64_t j = 0; j < outputs; j++) store(l + j * stride, load(l + j * stride) * scale);
  }
}

// A logit that stands for no capsule.
template <class T>
inline constexpr T kLowest = sizeof(T) == 4 ? T(-3e38) : T(-1e308);

// Softmax over inputs of one output capsule, online. On return `logits` [count][L] hold
// exp(l - largest), the total and the sums [D][L] are scaled to the new largest, and the total
// includes this block. Lanes from `valid` on stand for no capsule.
template <class T, int NV>
void online_softmax_over_inputs(
    T* logits, int64_t count, int64_t dim, int64_t valid, T* largest, T* total, T* sums) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int v = 0; v < NV; v++) {
    T* l = logits + v * width;
    if (valid < (v + 1) * width) {
      for (int64_t i = 0; i < count; i++) {
        for (int lane = 0; lane < width; lane++) {
          if (v * width + lane >= valid) l[i * lanes + lane] = kLowest<T>;
        }
      }
    }
    const Vec<T> before = load(largest + v * width);
    Vec<T> after = before;
    for (int64_t i = 0; i < count; i++) after = maximum(load(l + i * lanes), after);
    const Vec<T> scale = exp_nonpositive(before - after);
    bool moved = false;
    for (int lane = 0; lane < width; lane++) moved |= !(before[lane] == after[lane]);
    Vec<T> z = load(total + v * width) * scale;
    for (int64_t i = 0; i < count; i++) {
      const Vec<T> x = load(l + i * lanes);
      const Vec<T> e = x == kLowest<T> ? Vec<T>{} : exp_nonpositive(x - after);
      z += e;
      store(l + i * lanes, e);
    }
    store(total + v * width, z);
    store(largest + v * width, after);
    if (!moved) continue;
    for (int64_t d = 0; d < dim; d++) {
      T* s = sums + d * lanes + v * width;
      store(s, load(s) * scale);
    }
  }
}

// Softmax over inputs where its log-sum-exp [J][2][L] is known, as a sum of two numbers: the
// largest logit, from which the others are subtracted exactly, and the rest.
template <class T, int NV>
void softmax_over_inputs(
    T* logits, int64_t count, int64_t block, int64_t outputs, const T* log_sum_exp) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = 0; j < outputs; j++) {
    for (int v = 0; v < NV; v++) {
      const Vec<T> largest = load(log_sum_exp + 2 * j * lanes + v * width);
      const Vec<T> rest = load(log_sum_exp + (2 * j + 1) * lanes + v * width);
      for (int64_t i = 0; i < count; i++) {
        T* l = logits + (j * block + i) * lanes + v * width;
        // Rounding may leave l a little above its log-sum-exp.
        const Vec<T> x = (load(l) - largest) - rest;
        store(l, exp_nonpositive(x > 0 ? Vec<T>{} : x));
      }
    }
  }
}

// Gradients of the logits, in place of a = u_hat . ds:  dl = c (a - sum_m c_m a_m).
template <class T, int NV>
void logit_gradients_over_outputs(
    const T* coefficients, T* a, int64_t count, int64_t block, int64_t outputs) {
  constexpr int width = kWidth<T>;
  const int64_t stride = block * NV * width;
  for (int64_t n = 0; n < count * NV; n++) {
    const T* c = coefficients + n * width;
    T* a_n = a + n * width;
    Vec<T> mean{};
    for (int64_t j = 0; j < outputs; j++) mean += load(c + j * stride) * load(a_n + j * stride);
    for (int64_t j = 0; j < outputs; j++) {
      store(a_n + j * stride, load(c + j * stride) * (load(a_n + j * stride) - mean));
    }
  }
}

// The same over inputs, where a is centered already:  dl = c a.
template <class T, int NV>
void logit_gradients_over_inputs(
    const T* coefficients, T* a, int64_t count, int64_t block, int64_t outputs) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = 0; j < outputs; j++) {
    for (int64_t n = j * block * lanes; n < (j * block + count) * lanes; n += width) {
      store(a + n, load(coefficients + n) * load(a + n));
    }
  }
}

// sums [J * D][L] += sum over the block of coefficient * u_hat, u_hat [J][block][D][L].
template <class T, int NV>
void weighted_sum(
    const T* tile, const T* coefficients, int64_t count, int64_t block, int64_t outputs,
    int64_t dim, T* sums) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  constexpr int DB = NV == 1 ? 16 : 8;
  for (int64_t j = 0; j < outputs; j++) {
    const auto columns = [&](auto columns_at_once, int64_t d) FASTCAPS_LAMBDA_INLINE {
      constexpr int N = decltype(columns_at_once)::value;
      T* s = sums + (j * dim + d) * lanes;
      Vec<T> total[N][NV];
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
          total[n][v] = load(s + n * lanes + v * width);
        }
      }
      for (int64_t i = 0; i < count; i++) {
        const T* u_hat = tile + ((j * block + i) * dim + d) * lanes;
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
          const Vec<T> c = load(coefficients + (j * block + i) * lanes + v * width);
          FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
            total[n][v] += c * load(u_hat + n * lanes + v * width);
          }
        }
      }
      FASTCAPS_UNROLL for (int n = 0; n < N; n++) {
        FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
          store(s + n * lanes + v * width, total[n][v]);
        }
      }
    };
    int64_t d = 0;
    for (; d + DB <= dim; d += DB) columns(Constant<DB>(), d);
    for (; d < dim; d++) columns(Constant<1>(), d);
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
