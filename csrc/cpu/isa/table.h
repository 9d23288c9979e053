// The table of this instruction set's kernels.
#pragma once

#include "combine.h"
#include "dynamic_routing.h"
#include "prediction_vectors.h"
#include "routed_capsules.h"
#include "squash_lanes.h"

namespace fastcaps::FASTCAPS_ISA {

template <class T, int NV>
void squash_tile(const T* s, int64_t count, int64_t dim, T* v) {
  const int64_t size = dim * NV * kWidth<T>;
  for (int64_t n = 0; n < count; n++) squash_lanes<T, NV>(s + n * size, dim, v + n * size);
}

template <class T, int NV>
void squash_gradient_tile(const T* s, const T* grad_v, int64_t count, int64_t dim, T* grad_s) {
  const int64_t size = dim * NV * kWidth<T>;
  for (int64_t n = 0; n < count; n++) {
    squash_gradient_lanes<T, NV>(s + n * size, grad_v + n * size, dim, grad_s + n * size);
  }
}

template <class T, int NV>
constexpr Kernels<T> make_kernels() {
  return {
      NV * kWidth<T>,
      widen_storage<T>,
      narrow_storage<T>,
      to_lanes_storage<T, NV>,
      from_lanes_storage<T, NV>,
      squash_tile<T, NV>,
      squash_gradient_tile<T, NV>,
      combine_sums<T>,
      combine_online<T, NV>,
      predict_capsule<T>,
      predict_gradient_scratch<T, NV>,
      predict_gradient<T, NV>,
      fused_scratch<T, NV>,
      fused_pack<T, NV>,
      fused_uniform<T, NV>,
      fused_forward<T, NV>,
      fused_coefficients<T, NV>,
      fused_backward<T, NV>,
      fused_gradients<T, NV>,
      stored_scratch<T, NV>,
      stored_forward<T, NV>,
      stored_coefficients<T, NV>,
      stored_backward<T, NV>,
      stored_gradients<T, NV>,
  };
}

extern const Kernels<float> kFloatNarrow, kFloatWide;
extern const Kernels<double> kDoubleNarrow, kDoubleWide;

}  // namespace fastcaps::FASTCAPS_ISA

#define FASTCAPS_DEFINE_TABLES(NARROW, WIDE)                            \
  namespace fastcaps::FASTCAPS_ISA {                                    \
  const Kernels<float> kFloatNarrow = make_kernels<float, NARROW>();    \
  const Kernels<float> kFloatWide = make_kernels<float, WIDE>();        \
  const Kernels<double> kDoubleNarrow = make_kernels<double, NARROW>(); \
  const Kernels<double> kDoubleWide = make_kernels<double, WIDE>();     \
  }
