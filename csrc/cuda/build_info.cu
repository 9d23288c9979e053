// What the CUDA half of the extension was built for.
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/library.h>

#include <string>

namespace {

// For example "CUDA 13.0 for sm_80 sm_90".
std::string cuda_build() {
  std::string text = "CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
                     std::to_string(CUDART_VERSION % 1000 / 10) + " for";
  for (int architecture : {__CUDA_ARCH_LIST__}) text += " sm_" + std::to_string(architecture / 10);
  return text;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(fastcaps, library) { library.def("cuda_build() -> str"); }

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CompositeExplicitAutograd, library) {
  library.impl("cuda_build", TORCH_BOX(&cuda_build));
}
