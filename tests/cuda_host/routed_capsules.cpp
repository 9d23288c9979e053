#include "../../csrc/cuda/combine.cuh"
#include "../../csrc/cuda/weighted_sums.cuh"
#include "entry.h"

namespace cuda = fastcaps::cuda;
using cuda::Coupling;

namespace {

constexpr int kStages = 2;

template <class F>
void with_dim(int64_t dim, const F& f) {
  if (dim == 8) return f(fastcaps::Constant<8>());
  if (dim == 16) return f(fastcaps::Constant<16>());
  f(fastcaps::Constant<32>());
}

template <class S, int D, bool EXACT>
void run_pass(const gpu::Launch& order, const cuda::PassProblem<S>& problem, Coupling coupling) {
  const fastcaps::Sizes& size = problem.size;
  const int64_t bytes = cuda::PassShared<S, 8, D>::bytes(kStages, coupling);
  const auto kernel = [&] {
    if (coupling == Coupling::kUniform) {
      cuda::weighted_sums_kernel<S, 8, D, Coupling::kUniform, EXACT, kStages>(problem);
    } else if (coupling == Coupling::kOverOutputs) {
      cuda::weighted_sums_kernel<S, 8, D, Coupling::kOverOutputs, EXACT, kStages>(problem);
    } else {
      cuda::weighted_sums_kernel<S, 8, D, Coupling::kOverInputs, EXACT, kStages>(problem);
    }
  };
  launch(
      order, fastcaps::divide_up(size.batch, cuda::kPassSamples),
      fastcaps::divide_up(size.inputs, problem.slice), cuda::kPassThreads<D>, bytes, kernel);
}

struct Call {
  fastcaps::Sizes size;
  const void *u, *weight, *bias, *prior;
  void* v;
  float *s, *log_sum_exp, *agreement, *partial, *largest, *total;
  int64_t iterations;
  bool over_inputs;
  int64_t slice;
};

template <class S, int D, bool EXACT>
void route(const gpu::Launch& order, const Call& call) {
  const fastcaps::Sizes& size = call.size;
  const S *bias = static_cast<const S*>(call.bias), *prior = static_cast<const S*>(call.prior);
  const int64_t vectors = size.batch * size.outputs;
  const float even = 1.0f / static_cast<float>(call.over_inputs ? size.inputs : size.outputs);
  for (int64_t t = 0; t < call.iterations; t++) {
    const bool uniform = t == 0 && !prior, last = t == call.iterations - 1;
    const cuda::PassProblem<S> pass{
        size,
        static_cast<const S*>(call.u),
        static_cast<const S*>(call.weight),
        prior,
        t == 0 ? nullptr : call.agreement,
        even,
        static_cast<int>(call.slice),
        call.partial,
        call.largest,
        call.total};
    const Coupling coupling = uniform            ? Coupling::kUniform
                              : call.over_inputs ? Coupling::kOverInputs
                                                 : Coupling::kOverOutputs;
    run_pass<S, D, EXACT>(order, pass, coupling);
    const cuda::CombineProblem<S> combine{
        size,
        fastcaps::divide_up(size.inputs, call.slice),
        uniform,
        call.partial,
        call.over_inputs ? call.largest : nullptr,
        call.over_inputs ? call.total : nullptr,
        bias,
        call.s + t * vectors * D,
        call.log_sum_exp + 2 * t * vectors,
        call.agreement,
        last ? static_cast<S*>(call.v) : nullptr,
        t == 0};
    launch(
        order, cuda::vector_blocks(size), 1, cuda::kVectorThreads, cuda::kCombineSharedBytes,
        [&] { cuda::combine_kernel<S, D>(combine); });
  }
}

}  // namespace

// All iterations; K = 8 and D = 8, 16 or 32. u, weight, bias, prior and v are stored as `storage`,
// the rest as float32. `partial`, `largest` and `total` hold one number for each slice, sample and
// output capsule (times D). Half types are always exact.
EXPORT const char* route(
    const void* u, const void* weight, const void* bias, const void* prior, void* v, float* s,
    float* log_sum_exp, float* agreement, float* partial, float* largest, float* total,
    int64_t storage, int64_t batch, int64_t inputs, int64_t outputs, int64_t dim,
    int64_t iterations, int over_inputs, int exact, int64_t slice, int order) {
  return error_of([&] {
    const Call call{
        {batch, inputs, 8, outputs, dim},
        u,
        weight,
        bias,
        prior,
        v,
        s,
        log_sum_exp,
        agreement,
        partial,
        largest,
        total,
        iterations,
        over_inputs != 0,
        slice};
    gpu::Launch launch;
    set_order(launch, order);
    with_dim(dim, [&](auto d) {
      constexpr int kDim = decltype(d)::value;
      with_storage(storage, [&](auto zero) {
        typedef decltype(zero) S;
        if (exact || sizeof(S) == 2) return route<S, kDim, true>(launch, call);
        route<float, kDim, false>(launch, call);
      });
    });
  });
}
