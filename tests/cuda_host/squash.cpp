#include "../../csrc/cuda/squash.cuh"

#include "entry.h"

namespace cuda = fastcaps::cuda;

namespace {

// Runs call(zero, plan, chunk, held) in every thread that csrc/cuda/squash.cu launches. `storage`
// is 0 for float32, 1 for float64, 2 for float16, 3 for bfloat16.
template <class F>
const char* run_rows(
    int storage, int64_t rows, int64_t dim, bool aligned, int order, const F& call) {
  return error_of([&] {
    const auto launch = [&](auto zero, const cuda::RowLaunch& plan, auto chunk, auto held) {
      gpu::Launch launch;
      launch.blocks.x = static_cast<unsigned>(plan.blocks);
      launch.threads.x = cuda::RowLaunch::kThreads;
      set_order(launch, order);
      gpu::run(launch, [&] { call(zero, plan, chunk, held); });
    };
    cuda::with_rows(static_cast<fastcaps::Storage>(storage), rows, dim, aligned, launch);
  });
}

}  // namespace

EXPORT const char* squash(
    int storage, const void* s, void* v, int64_t rows, int64_t dim, int aligned, int order) {
  const auto call = [&](auto zero, const cuda::RowLaunch& plan, auto chunk, auto held) {
    using S = decltype(zero);
    cuda::squash_kernel<S, decltype(chunk)::value, decltype(held)::value>(
        static_cast<const S*>(s), static_cast<S*>(v), rows, dim, plan.bits);
  };
  return run_rows(storage, rows, dim, aligned, order, call);
}

EXPORT const char* squash_gradient(
    int storage, const void* s, const void* grad_v, void* grad_s, int64_t rows, int64_t dim,
    int aligned, int order) {
  const auto call = [&](auto zero, const cuda::RowLaunch& plan, auto chunk, auto held) {
    using S = decltype(zero);
    cuda::squash_gradient_kernel<S, decltype(chunk)::value, decltype(held)::value>(
        static_cast<const S*>(s), static_cast<const S*>(grad_v), static_cast<S*>(grad_s), rows, dim,
        plan.bits);
  };
  return run_rows(storage, rows, dim, aligned, order, call);
}
