// The table of this instruction set's kernels.
#pragma once

#include "combine.h"
#include "dynamic_routing.h"
#include "prediction_vectors.h"
#include "routed_capsules.h"
#include "squash_lanes.h"

namespace fastcaps::FASTCAPS_ISA {

template <class T, int NV>
constexpr Kernels<T> make_kernels() {
  return {
      NV * kWidth<T>,
      nullptr,
      widen_storage<T>,
      narrow_storage<T>,
      to_lanes_storage<T, NV>,
      from_lanes_storage<T, NV>,
      squash_lanes<T, NV>,
      squash_gradient_lanes<T, NV>,
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

#define FASTCAPS_DEFINE_TABLES(NARROW, WIDE)                                       \
  namespace fastcaps::FASTCAPS_ISA {                                               \
  extern constexpr Kernels<float> kFloatNarrow = make_kernels<float, NARROW>();    \
  extern constexpr Kernels<float> kFloatWide = make_kernels<float, WIDE>();        \
  extern constexpr Kernels<double> kDoubleNarrow = make_kernels<double, NARROW>(); \
  extern constexpr Kernels<double> kDoubleWide = make_kernels<double, WIDE>();     \
  }
