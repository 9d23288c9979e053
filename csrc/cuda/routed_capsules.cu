// The fused capsule layer on CUDA tensors. On tensor cores: a pass and a combination for every
// iteration.
#include "combine.cuh"
#include "fused_layer.cuh"

namespace fastcaps::cuda {
namespace {

constexpr int kStages = 2;

template <class S, int D, bool EXACT>
void launch_pass(const PassProblem<S>& problem, Coupling coupling, const Tensor& u) {
  typedef PassShared<S, kFusedK, D> Place;
  static_assert(Place::bytes(kStages, Coupling::kOverOutputs) <= kFusedSharedBytes<S, D>);
  const auto run = [&](auto kernel) {
    launch(
        "weighted_sums_kernel", kernel, divide_up(problem.size.batch, kPassSamples),
        divide_up(problem.size.inputs, problem.slice), kPassThreads<D>,
        Place::bytes(kStages, coupling), problem, u);
  };
  switch (coupling) {
    case Coupling::kUniform:
      return run(weighted_sums_kernel<S, kFusedK, D, Coupling::kUniform, EXACT, kStages>);
    case Coupling::kOverOutputs:
      return run(weighted_sums_kernel<S, kFusedK, D, Coupling::kOverOutputs, EXACT, kStages>);
    case Coupling::kOverInputs:
      return run(weighted_sums_kernel<S, kFusedK, D, Coupling::kOverInputs, EXACT, kStages>);
  }
}

template <class S, int D, bool EXACT>
void run(const ForwardCall& call) {
  const Sizes& size = call.size;
  const bool over_inputs = call.over_inputs;
  const int slice = slice_of(call.u, size, kPassSamples);
  const int64_t slices = divide_up(size.inputs, slice), vectors = size.batch * size.outputs;
  const Workspace<float> agreement(call.u, vectors * D), partial(call.u, slices * vectors * D);
  const Workspace<float> largest(call.u, over_inputs ? slices * vectors : 0);
  const Workspace<float> total(call.u, over_inputs ? slices * vectors : 0);
  const float even = 1.0f / static_cast<float>(over_inputs ? size.inputs : size.outputs);
  for (int64_t t = 0; t < call.iterations; t++) {
    const bool uniform = t == 0 && !call.prior, last = t == call.iterations - 1;
    const PassProblem<S> pass{
        size,
        numbers<S>(call.u),
        numbers<S>(call.weight),
        numbers<S>(call.prior),
        t == 0 ? nullptr : agreement.get(),
        even,
        slice,
        partial.get(),
        largest.get(),
        total.get()};
    const Coupling coupling = uniform       ? Coupling::kUniform
                              : over_inputs ? Coupling::kOverInputs
                                            : Coupling::kOverOutputs;
    launch_pass<S, D, EXACT>(pass, coupling, call.u);
    const CombineProblem<S> combine{
        size,
        slices,
        uniform,
        partial.get(),
        over_inputs ? largest.get() : nullptr,
        over_inputs ? total.get() : nullptr,
        numbers<S>(call.bias),
        data<float>(call.s) + t * vectors * D,
        over_inputs ? data<float>(call.log_sum_exp) + 2 * t * vectors : nullptr,
        agreement.get(),
        last ? data<S>(call.v) : nullptr,
        t == 0};
    launch(
        "combine_kernel", combine_kernel<S, D>, vector_blocks(size), 1, kVectorThreads,
        kCombineSharedBytes, combine, call.u);
  }
}

template <class T>
std::tuple<Tensor, Tensor, Tensor> run(
    const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Sizes& size, int64_t iterations, bool over_inputs,
    bool allow_tf32) {
  const Tensor v = new_tensor(u, {size.batch, size.outputs, size.dim});
  const Tensor s = new_sums<T>(u, {iterations, size.batch, size.outputs, size.dim});
  const Tensor log_sum_exp =
      over_inputs ? new_sums<T>(u, {iterations, size.batch, size.outputs, 2}) : new_sums<T>(u, {0});
  if (size.batch == 0) return {v, s, log_sum_exp};
  const DeviceGuard guard(u.get_device_index());
  const ForwardCall call{u,           weight, bias,       prior,       v,         s,
                         log_sum_exp, size,   iterations, over_inputs, allow_tf32};
  if (fits_tensor_cores(u, size)) {
    with_fused_layer(u, size.dim, allow_tf32, [&](auto zero, auto d, auto exact) {
      run<decltype(zero), decltype(d)::value, decltype(exact)::value>(call);
    });
  } else {
    route_any_sizes(call);
  }
  return {v, s, log_sum_exp};
}

std::tuple<Tensor, Tensor, Tensor> routed_capsules(
    const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations, bool over_inputs, bool,
    bool allow_tf32) {
  const Sizes size = sizes_of(u, weight);
  check_options(size, u, bias, prior, iterations);
  return with_compute_type(u, [&](auto zero) {
    return run<decltype(zero)>(
        aligned(u), aligned(weight), aligned(bias), aligned(prior), size, iterations, over_inputs,
        allow_tf32);
  });
}

}  // namespace
}  // namespace fastcaps::cuda

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CUDA, library) {
  library.impl("routed_capsules", TORCH_BOX(&fastcaps::cuda::routed_capsules));
}
