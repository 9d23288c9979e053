// The fused capsule layer on CUDA tensors: a pass and a combination for every iteration.
#include "combine.cuh"
#include "fused_layer.cuh"

namespace fastcaps::cuda {
namespace {

constexpr int kStages = 2;

template <int D>
void launch_pass(const PassProblem& problem, Coupling coupling, const Tensor& u) {
  static_assert(
      PassShared<kFusedK, D>::bytes(kStages, Coupling::kOverOutputs) <= kFusedSharedBytes<D>);
  const auto run = [&](auto kernel) {
    launch(
        "weighted_sums_kernel", kernel, divide_up(problem.size.batch, kPassSamples),
        divide_up(problem.size.inputs, problem.slice), kPassThreads<D>,
        PassShared<kFusedK, D>::bytes(kStages, coupling), problem, u);
  };
  switch (coupling) {
    case Coupling::kUniform:
      return run(weighted_sums_kernel<kFusedK, D, Coupling::kUniform, true, kStages>);
    case Coupling::kOverOutputs:
      return run(weighted_sums_kernel<kFusedK, D, Coupling::kOverOutputs, true, kStages>);
    case Coupling::kOverInputs:
      return run(weighted_sums_kernel<kFusedK, D, Coupling::kOverInputs, true, kStages>);
  }
}

std::tuple<Tensor, Tensor, Tensor> routed_capsules(
    const Tensor& u_any, const Tensor& weight_any, const std::optional<Tensor>& bias_any,
    const std::optional<Tensor>& prior_any, int64_t iterations, bool over_inputs, bool) {
  const Sizes size = sizes_of(u_any, weight_any);
  check_fused(u_any, size);
  check_options(size, u_any, bias_any, prior_any, iterations);
  const Tensor u = aligned(u_any), weight = aligned(weight_any);
  const std::optional<Tensor> bias = aligned(bias_any), prior = aligned(prior_any);
  const Tensor v = new_tensor(u, {size.batch, size.outputs, size.dim});
  const Tensor s = new_tensor(u, {iterations, size.batch, size.outputs, size.dim});
  const Tensor log_sum_exp =
      over_inputs ? new_tensor(u, {iterations, size.batch, size.outputs, 2}) : new_tensor(u, {0});
  if (size.batch == 0) return {v, s, log_sum_exp};
  const DeviceGuard guard(u.get_device_index());
  const int slice = slice_of(size, kPassSamples);
  const int64_t slices = divide_up(size.inputs, slice), vectors = size.batch * size.outputs;
  const Workspace<float> agreement(u, v.numel()), partial(u, slices * v.numel());
  const Workspace<float> largest(u, over_inputs ? slices * vectors : 0);
  const Workspace<float> total(u, over_inputs ? slices * vectors : 0);
  for (int64_t t = 0; t < iterations; t++) {
    const bool uniform = t == 0 && !prior, last = t == iterations - 1;
    const float even = 1.0f / static_cast<float>(over_inputs ? size.inputs : size.outputs);
    const PassProblem pass{
        size, numbers(u), numbers(weight), numbers(prior), t == 0 ? nullptr : agreement.get(),
        even, slice,      partial.get(),   largest.get(),  total.get()};
    const Coupling coupling = uniform       ? Coupling::kUniform
                              : over_inputs ? Coupling::kOverInputs
                                            : Coupling::kOverOutputs;
    const CombineProblem combine{
        size,
        slices,
        uniform,
        partial.get(),
        over_inputs ? largest.get() : nullptr,
        over_inputs ? total.get() : nullptr,
        numbers(bias),
        data<float>(s) + t * v.numel(),
        over_inputs ? data<float>(log_sum_exp) + 2 * t * vectors : nullptr,
        agreement.get(),
        last ? data<float>(v) : nullptr,
        t == 0};
    with_fused_dim(size.dim, [&](auto d) {
      constexpr int kDim = decltype(d)::value;
      launch_pass<kDim>(pass, coupling, u);
      launch(
          "combine_kernel", combine_kernel<kDim>, vector_blocks(size), 1, kVectorThreads,
          kCombineSharedBytes, combine, u);
    });
  }
  return {v, s, log_sum_exp};
}

}  // namespace
}  // namespace fastcaps::cuda

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CUDA, library) {
  library.impl("routed_capsules", TORCH_BOX(&fastcaps::cuda::routed_capsules));
}
