// Partial results of slices, combined in fixed order.
#pragma once

#include "coupling.h"

namespace fastcaps::FASTCAPS_ISA {

// target [count] = sum over slices of partial, slice_stride apart; count is a multiple of L.
template <class T>
void combine_sums(
    const T* partial, int64_t slices, int64_t slice_stride, int64_t count, T* target) {
  constexpr int width = kWidth<T>;
  for (int64_t n = 0; n < count; n += width) {
    Vec<T> total = load(partial + n);
    for (int64_t s = 1; s < slices; s++) total += load(partial + s * slice_stride + n);
    store(target + n, total);
  }
}

// One output capsule of an online softmax: brings the slices to one largest logit, sums
// [D][L] and totals [L], and divides. Also gives the log-sum-exp [2][L], as softmax_over_inputs
// wants it.
template <class T, int NV>
void combine_online(
    const T* partial, const T* largest, const T* total, int64_t slices, int64_t slice_stride,
    int64_t head_stride, int64_t dim, T* target, T* log_sum_exp) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int v = 0; v < NV; v++) {
    const int64_t at = v * width;
    Vec<T> overall = load(largest + at);
    for (int64_t s = 1; s < slices; s++) {
      overall = maximum(load(largest + s * head_stride + at), overall);
    }
    Vec<T> z{};
    for (int64_t d = 0; d < dim; d++) store(target + d * lanes + at, Vec<T>{});
    for (int64_t s = 0; s < slices; s++) {
      const Vec<T> scale = exp_nonpositive(load(largest + s * head_stride + at) - overall);
      z += scale * load(total + s * head_stride + at);
      for (int64_t d = 0; d < dim; d++) {
        T* t = target + d * lanes + at;
        store(t, load(t) + scale * load(partial + s * slice_stride + d * lanes + at));
      }
    }
    for (int64_t d = 0; d < dim; d++) {
      T* t = target + d * lanes + at;
      store(t, load(t) / z);
    }
    for (int lane = 0; lane < width; lane++) {
      log_sum_exp[at + lane] = overall[lane];
      log_sum_exp[lanes + at + lane] = (T)__builtin_log((double)z[lane]);
    }
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
