// The fused layer as the CUDA operators launch it: which sizes there are kernels for, and how the
// input capsules are cut into slices.
#pragma once

#include <algorithm>

#include "launch.cuh"
#include "weighted_sums.cuh"

namespace fastcaps::cuda {

constexpr int kFusedK = 8;
constexpr int64_t kFusedOutputs = 12;
// Input capsules of a slice, at most: what tensor cores truncate grows with them.
constexpr int64_t kLongestSlice = 48;

// Shared memory that a block may take, which fastcaps/backends.py asks of a GPU.
template <class S, int D>
constexpr int64_t kFusedSharedBytes =
    (sizeof(S) == 2 ? (D == 16 ? 99 : 169) : (D == 16 ? 129 : 222)) * 1024;

inline void check_fused(const Tensor& u, const Sizes& size) {
  STD_TORCH_CHECK(
      storage_of(u) != Storage::kFloat64,
      "fastcaps: the fused CUDA kernels expect float32, float16 or bfloat16");
  STD_TORCH_CHECK(
      size.in_dim == kFusedK && (size.dim == 16 || size.dim == 32) &&
          size.outputs <= kFusedOutputs && size.inputs < (int64_t{1} << 31),
      "fastcaps: the fused CUDA kernels expect D_in = 8, D_out = 16 or 32 and N_out <= 12, got ",
      size.in_dim, ", ", size.dim, " and ", size.outputs);
}

// Calls f(zero, d) with a number of the type that tensors like this are stored as, and D as a
// constant.
template <class F>
void with_fused_layer(const Tensor& like, int64_t dim, const F& f) {
  const auto with_dim = [&](auto zero) {
    if (dim == 16) return f(zero, Constant<16>());
    f(zero, Constant<32>());
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

// The tensor, contiguous and with 16 byte aligned numbers.
inline Tensor aligned(const Tensor& any) {
  const Tensor tensor = torch::stable::contiguous(any);
  return is_aligned(tensor) ? tensor : torch::stable::clone(tensor);
}
inline std::optional<Tensor> aligned(const std::optional<Tensor>& any) {
  return any ? std::optional<Tensor>(aligned(*any)) : std::nullopt;
}

template <class S>
const S* numbers(const Tensor& tensor) {
  return static_cast<const S*>(tensor.const_data_ptr());
}
template <class S>
const S* numbers(const std::optional<Tensor>& tensor) {
  return tensor ? numbers<S>(*tensor) : nullptr;
}

// Input capsules of a slice, such that blocks of so many samples fill every multiprocessor once.
inline int slice_of(const Sizes& size, int64_t samples) {
  int device = 0, processors = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  const int64_t tiles = divide_up(size.batch, samples);
  const int64_t slices = std::max<int64_t>(1, processors / tiles);
  const int64_t length = divide_up(divide_up(size.inputs, kPassInputs), slices) * kPassInputs;
  // The second number of a grid has 16 bits.
  const int64_t least = divide_up(divide_up(size.inputs, 65535), kPassInputs) * kPassInputs;
  return static_cast<int>(std::max(least, std::min(length, kLongestSlice)));
}

// Launches on the current stream of a tensor's GPU, which is current.
template <class Problem>
void launch(
    const char* name, void (*kernel)(Problem), int64_t x, int64_t y, int threads, int64_t bytes,
    const Problem& problem, const Tensor& of) {
  constexpr int64_t kGrantedUnasked = 48 * 1024;
  if (bytes > kGrantedUnasked) {
    cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  }
  const dim3 blocks(static_cast<unsigned>(x), static_cast<unsigned>(y));
  kernel<<<blocks, threads, bytes, stream_of(of)>>>(problem);
  check_launch(name, of);
}

}  // namespace fastcaps::cuda
