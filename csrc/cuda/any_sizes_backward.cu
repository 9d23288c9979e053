// Launches the gradients of layers of any sizes.
#include "any_sizes/backward.cuh"
#include "any_sizes/launch.cuh"

namespace fastcaps::cuda {
namespace {

// Memory for sums of a gradient over parts of the batch: none for one part, the gradient itself
// where it stores what is computed in.
template <class S>
class SumsOfParts {
  typedef Compute<S> T;
  static constexpr bool kRounded = sizeof(S) != sizeof(T);

 public:
  SumsOfParts(const std::optional<Tensor>& gradient, bool has_parts) {
    if (!gradient || !has_parts) return;
    tensor_ = kRounded ? new_sums<T>(*gradient, {gradient->numel()}) : *gradient;
  }

  T* get() const { return data<T>(tensor_); }

 private:
  std::optional<Tensor> tensor_;
};

template <class S>
void route_backward(const BackwardCall& call) {
  typedef Compute<S> T;
  const Sizes& size = call.size;
  const any_sizes::CountedIterations counted =
      any_sizes::count_iterations(call.iterations, call.detached, call.prior.has_value());
  const any_sizes::Plan plan = any_sizes::plan_of(
      size, any_sizes::backward_bytes<S>(counted), sizeof(S), processors_of(call.u),
      workspace_of(call.u));
  const int64_t vectors = plan.part * size.columns();
  const int64_t pairs = counted.kept() * size.inputs * size.outputs * plan.part;
  const Workspace<T> agreement(call.u, call.iterations * size.batch * size.columns());
  const Workspace<T> grad_agreement(call.u, vectors), partial(call.u, plan.slices * vectors);
  const Workspace<T> coefficients(call.u, pairs), slopes(call.u, call.detached ? 0 : pairs);
  const bool has_parts = plan.part < size.batch;
  const SumsOfParts<S> weight_sums(call.grad_weight, has_parts);
  const SumsOfParts<S> prior_sums(call.grad_prior, has_parts);
  const any_sizes::Backward<S> backward{
      size,
      numbers<S>(call.u),
      numbers<S>(call.weight),
      numbers<S>(call.bias),
      numbers<S>(call.prior),
      numbers<S>(call.grad),
      numbers<T>(call.s),
      call.iterations,
      call.over_inputs,
      call.detached,
      data<T>(call.grad_s),
      data<S>(call.grad_u),
      data<S>(call.grad_weight),
      data<S>(call.grad_prior),
      agreement.get(),
      weight_sums.get(),
      prior_sums.get(),
      grad_agreement.get(),
      coefficients.get(),
      slopes.get(),
      partial.get()};
  any_sizes::route_backward(backward, plan, any_sizes::LaunchOnStream(call.u));
}

}  // namespace

void route_any_sizes_backward(const BackwardCall& call) {
  any_sizes::check_sizes(call.size);
  with_storage(storage_of(call.u), [&](auto zero) { route_backward<decltype(zero)>(call); });
}

}  // namespace fastcaps::cuda
