// Launching kernels on the current stream of a tensor's GPU.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>

#include <string>

#include "../tensors.h"

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

inline bool is_aligned(const Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

}  // namespace fastcaps::cuda
