#include "../../csrc/cuda/any_sizes/backward.cuh"
#include "entry.h"

namespace any_sizes = fastcaps::cuda::any_sizes;

namespace {

// Launches on the host, threads in the order asked for.
struct HostLaunch {
  gpu::Launch order;

  template <class Problem>
  void operator()(
      const char*, void (*kernel)(Problem), int64_t blocks, int threads, int64_t bytes,
      const Problem& problem) const {
    ::launch(order, blocks, 1, threads, bytes, [&] { kernel(problem); });
  }
};

struct Call {
  HostLaunch launch;
  fastcaps::Sizes size;
  any_sizes::Plan plan;
};

Call call_of(const int64_t* sizes, int64_t part, int64_t slice, int order) {
  Call call{
      {},
      {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]},
      {part, slice, fastcaps::divide_up(sizes[1], slice)}};
  set_order(call.launch.order, order);
  return call;
}

template <class S>
const S* stored(const void* numbers) {
  return static_cast<const S*>(numbers);
}

}  // namespace

// Samples at a time, input capsules of a slice, and slices; `plan` [3] is written.
EXPORT const char* any_sizes_plan(
    int64_t* plan, const int64_t* sizes, int64_t bytes, int64_t stored, int64_t processors,
    int64_t workspace) {
  return error_of([&] {
    const fastcaps::Sizes size{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]};
    const any_sizes::Plan made =
        any_sizes::plan_of(size, bytes, stored, static_cast<int>(processors), workspace);
    plan[0] = made.part, plan[1] = made.slice, plan[2] = made.slices;
  });
}

// All iterations. u, weight, bias, prior and v are stored as `storage`, the rest as it is computed
// in. `sizes` [5]: B, I, K, J, D.
EXPORT const char* any_sizes_route(
    const void* u, const void* weight, const void* bias, const void* prior, void* v, void* s,
    void* log_sum_exp, void* agreement, void* coefficients, void* partial, const int64_t* sizes,
    int64_t storage, int64_t iterations, int over_inputs, int64_t part, int64_t slice, int order) {
  return error_of([&] {
    const Call call = call_of(sizes, part, slice, order);
    fastcaps::cuda::with_storage(static_cast<fastcaps::Storage>(storage), [&](auto zero) {
      typedef decltype(zero) S;
      typedef fastcaps::cuda::Compute<S> T;
      const any_sizes::Forward<S> forward{
          call.size,
          stored<S>(u),
          stored<S>(weight),
          stored<S>(bias),
          stored<S>(prior),
          iterations,
          over_inputs != 0,
          static_cast<S*>(v),
          static_cast<T*>(s),
          static_cast<T*>(log_sum_exp),
          static_cast<T*>(agreement),
          static_cast<T*>(coefficients),
          static_cast<T*>(partial)};
      any_sizes::route(forward, call.plan, call.launch);
    });
  });
}

// Gradients from the s that it saved.
EXPORT const char* any_sizes_route_backward(
    const void* grad, const void* u, const void* weight, const void* bias, const void* prior,
    const void* s, void* grad_s, void* grad_u, void* grad_weight, void* grad_prior, void* agreement,
    void* weight_sums, void* prior_sums, void* grad_agreement, void* coefficients,
    void* logit_gradients, void* partial, const int64_t* sizes, int64_t storage, int64_t iterations,
    int over_inputs, int detached, int64_t part, int64_t slice, int order) {
  return error_of([&] {
    const Call call = call_of(sizes, part, slice, order);
    fastcaps::cuda::with_storage(static_cast<fastcaps::Storage>(storage), [&](auto zero) {
      typedef decltype(zero) S;
      typedef fastcaps::cuda::Compute<S> T;
      const any_sizes::Backward<S> backward{
          call.size,
          stored<S>(u),
          stored<S>(weight),
          stored<S>(bias),
          stored<S>(prior),
          stored<S>(grad),
          static_cast<const T*>(s),
          iterations,
          over_inputs != 0,
          detached != 0,
          static_cast<T*>(grad_s),
          static_cast<S*>(grad_u),
          static_cast<S*>(grad_weight),
          static_cast<S*>(grad_prior),
          static_cast<T*>(agreement),
          static_cast<T*>(weight_sums),
          static_cast<T*>(prior_sums),
          static_cast<T*>(grad_agreement),
          static_cast<T*>(coefficients),
          static_cast<T*>(logit_gradients),
          static_cast<T*>(partial)};
      any_sizes::route_backward(backward, call.plan, call.launch);
    });
  });
}
