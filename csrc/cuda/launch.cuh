// Launching kernels on the current stream of a tensor's GPU. The tests launch them on the host,
// with functions of the same names: tests/cuda_host/operators.cpp.
#pragma once

#include "../tensors.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>

#include <algorithm>
#include <string>

// A PyTorch without CUDA lacks this function, and still has to load the extension.
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace fastcaps::cuda {

using torch::stable::accelerator::DeviceGuard;

inline cudaStream_t stream_of(const Tensor& tensor) {
  STD_TORCH_CHECK(
      aoti_torch_get_current_cuda_stream != nullptr,
      "fastcaps: this PyTorch gives no access to its CUDA streams");
  void* stream = nullptr;
  const AOTITorchError error =
      aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream);
  STD_TORCH_CHECK(
      error == AOTI_TORCH_SUCCESS, "fastcaps: PyTorch gives no current stream of GPU ",
      tensor.get_device_index());
  return static_cast<cudaStream_t>(stream);
}

inline std::string shape_text(const Tensor& tensor) {
  std::string text = "[";
  for (int64_t n = 0; n < tensor.dim(); n++) {
    text += (n ? ", " : "") + std::to_string(tensor.sizes()[n]);
  }
  return text + "]";
}

// Throws if the launch just made did not succeed. Clears the error, so that the process can go on.
inline void check_launch(const char* kernel, const Tensor& tensor) {
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(
      error == cudaSuccess, "fastcaps: the kernel ", kernel, " could not be launched on a tensor ",
      shape_text(tensor).c_str(), ": ", cudaGetErrorString(error));
}

// Launches on the current stream of a tensor's GPU, which is current.
template <class Problem>
void launch(
    const char* name, void (*kernel)(Problem), int64_t x, int64_t y, int threads, int64_t bytes,
    const Problem& problem, const Tensor& of) {
  constexpr int64_t kGrantedUnasked = 48 * 1024, kMostBlocks = (int64_t{1} << 31) - 1;
  STD_TORCH_CHECK(x <= kMostBlocks, "fastcaps: the kernel ", name, " needs ", x, " blocks");
  if (bytes > kGrantedUnasked) {
    cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  }
  const dim3 blocks(static_cast<unsigned>(x), static_cast<unsigned>(y));
  kernel<<<blocks, threads, bytes, stream_of(of)>>>(problem);
  check_launch(name, of);
}

// An attribute of a tensor's GPU; 0 where it does not tell.
inline int attribute_of(const Tensor& tensor, cudaDeviceAttr attribute) {
  int value = 0;
  cudaDeviceGetAttribute(&value, attribute, tensor.get_device_index());
  return value;
}
inline int processors_of(const Tensor& tensor) {
  return std::max(1, attribute_of(tensor, cudaDevAttrMultiProcessorCount));
}
// Bytes that a call may keep of pairs of capsules, however small its tensors are.
inline int64_t workspace_of(const Tensor&) { return int64_t{64} << 20; }
// Bytes of shared memory that a block may ask for.
inline int shared_memory_of(const Tensor& tensor) {
  return attribute_of(tensor, cudaDevAttrMaxSharedMemoryPerBlockOptin);
}

}  // namespace fastcaps::cuda
#endif
