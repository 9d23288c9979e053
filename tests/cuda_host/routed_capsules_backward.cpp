#include "../../csrc/cuda/agreement_gradients.cuh"
#include "../../csrc/cuda/replay.cuh"
#include "../../csrc/cuda/weight_gradients.cuh"
#include "entry.h"

namespace cuda = fastcaps::cuda;

namespace {

// The sizes of a launch, and what it launches.
template <class F>
void launch(const gpu::Launch& order, int64_t x, int64_t y, int threads, int64_t bytes, F kernel) {
  gpu::Launch launch = order;
  launch.blocks.x = static_cast<unsigned>(x);
  launch.blocks.y = static_cast<unsigned>(y);
  launch.threads.x = static_cast<unsigned>(threads);
  launch.shared_bytes = bytes;
  gpu::run(launch, kernel);
}

struct Call {
  gpu::Launch order;
  cuda::GradientProblem layer;
  const float *bias, *grad, *s, *log_sum_exp;
  float *agreement, *grad_s, *center, *grad_agreement, *partial;
  float *grad_u, *grad_weight, *grad_prior;
  int64_t iterations;
  int slice;
};

template <int D, bool OVER_INPUTS, bool EXACT>
void run(const Call& call) {
  const fastcaps::Sizes& size = call.layer.size;
  const int64_t vectors = size.batch * size.outputs, stride = vectors * D;
  const int64_t slices = fastcaps::divide_up(size.inputs, call.slice);
  float* center = OVER_INPUTS ? call.center : nullptr;
  const cuda::ReplayProblem replay{size,      call.iterations, call.s,      call.bias,
                                   call.grad, call.agreement,  call.grad_s, center};
  launch(call.order, cuda::vector_blocks(size), 1, 32, 0, [&] { cuda::replay_kernel<D>(replay); });
  const int64_t first = call.layer.detached ? call.iterations - 1 : 0;
  for (int64_t t = call.iterations - 1; t > first; t--) {
    const cuda::AgreementGradientsProblem pass{
        call.layer,
        call.agreement + t * stride,
        call.grad_s + t * stride,
        call.log_sum_exp + 2 * t * vectors,
        call.center + t * vectors,
        call.slice,
        call.partial};
    typedef cuda::AgreementGradients<D, OVER_INPUTS, EXACT> Pass;
    launch(
        call.order, fastcaps::divide_up(size.batch, cuda::kAgreementSamples), slices,
        cuda::kGradientThreads, Pass::kSharedBytes,
        [&] { cuda::agreement_gradients_kernel<D, OVER_INPUTS, EXACT>(pass); });
    const cuda::CombineGradientsProblem combine{
        size,
        slices,
        call.partial,
        call.s + (t - 1) * stride,
        call.bias,
        call.grad_agreement,
        call.grad_s + (t - 1) * stride,
        center ? center + (t - 1) * vectors : nullptr,
        t == call.iterations - 1};
    launch(
        call.order, cuda::vector_blocks(size), 1, cuda::kVectorThreads,
        cuda::kCombineGradientsSharedBytes, [&] { cuda::combine_gradients_kernel<D>(combine); });
  }
  const float even = call.layer.prior ? 0 : 1.0f / (OVER_INPUTS ? size.inputs : size.outputs);
  const cuda::WeightGradientsProblem weights{
      call.layer,
      call.agreement,
      call.grad_s,
      call.log_sum_exp,
      call.center,
      static_cast<int>(first),
      static_cast<int>(call.iterations),
      even,
      call.grad_u,
      call.grad_weight,
      call.grad_prior};
  launch(
      call.order, fastcaps::divide_up(size.inputs, cuda::kGradientInputs), 1,
      cuda::kGradientThreads, cuda::WeightGradients<D, OVER_INPUTS, EXACT>::kSharedBytes,
      [&] { cuda::weight_gradients_kernel<D, OVER_INPUTS, EXACT>(weights); });
}

template <int D>
void run(const Call& call, bool over_inputs, bool exact) {
  if (over_inputs) {
    exact ? run<D, true, true>(call) : run<D, true, false>(call);
  } else {
    exact ? run<D, false, true>(call) : run<D, false, false>(call);
  }
}

}  // namespace

// Gradients from what `route` saved, in float32; K = 8 and D = 16 or 32. `partial` holds a number
// for each slice and every number of v; `center` one for each iteration, sample and output capsule.
EXPORT const char* route_backward(
    const float* grad, const float* u, const float* weight, const float* bias, const float* prior,
    const float* s, const float* log_sum_exp, float* agreement, float* grad_s, float* center,
    float* grad_agreement, float* partial, float* grad_u, float* grad_weight, float* grad_prior,
    int64_t batch, int64_t inputs, int64_t outputs, int64_t dim, int64_t iterations,
    int over_inputs, int detached, int exact, int64_t slice, int order) {
  return error_of([&] {
    const fastcaps::Sizes size{batch, inputs, 8, outputs, dim};
    Call call{{},          {size, u, weight, prior, detached != 0},
              bias,        grad,
              s,           log_sum_exp,
              agreement,   grad_s,
              center,      grad_agreement,
              partial,     grad_u,
              grad_weight, grad_prior,
              iterations,  static_cast<int>(slice)};
    set_order(call.order, order);
    dim == 16 ? run<16>(call, over_inputs, exact) : run<32>(call, over_inputs, exact);
  });
}
