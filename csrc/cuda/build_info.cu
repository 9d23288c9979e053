// What the CUDA half of the extension was built for, and where it runs.
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/library.h>

#include <string>

#include "launch.cuh"

namespace {

// For example "CUDA 13.0 for sm_80 sm_90".
std::string cuda_build() {
  std::string text = "CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
                     std::to_string(CUDART_VERSION % 1000 / 10) + " for";
  for (int architecture : {__CUDA_ARCH_LIST__}) text += " sm_" + std::to_string(architecture / 10);
  return text;
}

__global__ void probe_kernel() {}

// Why the kernels cannot be loaded on the GPU of this number, or nothing if they can.
std::string cuda_why_not(int64_t device) {
  const fastcaps::cuda::DeviceGuard guard(static_cast<int32_t>(device));
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, probe_kernel);
  cudaGetLastError();  // which clears it
  return error == cudaSuccess ? "" : cudaGetErrorString(error);
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(fastcaps, library) {
  library.def("cuda_build() -> str");
  library.def("cuda_why_not(int device) -> str");
}

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CompositeExplicitAutograd, library) {
  library.impl("cuda_build", TORCH_BOX(&cuda_build));
  library.impl("cuda_why_not", TORCH_BOX(&cuda_why_not));
}
