// The fused layer on tensor cores as the CUDA operators launch it: which sizes there are kernels
// for, and how the input capsules are cut into slices.
#pragma once

#include <algorithm>
#include <type_traits>

#include "launch.cuh"
#include "layer_calls.h"
#include "weighted_sums.cuh"

namespace fastcaps::cuda {

constexpr int kFusedK = 8;
constexpr int64_t kFusedOutputs = 12;
// Input capsules of a slice, at most: what tensor cores truncate grows with them.
constexpr int64_t kLongestSlice = 48;

// Shared memory that a block may take.
template <class S, int D>
constexpr int64_t kFusedSharedBytes =
    (sizeof(S) == 2 ? (D == 16 ? 99 : 169) : (D == 16 ? 129 : 222)) * 1024;

// Calls f(zero, d, exact) with a number of the type that tensors like this are stored as, and with
// constants: D, and whether products are to be exact to float32. Half types always get these.
template <class F>
void with_fused_layer(const Tensor& like, int64_t dim, bool allow_tf32, const F& f) {
  const auto with_precision = [&](auto zero, auto d) {
    if constexpr (!kFitsTF32<decltype(zero)>) {
      if (allow_tf32) return f(zero, d, std::false_type());
    }
    f(zero, d, std::true_type());
  };
  const auto with_dim = [&](auto zero) {
    if (dim == 16) return with_precision(zero, Constant<16>());
    with_precision(zero, Constant<32>());
  };
  switch (storage_of(like)) {
    case Storage::kFloat16:
      return with_dim(Half());
    case Storage::kBFloat16:
      return with_dim(BFloat16());
    default:
      return with_dim(float());
  }
}

// Whether there are kernels on tensor cores for this layer, and its GPU has the memory for them.
inline bool fits_tensor_cores(const Tensor& u, const Sizes& size) {
  if (storage_of(u) == Storage::kFloat64 || size.in_dim != kFusedK ||
      (size.dim != 16 && size.dim != 32) || size.outputs > kFusedOutputs ||
      size.inputs >= (int64_t{1} << 31)) {
    return false;
  }
  bool fits = false;
  with_fused_layer(u, size.dim, false, [&](auto zero, auto d, auto) {
    fits = shared_memory_of(u) >= kFusedSharedBytes<decltype(zero), decltype(d)::value>;
  });
  return fits;
}

// The tensor, contiguous and with 16 byte aligned numbers.
inline Tensor aligned(const Tensor& any) {
  const Tensor tensor = torch::stable::contiguous(any);
  return is_aligned(tensor) ? tensor : torch::stable::clone(tensor);
}
inline std::optional<Tensor> aligned(const std::optional<Tensor>& any) {
  return any ? std::optional<Tensor>(aligned(*any)) : std::nullopt;
}

// Input capsules of a slice, such that blocks of so many samples fill every multiprocessor once.
inline int slice_of(const Tensor& u, const Sizes& size, int64_t samples) {
  const int64_t tiles = divide_up(size.batch, samples);
  const int64_t slices = std::max<int64_t>(1, processors_of(u) / tiles);
  const int64_t length = divide_up(divide_up(size.inputs, kPassInputs), slices) * kPassInputs;
  // The second number of a grid has 16 bits.
  const int64_t least = divide_up(divide_up(size.inputs, 65535), kPassInputs) * kPassInputs;
  return static_cast<int>(std::max(least, std::min(length, kLongestSlice)));
}

}  // namespace fastcaps::cuda
