// The gradients of the fused capsule layer on CUDA tensors. On tensor cores: from the last
// iteration to the first a pass for dL/dV and a combination, then one pass for everything else.
#include "agreement_gradients.cuh"
#include "fused_layer.cuh"
#include "replay.cuh"
#include "weight_gradients.cuh"

namespace fastcaps::cuda {
namespace {

// What the kernels read and write, of all iterations.
template <class S>
struct Backward {
  const Tensor& like;
  GradientProblem<S> layer;
  int64_t first, iterations;  // the iterations that count
  const S *bias, *grad;
  const float *s, *log_sum_exp;
  float *agreement, *grad_s, *center;
  S *grad_u, *grad_weight, *grad_prior;  // or null

  int64_t vectors() const { return layer.size.batch * layer.size.outputs; }
  int64_t stride() const { return vectors() * layer.size.dim; }
};

template <class S, int D>
void replay(const Backward<S>& call) {
  const ReplayProblem<S> problem{call.layer.size, call.iterations, call.s,      call.bias,
                                 call.grad,       call.agreement,  call.grad_s, call.center};
  launch(
      "replay_kernel", replay_kernel<S, D>, vector_blocks(call.layer.size), 1, 32, 0, problem,
      call.like);
}

// dL/ds of the iterations before the last.
template <class S, int D, bool OVER_INPUTS, bool EXACT>
void agreement_gradients(const Backward<S>& call) {
  constexpr int64_t kSharedBytes = AgreementGradients<S, D, OVER_INPUTS, EXACT>::kSharedBytes;
  static_assert(kSharedBytes <= kFusedSharedBytes<S, D>);
  if (call.first == call.iterations - 1) return;
  const Sizes& size = call.layer.size;
  const int slice = slice_of(call.like, size, kAgreementSamples);
  const int64_t slices = divide_up(size.inputs, slice);
  const Workspace<float> partial(call.like, slices * call.stride());
  const Workspace<float> grad_agreement(call.like, call.stride());
  for (int64_t t = call.iterations - 1; t > call.first; t--) {
    const AgreementGradientsProblem<S> pass{
        call.layer,
        call.agreement + t * call.stride(),
        call.grad_s + t * call.stride(),
        OVER_INPUTS ? call.log_sum_exp + 2 * t * call.vectors() : nullptr,
        OVER_INPUTS ? call.center + t * call.vectors() : nullptr,
        slice,
        partial.get()};
    launch(
        "agreement_gradients_kernel", agreement_gradients_kernel<S, D, OVER_INPUTS, EXACT>,
        divide_up(size.batch, kAgreementSamples), slices, kGradientThreads, kSharedBytes, pass,
        call.like);
    const CombineGradientsProblem<S> combine{
        size,
        slices,
        partial.get(),
        call.s + (t - 1) * call.stride(),
        call.bias,
        grad_agreement.get(),
        call.grad_s + (t - 1) * call.stride(),
        OVER_INPUTS ? call.center + (t - 1) * call.vectors() : nullptr,
        t == call.iterations - 1};
    launch(
        "combine_gradients_kernel", combine_gradients_kernel<S, D>, vector_blocks(size), 1,
        kVectorThreads, kCombineGradientsSharedBytes, combine, call.like);
  }
}

template <class S, int D, bool OVER_INPUTS, bool EXACT>
void weight_gradients(const Backward<S>& call) {
  constexpr int64_t kSharedBytes = WeightGradients<S, D, OVER_INPUTS, EXACT>::kSharedBytes;
  static_assert(kSharedBytes <= kFusedSharedBytes<S, D>);
  const Sizes& size = call.layer.size;
  const float even = 1.0f / static_cast<float>(OVER_INPUTS ? size.inputs : size.outputs);
  const WeightGradientsProblem<S> problem{
      call.layer,
      call.agreement,
      call.grad_s,
      call.log_sum_exp,
      call.center,
      static_cast<int>(call.first),
      static_cast<int>(call.iterations),
      call.layer.prior ? 0 : even,
      call.grad_u,
      call.grad_weight,
      call.grad_prior};
  launch(
      "weight_gradients_kernel", weight_gradients_kernel<S, D, OVER_INPUTS, EXACT>,
      divide_up(size.inputs, kGradientInputs), 1, kGradientThreads, kSharedBytes, problem,
      call.like);
}

template <class S, int D, bool OVER_INPUTS, bool EXACT>
void run(const Backward<S>& call) {
  replay<S, D>(call);
  agreement_gradients<S, D, OVER_INPUTS, EXACT>(call);
  if (call.grad_u || call.grad_weight || call.grad_prior) {
    weight_gradients<S, D, OVER_INPUTS, EXACT>(call);
  }
}

void set_to_zero(const std::optional<Tensor>& tensor) {
  if (!tensor) return;
  Tensor target = *tensor;
  torch::stable::zero_(target);
}

// Sums over iterations and samples, dL/dbias; grad_s [R][B][J][D].
Tensor sum_of_iterations(const Tensor& grad_s, int64_t first) {
  Tensor counting = grad_s;
  counting = torch::stable::narrow(counting, 0, first, grad_s.sizes()[0] - first);
  const std::vector<int64_t> dims{0, 1};
  return torch::stable::sum(counting, dims);
}

void run_fused(const BackwardCall& call) {
  const Sizes& size = call.size;
  const Workspace<float> agreement(call.u, call.grad_s.numel());
  const Workspace<float> center(
      call.u, call.over_inputs ? call.iterations * size.batch * size.outputs : 0);
  with_fused_layer(call.u, size.dim, call.allow_tf32, [&](auto zero, auto d, auto exact) {
    typedef decltype(zero) S;
    constexpr int kDim = decltype(d)::value;
    constexpr bool kExact = decltype(exact)::value;
    const Backward<S> pointers{
        call.u,
        {size, numbers<S>(call.u), numbers<S>(call.weight), numbers<S>(call.prior), call.detached},
        call.first(),
        call.iterations,
        numbers<S>(call.bias),
        numbers<S>(call.grad),
        numbers<float>(call.s),
        numbers<float>(call.log_sum_exp),
        agreement.get(),
        data<float>(call.grad_s),
        call.over_inputs ? center.get() : nullptr,
        data<S>(call.grad_u),
        data<S>(call.grad_weight),
        data<S>(call.grad_prior)};
    call.over_inputs ? run<S, kDim, true, kExact>(pointers) : run<S, kDim, false, kExact>(pointers);
  });
}

// What an operator returns for a gradient: no numbers where there is none.
Tensor or_nothing(const std::optional<Tensor>& gradient, const Tensor& like) {
  return gradient ? *gradient : new_tensor(like, {0});
}

template <class T>
std::tuple<Tensor, Tensor, Tensor, Tensor> run(
    const Tensor& grad, const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Tensor& s, const Tensor& log_sum_exp,
    const Sizes& size, int64_t iterations, bool over_inputs, bool detached, bool allow_tf32,
    bool need_u, bool need_weight) {
  check_saved<T>(s, log_sum_exp, u, size, iterations, over_inputs);
  const auto like = [](const Tensor& tensor, bool needed) {
    return needed ? std::optional<Tensor>(torch::stable::empty_like(tensor)) : std::nullopt;
  };
  const std::optional<Tensor> grad_u = like(u, need_u), grad_weight = like(weight, need_weight);
  const std::optional<Tensor> grad_bias = bias ? like(*bias, true) : std::nullopt;
  const std::optional<Tensor> grad_prior = prior ? like(*prior, true) : std::nullopt;
  const auto results = [&] {
    return std::tuple(
        or_nothing(grad_u, u), or_nothing(grad_weight, u), or_nothing(grad_bias, u),
        or_nothing(grad_prior, u));
  };
  if (size.batch == 0) {
    for (const auto* gradient : {&grad_weight, &grad_bias, &grad_prior}) set_to_zero(*gradient);
    return results();
  }
  if (detached) set_to_zero(grad_prior);
  const DeviceGuard guard(u.get_device_index());
  const Tensor grad_s = new_sums<T>(u, {iterations, size.batch, size.outputs, size.dim});
  const std::optional<Tensor> no_tensor;
  const BackwardCall call{grad,       u,           weight,      bias,
                          prior,      s,           log_sum_exp, size,
                          iterations, over_inputs, detached,    allow_tf32,
                          grad_s,     grad_u,      grad_weight, detached ? no_tensor : grad_prior};
  fits_tensor_cores(u, size) ? run_fused(call) : route_any_sizes_backward(call);
  if (bias) {
    Tensor target = *grad_bias;
    torch::stable::copy_(target, sum_of_iterations(grad_s, call.first()));
  }
  return results();
}

std::tuple<Tensor, Tensor, Tensor, Tensor> routed_capsules_backward(
    const Tensor& grad, const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Tensor& s, const Tensor& log_sum_exp,
    int64_t iterations, bool over_inputs, bool detached, bool allow_tf32, bool need_u,
    bool need_weight) {
  const Sizes size = sizes_of(u, weight);
  check_options(size, u, bias, prior, iterations);
  check_shape("grad", grad, {size.batch, size.outputs, size.dim});
  check_like("grad", grad, u);
  return with_compute_type(u, [&](auto zero) {
    return run<decltype(zero)>(
        aligned(grad), aligned(u), aligned(weight), aligned(bias), aligned(prior), aligned(s),
        aligned(log_sum_exp), size, iterations, over_inputs, detached, allow_tf32, need_u,
        need_weight);
  });
}

}  // namespace
}  // namespace fastcaps::cuda

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CUDA, library) {
  library.impl("routed_capsules_backward", TORCH_BOX(&fastcaps::cuda::routed_capsules_backward));
}
