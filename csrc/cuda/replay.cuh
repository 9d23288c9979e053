// Between the passes of the gradients: V of every iteration from its saved s, and dL/ds through
// squash from dL/dv, which is dL/dV of the iterations after it.
#pragma once

#include "vectors.cuh"

namespace fastcaps::cuda {

// Of a layer whose numbers are stored as S.
template <class S>
struct ReplayProblem {
  Sizes size;
  int64_t iterations;
  const float* s;    // [R][B][J][D]
  const S* bias;     // [J][D] or null
  const S* grad;     // [B][J][D]: dL/dv
  float* agreement;  // [R][B][J][D]: V of every iteration, written
  float* grad_s;     // [R][B][J][D]: that of the last iteration is written
  float* center;     // [R][B][J]: s . ds, likewise, or null
};

// Stores dL/ds of an iteration, and s . ds: over inputs the mean of the slopes u_hat . ds.
template <int D, class S>
__device__ __forceinline__ void store_gradient(
    const VectorShare<D>& share, const Sizes& size, const S* bias, const Four& s, const Four& grad,
    float* grad_s, float* center) {
  const Four ds = squash_gradient<D>(with_bias(share, s, bias, size), grad);
  share.store(grad_s, ds);
  const float mean = dot<D>(s, ds);
  if (center && share.is_first_lane()) center[share.vector] = mean;
}

// Blocks of one warp.
template <class S, int D>
__global__ void __launch_bounds__(32) replay_kernel(const ReplayProblem<S> p) {
  const VectorShare<D> share(p.size);
  const int64_t stride = share.vectors * D, last = p.iterations - 1;
  Four total = {};
  for (int64_t t = 0; t < last; t++) {
    share.store(p.agreement + t * stride, total);
    const Four s = share.load(p.s + t * stride);
    add(total, 1, squash<D>(with_bias(share, s, p.bias, p.size)));
  }
  share.store(p.agreement + last * stride, total);
  store_gradient(
      share, p.size, p.bias, share.load(p.s + last * stride), share.load(p.grad),
      p.grad_s + last * stride, p.center ? p.center + last * share.vectors : nullptr);
}

template <class S>
struct CombineGradientsProblem {
  Sizes size;
  int64_t slices;
  const float* partial;   // [slices][B][J][D]: of dL/dV of the iteration after this one
  const float* s;         // [B][J][D] of this iteration
  const S* bias;          // [J][D] or null
  float* grad_agreement;  // [B][J][D]: dL/dV of all iterations after this one, updated
  float* grad_s;          // [B][J][D] of this iteration, written
  float* center;          // [B][J] of this iteration, written, or null
  bool first;             // grad_agreement is written, not updated
};

constexpr int64_t kCombineGradientsSharedBytes = int64_t{4} * kVectorThreads * sizeof(float);

template <class S, int D>
__global__ void __launch_bounds__(kVectorThreads)
    combine_gradients_kernel(const CombineGradientsProblem<S> p) {
  const VectorShare<D> share(p.size);
  Four grad = sum_of_slices(share, p.partial, p.slices, share.vectors * D);
  if (threadIdx.x >= 32) return;
  if (!p.first && share.exists) add(grad, 1, share.load(p.grad_agreement));
  share.store(p.grad_agreement, grad);
  store_gradient(share, p.size, p.bias, share.load(p.s), grad, p.grad_s, p.center);
}

}  // namespace fastcaps::cuda
