#include "../../csrc/cuda/agreement_gradients.cuh"
#include "../../csrc/cuda/replay.cuh"
#include "../../csrc/cuda/weight_gradients.cuh"
#include "entry.h"

namespace cuda = fastcaps::cuda;

namespace {

struct Call {
  gpu::Launch order;
  fastcaps::Sizes size;
  const void *u, *weight, *bias, *prior, *grad;
  const float *s, *log_sum_exp;
  float *agreement, *grad_s, *center, *grad_agreement, *partial;
  void *grad_u, *grad_weight, *grad_prior;
  int64_t iterations;
  bool detached;
  int slice;
};

template <class S>
const S* stored(const void* numbers) {
  return static_cast<const S*>(numbers);
}

template <class S, int D, bool OVER_INPUTS, bool EXACT>
void run(const Call& call) {
  const fastcaps::Sizes& size = call.size;
  const int64_t vectors = size.batch * size.outputs, stride = vectors * D;
  const int64_t slices = fastcaps::divide_up(size.inputs, call.slice);
  float* center = OVER_INPUTS ? call.center : nullptr;
  const S* bias = stored<S>(call.bias);
  const cuda::GradientProblem<S> layer{
      size, stored<S>(call.u), stored<S>(call.weight), stored<S>(call.prior), call.detached};
  const cuda::ReplayProblem<S> replay{
      size,           call.iterations, call.s, bias, stored<S>(call.grad),
      call.agreement, call.grad_s,     center};
  launch(
      call.order, cuda::vector_blocks(size), 1, 32, 0, [&] { cuda::replay_kernel<S, D>(replay); });
  const int64_t first = call.detached ? call.iterations - 1 : 0;
  for (int64_t t = call.iterations - 1; t > first; t--) {
    const cuda::AgreementGradientsProblem<S> pass{
        layer,
        call.agreement + t * stride,
        call.grad_s + t * stride,
        call.log_sum_exp + 2 * t * vectors,
        call.center + t * vectors,
        call.slice,
        call.partial};
    typedef cuda::AgreementGradients<S, D, OVER_INPUTS, EXACT> Pass;
    launch(
        call.order, fastcaps::divide_up(size.batch, cuda::kAgreementSamples), slices,
        cuda::kGradientThreads, Pass::kSharedBytes,
        [&] { cuda::agreement_gradients_kernel<S, D, OVER_INPUTS, EXACT>(pass); });
    const cuda::CombineGradientsProblem<S> combine{
        size,
        slices,
        call.partial,
        call.s + (t - 1) * stride,
        bias,
        call.grad_agreement,
        call.grad_s + (t - 1) * stride,
        center ? center + (t - 1) * vectors : nullptr,
        t == call.iterations - 1};
    launch(
        call.order, cuda::vector_blocks(size), 1, cuda::kVectorThreads,
        cuda::kCombineGradientsSharedBytes, [&] { cuda::combine_gradients_kernel<S, D>(combine); });
  }
  const float even = call.prior ? 0 : 1.0f / (OVER_INPUTS ? size.inputs : size.outputs);
  const cuda::WeightGradientsProblem<S> weights{
      layer,
      call.agreement,
      call.grad_s,
      call.log_sum_exp,
      call.center,
      static_cast<int>(first),
      static_cast<int>(call.iterations),
      even,
      static_cast<S*>(call.grad_u),
      static_cast<S*>(call.grad_weight),
      static_cast<S*>(call.grad_prior)};
  launch(
      call.order, fastcaps::divide_up(size.inputs, cuda::kGradientInputs), 1,
      cuda::kGradientThreads, cuda::WeightGradients<S, D, OVER_INPUTS, EXACT>::kSharedBytes,
      [&] { cuda::weight_gradients_kernel<S, D, OVER_INPUTS, EXACT>(weights); });
}

template <class S, int D, bool EXACT>
void run(const Call& call, bool over_inputs) {
  over_inputs ? run<S, D, true, EXACT>(call) : run<S, D, false, EXACT>(call);
}

template <int D>
void run(const Call& call, int64_t storage, bool over_inputs, bool exact) {
  with_storage(storage, [&](auto zero) {
    typedef decltype(zero) S;
    if (exact || sizeof(S) == 2) return run<S, D, true>(call, over_inputs);
    run<float, D, false>(call, over_inputs);
  });
}

}  // namespace

// Gradients from what `route` saved; K = 8 and D = 16 or 32. What the layer takes and its gradients
// are stored as `storage`, the rest as float32. `partial` holds a number for each slice and every
// number of v; `center` one for each iteration, sample and output capsule.
EXPORT const char* route_backward(
    const void* grad, const void* u, const void* weight, const void* bias, const void* prior,
    const float* s, const float* log_sum_exp, float* agreement, float* grad_s, float* center,
    float* grad_agreement, float* partial, void* grad_u, void* grad_weight, void* grad_prior,
    int64_t storage, int64_t batch, int64_t inputs, int64_t outputs, int64_t dim,
    int64_t iterations, int over_inputs, int detached, int exact, int64_t slice, int order) {
  return error_of([&] {
    Call call{
        {},
        {batch, inputs, 8, outputs, dim},
        u,
        weight,
        bias,
        prior,
        grad,
        s,
        log_sum_exp,
        agreement,
        grad_s,
        center,
        grad_agreement,
        partial,
        grad_u,
        grad_weight,
        grad_prior,
        iterations,
        detached != 0,
        static_cast<int>(slice)};
    set_order(call.order, order);
    dim == 16 ? run<16>(call, storage, over_inputs, exact)
              : run<32>(call, storage, over_inputs, exact);
  });
}
