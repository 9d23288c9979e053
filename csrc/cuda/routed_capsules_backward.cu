// The gradients of the fused capsule layer on CUDA tensors: from the last iteration to the first a
// pass for dL/dV and a combination, then one pass for everything else.
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
template <class S, int D, bool OVER_INPUTS>
void agreement_gradients(const Backward<S>& call) {
  constexpr int64_t kSharedBytes = AgreementGradients<S, D, OVER_INPUTS, true>::kSharedBytes;
  static_assert(kSharedBytes <= kFusedSharedBytes<S, D>);
  if (call.first == call.iterations - 1) return;
  const Sizes& size = call.layer.size;
  const int slice = slice_of(size, kAgreementSamples);
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
        "agreement_gradients_kernel", agreement_gradients_kernel<S, D, OVER_INPUTS, true>,
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

template <class S, int D, bool OVER_INPUTS>
void weight_gradients(const Backward<S>& call) {
  constexpr int64_t kSharedBytes = WeightGradients<S, D, OVER_INPUTS, true>::kSharedBytes;
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
      "weight_gradients_kernel", weight_gradients_kernel<S, D, OVER_INPUTS, true>,
      divide_up(size.inputs, kGradientInputs), 1, kGradientThreads, kSharedBytes, problem,
      call.like);
}

template <class S, int D, bool OVER_INPUTS>
void run(const Backward<S>& call) {
  replay<S, D>(call);
  agreement_gradients<S, D, OVER_INPUTS>(call);
  if (call.grad_u || call.grad_weight || call.grad_prior) {
    weight_gradients<S, D, OVER_INPUTS>(call);
  }
}

// Sums over iterations and samples, dL/dbias; grad_s [R][B][J][D].
Tensor sum_of_iterations(const Tensor& grad_s, int64_t first) {
  Tensor counting = grad_s;
  counting = torch::stable::narrow(counting, 0, first, grad_s.sizes()[0] - first);
  const std::vector<int64_t> dims{0, 1};
  return torch::stable::sum(counting, dims);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> routed_capsules_backward(
    const Tensor& grad_any, const Tensor& u_any, const Tensor& weight_any,
    const std::optional<Tensor>& bias_any, const std::optional<Tensor>& prior_any,
    const Tensor& s_any, const Tensor& log_sum_exp_any, int64_t iterations, bool over_inputs,
    bool detach, bool need_u, bool need_weight) {
  const Sizes size = sizes_of(u_any, weight_any);
  check_fused(u_any, size);
  check_options(size, u_any, bias_any, prior_any, iterations);
  check_shape("grad", grad_any, {size.batch, size.outputs, size.dim});
  check_like("grad", grad_any, u_any);
  check_saved<float>(s_any, log_sum_exp_any, u_any, size, iterations, over_inputs);
  const Tensor grad = aligned(grad_any), u = aligned(u_any), weight = aligned(weight_any);
  const Tensor s = aligned(s_any), log_sum_exp = aligned(log_sum_exp_any);
  const std::optional<Tensor> bias = aligned(bias_any), prior = aligned(prior_any);
  Tensor grad_u = need_u ? torch::stable::empty_like(u) : new_tensor(u, {0});
  Tensor grad_weight = need_weight ? torch::stable::empty_like(weight) : new_tensor(u, {0});
  Tensor grad_prior = prior ? torch::stable::empty_like(*prior) : new_tensor(u, {0});
  Tensor grad_bias = bias ? torch::stable::empty_like(*bias) : new_tensor(u, {0});
  if (prior && detach) torch::stable::zero_(grad_prior);
  if (size.batch == 0) {
    for (Tensor* gradient : {&grad_weight, &grad_prior, &grad_bias}) {
      torch::stable::zero_(*gradient);
    }
    return {grad_u, grad_weight, grad_bias, grad_prior};
  }
  const DeviceGuard guard(u.get_device_index());
  const Tensor grad_s = new_sums<float>(u, {iterations, size.batch, size.outputs, size.dim});
  const Workspace<float> agreement(u, grad_s.numel());
  const Workspace<float> center(u, over_inputs ? iterations * size.batch * size.outputs : 0);
  const int64_t first = detach ? iterations - 1 : 0;
  with_fused_layer(u, size.dim, [&](auto zero, auto d) {
    typedef decltype(zero) S;
    constexpr int kDim = decltype(d)::value;
    const Backward<S> call{
        u,
        {size, numbers<S>(u), numbers<S>(weight), numbers<S>(prior), detach},
        first,
        iterations,
        numbers<S>(bias),
        numbers<S>(grad),
        numbers<float>(s),
        numbers<float>(log_sum_exp),
        agreement.get(),
        data<float>(grad_s),
        over_inputs ? center.get() : nullptr,
        need_u ? data<S>(grad_u) : nullptr,
        need_weight ? data<S>(grad_weight) : nullptr,
        prior && !detach ? data<S>(grad_prior) : nullptr};
    over_inputs ? run<S, kDim, true>(call) : run<S, kDim, false>(call);
  });
  if (bias) torch::stable::copy_(grad_bias, sum_of_iterations(grad_s, first));
  return {grad_u, grad_weight, grad_bias, grad_prior};
}

}  // namespace
}  // namespace fastcaps::cuda

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CUDA, library) {
  library.impl("routed_capsules_backward", TORCH_BOX(&fastcaps::cuda::routed_capsules_backward));
}
