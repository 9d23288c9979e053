// Launching the kernels for any sizes on the current stream of a tensor's GPU.
#pragma once

#include "../launch.cuh"
#include "../layer_calls.h"
#include "tile_product.cuh"

namespace fastcaps::cuda::any_sizes {

class LaunchOnStream {
 public:
  // The tensor's GPU is the current one.
  explicit LaunchOnStream(const Tensor& of) : of_(of) {}

  template <class Problem>
  void operator()(
      const char* name, void (*kernel)(Problem), int64_t blocks, int threads, int64_t bytes,
      const Problem& problem) const {
    launch(name, kernel, blocks, 1, threads, bytes, problem, of_);
  }

 private:
  const Tensor& of_;
};

inline void check_sizes(const Sizes& size) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 2 * kTileRows;
  STD_TORCH_CHECK(
      size.inputs * size.in_dim < kMost && size.columns() < kMost,
      "fastcaps: the CUDA kernels expect N_in * D_in and N_out * D_out below 2^31 - 128, got ",
      size.inputs, " * ", size.in_dim, " and ", size.outputs, " * ", size.dim);
}

}  // namespace fastcaps::cuda::any_sizes
