#include "../../csrc/cuda/combine.cuh"
#include "../../csrc/cuda/weighted_sums.cuh"
#include "entry.h"

namespace cuda = fastcaps::cuda;
using cuda::Coupling;

namespace {

constexpr int kStages = 2;

// What the options of a pass are made of, as constants: calls f(D, EXACT).
template <class F>
void with_options(int64_t dim, bool exact, const F& f) {
  const auto with_exact = [&](auto d) {
    if (exact) {
      f(d, fastcaps::Constant<true>());
    } else {
      f(d, fastcaps::Constant<false>());
    }
  };
  if (dim == 8) return with_exact(fastcaps::Constant<8>());
  if (dim == 16) return with_exact(fastcaps::Constant<16>());
  with_exact(fastcaps::Constant<32>());
}

template <int D, bool EXACT>
void run_pass(gpu::Launch launch, const cuda::PassProblem& problem, Coupling coupling) {
  const fastcaps::Sizes& size = problem.size;
  launch.blocks.x = static_cast<unsigned>(fastcaps::divide_up(size.batch, cuda::kPassSamples));
  launch.blocks.y = static_cast<unsigned>(fastcaps::divide_up(size.inputs, problem.slice));
  launch.threads.x = cuda::kPassThreads<D>;
  launch.shared_bytes = cuda::PassShared<8, D>::bytes(kStages, coupling);
  gpu::run(launch, [&] {
    if (coupling == Coupling::kUniform) {
      cuda::weighted_sums_kernel<8, D, Coupling::kUniform, EXACT, kStages>(problem);
    } else if (coupling == Coupling::kOverOutputs) {
      cuda::weighted_sums_kernel<8, D, Coupling::kOverOutputs, EXACT, kStages>(problem);
    } else {
      cuda::weighted_sums_kernel<8, D, Coupling::kOverInputs, EXACT, kStages>(problem);
    }
  });
}

}  // namespace

// All iterations, in float32; K = 8 and D = 8, 16 or 32. `partial`, `largest` and `total` hold one
// number for each slice, sample and output capsule (times D).
EXPORT const char* route(
    const float* u, const float* weight, const float* bias, const float* prior, float* v, float* s,
    float* log_sum_exp, float* agreement, float* partial, float* largest, float* total,
    int64_t batch, int64_t inputs, int64_t outputs, int64_t dim, int64_t iterations,
    int over_inputs, int exact, int64_t slice, int order) {
  return error_of([&] {
    const fastcaps::Sizes size{batch, inputs, 8, outputs, dim};
    gpu::Launch launch;
    set_order(launch, order);
    for (int64_t t = 0; t < iterations; t++) {
      const bool uniform = t == 0 && !prior;
      const float even = 1.0f / static_cast<float>(over_inputs ? inputs : outputs);
      const cuda::PassProblem pass{size,
                                   u,
                                   weight,
                                   prior,
                                   t == 0 ? nullptr : agreement,
                                   even,
                                   static_cast<int>(slice),
                                   partial,
                                   largest,
                                   total};
      const Coupling coupling = uniform       ? Coupling::kUniform
                                : over_inputs ? Coupling::kOverInputs
                                              : Coupling::kOverOutputs;
      with_options(dim, exact, [&](auto d, auto is_exact) {
        constexpr int kDim = decltype(d)::value;
        run_pass<kDim, decltype(is_exact)::value>(launch, pass, coupling);
        const int64_t vectors = batch * outputs;
        const cuda::CombineProblem combine{
            size,
            fastcaps::divide_up(inputs, slice),
            uniform,
            partial,
            over_inputs ? largest : nullptr,
            over_inputs ? total : nullptr,
            bias,
            s + t * vectors * dim,
            log_sum_exp + 2 * t * vectors,
            agreement,
            t == iterations - 1 ? v : nullptr,
            t == 0};
        gpu::Launch small = launch;
        small.blocks.x = static_cast<unsigned>(cuda::vector_blocks(size));
        small.threads.x = cuda::kVectorThreads;
        small.shared_bytes = cuda::kCombineSharedBytes;
        gpu::run(small, [&] { cuda::combine_kernel<kDim>(combine); });
      });
    }
  });
}
