// Launches the forward pass of layers of any sizes.
#include "any_sizes/forward.cuh"
#include "any_sizes/launch.cuh"

namespace fastcaps::cuda {
namespace {

template <class S>
void route(const ForwardCall& call) {
  typedef Compute<S> T;
  const Sizes& size = call.size;
  const any_sizes::Plan plan =
      any_sizes::plan_of(size, sizeof(T), sizeof(S), processors_of(call.u), workspace_of(call.u));
  const int64_t vectors = plan.part * size.columns();
  const Workspace<T> agreement(call.u, vectors), partial(call.u, plan.slices * vectors);
  const Workspace<T> coefficients(call.u, size.inputs * size.outputs * plan.part);
  const any_sizes::Forward<S> forward{
      size,
      numbers<S>(call.u),
      numbers<S>(call.weight),
      numbers<S>(call.bias),
      numbers<S>(call.prior),
      call.iterations,
      call.over_inputs,
      data<S>(call.v),
      data<T>(call.s),
      call.over_inputs ? data<T>(call.log_sum_exp) : nullptr,
      agreement.get(),
      coefficients.get(),
      partial.get()};
  any_sizes::route(forward, plan, any_sizes::LaunchOnStream(call.u));
}

}  // namespace

void route_any_sizes(const ForwardCall& call) {
  any_sizes::check_sizes(call.size);
  with_storage(storage_of(call.u), [&](auto zero) { route<decltype(zero)>(call); });
}

}  // namespace fastcaps::cuda
