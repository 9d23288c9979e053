#include "../../csrc/cuda/squash.cuh"

#include "entry.h"

namespace cuda = fastcaps::cuda;

namespace {

// Calls run(launch, plan) as csrc/cuda/squash.cu does.
template <class S, class F>
void with_launch(int64_t rows, int64_t dim, bool aligned, int order, const F& run) {
  const cuda::RowLaunch plan = cuda::plan_rows(rows, dim, cuda::kWidestChunk<S>, aligned);
  gpu::Launch launch;
  launch.blocks.x = static_cast<unsigned>(plan.blocks);
  launch.threads.x = cuda::RowLaunch::kThreads;
  set_order(launch, order);
  cuda::with_row<S>(plan, [&](auto chunk, auto held) { run(launch, plan, chunk, held); });
}

}  // namespace

EXPORT const char* squash(
    int storage, const void* s, void* v, int64_t rows, int64_t dim, int aligned, int order) {
  return error_of([&] {
    with_storage(storage, [&](auto zero) {
      using S = decltype(zero);
      with_launch<S>(rows, dim, aligned, order, [&](auto launch, auto plan, auto chunk, auto held) {
        gpu::run(launch, [&] {
          cuda::squash_kernel<S, decltype(chunk)::value, decltype(held)::value>(
              static_cast<const S*>(s), static_cast<S*>(v), rows, dim, plan.bits);
        });
      });
    });
  });
}

EXPORT const char* squash_gradient(
    int storage, const void* s, const void* grad_v, void* grad_s, int64_t rows, int64_t dim,
    int aligned, int order) {
  return error_of([&] {
    with_storage(storage, [&](auto zero) {
      using S = decltype(zero);
      with_launch<S>(rows, dim, aligned, order, [&](auto launch, auto plan, auto chunk, auto held) {
        gpu::run(launch, [&] {
          cuda::squash_gradient_kernel<S, decltype(chunk)::value, decltype(held)::value>(
              static_cast<const S*>(s), static_cast<const S*>(grad_v), static_cast<S*>(grad_s),
              rows, dim, plan.bits);
        });
      });
    });
  });
}
