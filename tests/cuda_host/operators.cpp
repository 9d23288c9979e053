// The CUDA operators of the fused layer on CPU tensors, with all that stands between PyTorch and
// their kernels: namespace fastcaps_host, whose schemas Python defines.
#include <torch/csrc/stable/library.h>

#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(name_space, key, library) \
  _STABLE_TORCH_LIBRARY_IMPL(fastcaps_host, CPU, library, C10_UID)

#include "../../csrc/tensors.h"
#include "entry.h"

// What launch.cuh has for GPUs.
namespace fastcaps::cuda {

static int processors = 1, shared_memory = 0;
static int64_t workspace = 0;
static gpu::Launch order;

class DeviceGuard {
 public:
  explicit DeviceGuard(int) {}
};

inline int processors_of(const Tensor&) { return processors; }
inline int shared_memory_of(const Tensor&) { return shared_memory; }
inline int64_t workspace_of(const Tensor&) { return workspace; }

template <class Problem>
void launch(
    const char*, void (*kernel)(Problem), int64_t x, int64_t y, int threads, int64_t bytes,
    const Problem& problem, const Tensor&) {
  ::launch(order, x, y, threads, bytes, [&] { kernel(problem); });
}

}  // namespace fastcaps::cuda

#include "../../csrc/cuda/any_sizes.cu"
#include "../../csrc/cuda/any_sizes_backward.cu"
#include "../../csrc/cuda/routed_capsules.cu"
#include "../../csrc/cuda/routed_capsules_backward.cu"

// Of the GPU that there would be: its multiprocessors, bytes of shared memory for a block, bytes
// that a call may keep of pairs of capsules, and the order in which its threads run.
EXPORT void set_gpu(int64_t processors, int64_t shared_memory, int64_t workspace, int64_t order) {
  fastcaps::cuda::processors = static_cast<int>(processors);
  fastcaps::cuda::shared_memory = static_cast<int>(shared_memory);
  fastcaps::cuda::workspace = workspace;
  set_order(fastcaps::cuda::order, static_cast<int>(order));
}
