// Between the passes over prediction vectors, on vectors [B][J][D] of any length, a warp to each:
// partial sums are added up in order, squashed, and added to V; and the same backward.
#pragma once

#include "../squash.cuh"

namespace fastcaps::cuda::any_sizes {

constexpr int kVectorThreads = 256;

inline int64_t vector_blocks(const Sizes& size) {
  return divide_up(size.batch * size.outputs * 32, kVectorThreads);
}

// A warp's vector; of one that does not exist there are no numbers.
template <class T>
class WarpVector {
 public:
  __device__ __forceinline__ explicit WarpVector(const Sizes& size)
      : columns_(size.columns()),
        lane_(static_cast<int>(threadIdx.x) % 32),
        vector_((int64_t{blockIdx.x} * kVectorThreads + threadIdx.x) / 32),
        end_(vector_ < size.batch * size.outputs ? (vector_ + 1) * size.dim : 0),
        first_(vector_ * size.dim + lane_) {}

  // Calls f with the place of each of this lane's numbers.
  template <class F>
  __device__ __forceinline__ void each(const F& f) const {
    for (int64_t at = first_; at < end_; at += 32) f(at);
  }

  template <class F>
  __device__ __forceinline__ SquashedLength<T> squashed_length(const F& number) const {
    T largest = 1;  // a NaN is never larger, and reaches the result through n
    each([&](int64_t at) {
      const T value = number(at), magnitude = value < 0 ? -value : value;
      largest = magnitude > largest ? magnitude : largest;
    });
    const T inverse_scale = 1 / largest_of_row(largest, 32);
    T n = 0;
    each([&](int64_t at) {
      const T x = number(at) * inverse_scale;
      n += x * x;
    });
    return {inverse_scale, sum_of_row(n, 32)};
  }

  // Two numbers of this vector, in [B][J][2].
  __device__ __forceinline__ void store_pair(T* pairs, T first, T second) const {
    if (end_ == 0 || lane_ != 0) return;
    pairs[2 * vector_] = first;
    pairs[2 * vector_ + 1] = second;
  }

  // A bias [J][D] at a place of [B][J][D], 0 where there is none.
  template <class S>
  __device__ __forceinline__ T bias_at(const S* bias, int64_t at) const {
    return bias ? widen(bias[at % columns_]) : T(0);
  }

  // grad_s [B][J][D] = the gradient of squash at s + bias, times grad, all of this vector.
  template <class S, class F>
  __device__ __forceinline__ void store_squash_gradient(
      const T* s, const S* bias, const F& grad, T* grad_s) const {
    const auto biased = [&](int64_t at) { return s[at] + bias_at(bias, at); };
    const SquashedLength<T> length = squashed_length(biased);
    T dot = 0;
    each([&](int64_t at) { dot += biased(at) * length.inverse_scale * grad(at); });
    const SquashGradient<T> factors(length, sum_of_row(dot, 32));
    each([&](int64_t at) {
      const T x = biased(at) * length.inverse_scale;
      grad_s[at] = factors.of_grad * grad(at) + factors.of_x * x;
    });
  }

 private:
  const int64_t columns_;
  const int lane_;
  const int64_t vector_, end_, first_;
};

// The sum over slices [slices][B][J][D], in order.
template <class T>
__device__ __forceinline__ T
sum_of_slices(const T* partial, int64_t slices, int64_t stride, int64_t at) {
  T sum = 0;
#pragma unroll 4
  for (int64_t slice = 0; slice < slices; slice++) sum += partial[slice * stride + at];
  return sum;
}

template <class S>
struct CombineProblem {
  Sizes size;
  int64_t slices;
  const Compute<S>* partial;    // [slices][B][J][D]
  const S* bias;                // [J][D] or null
  Compute<S>* s;                // [B][J][D] of this iteration, written
  const Compute<S>* agreement;  // [B][J][D]: V, or null for 0
  Compute<S>* next_agreement;   // [B][J][D]: V of the next iteration, written; may be the same
  S* v;                         // [B][J][D], written, or null
  Compute<S>* log_sum_exp;      // [B][J][2] of a softmax of equal logits over inputs, or null
};

template <class S>
__global__ void __launch_bounds__(kVectorThreads, 1) combine_kernel(const CombineProblem<S> p) {
  typedef Compute<S> T;
  const WarpVector<T> vector(p.size);
  const int64_t stride = p.size.batch * p.size.columns();
  vector.each([&](int64_t at) { p.s[at] = sum_of_slices(p.partial, p.slices, stride, at); });
  const auto biased = [&](int64_t at) { return p.s[at] + vector.bias_at(p.bias, at); };
  const SquashedLength<T> length = vector.squashed_length(biased);
  const T factor = squash_factor(length.inverse_scale, length.n);
  vector.each([&](int64_t at) {
    const T v = biased(at) * factor;
    if (p.v) narrow(v, p.v[at]);
    p.next_agreement[at] = (p.agreement ? p.agreement[at] : 0) + v;
  });
  if (p.log_sum_exp) vector.store_pair(p.log_sum_exp, 0, log(static_cast<T>(p.size.inputs)));
}

// V of every iteration from the saved s, and dL/ds of the last one.
template <class S>
struct ReplayProblem {
  Sizes size;
  int64_t iterations, stride;  // from an iteration's vectors to the next one's
  const Compute<S>* s;         // [R][B][J][D]
  const S* bias;               // [J][D] or null
  const S* grad;               // [B][J][D]: dL/dv
  Compute<S>* agreement;       // [R][B][J][D], written
  Compute<S>* grad_s;          // [R][B][J][D]: that of the last iteration is written
};

template <class S>
__global__ void __launch_bounds__(kVectorThreads, 1) replay_kernel(const ReplayProblem<S> p) {
  typedef Compute<S> T;
  const WarpVector<T> vector(p.size);
  vector.each([&](int64_t at) { p.agreement[at] = 0; });
  for (int64_t t = 0; t + 1 < p.iterations; t++) {
    const T *s = p.s + t * p.stride, *before = p.agreement + t * p.stride;
    T* agreement = p.agreement + (t + 1) * p.stride;
    const auto biased = [&](int64_t at) { return s[at] + vector.bias_at(p.bias, at); };
    const SquashedLength<T> length = vector.squashed_length(biased);
    const T factor = squash_factor(length.inverse_scale, length.n);
    vector.each([&](int64_t at) { agreement[at] = before[at] + biased(at) * factor; });
  }
  const int64_t last = (p.iterations - 1) * p.stride;
  vector.store_squash_gradient(
      p.s + last, p.bias, [&](int64_t at) { return widen(p.grad[at]); }, p.grad_s + last);
}

template <class S>
struct CombineGradientsProblem {
  Sizes size;
  int64_t slices;
  const Compute<S>* partial;   // [slices][B][J][D]: of dL/dV of the iteration after this one
  const Compute<S>* s;         // [B][J][D] of this iteration
  const S* bias;               // [J][D] or null
  Compute<S>* grad_agreement;  // [B][J][D]: dL/dV of all iterations after this one, updated
  Compute<S>* grad_s;          // [B][J][D] of this iteration, written
  bool first;                  // grad_agreement is written, not updated
};

template <class S>
__global__ void __launch_bounds__(kVectorThreads, 1)
    combine_gradients_kernel(const CombineGradientsProblem<S> p) {
  typedef Compute<S> T;
  const WarpVector<T> vector(p.size);
  const int64_t stride = p.size.batch * p.size.columns();
  vector.each([&](int64_t at) {
    const T more = sum_of_slices(p.partial, p.slices, stride, at);
    p.grad_agreement[at] = p.first ? more : p.grad_agreement[at] + more;
  });
  vector.store_squash_gradient(
      p.s, p.bias, [&](int64_t at) { return p.grad_agreement[at]; }, p.grad_s);
}

}  // namespace fastcaps::cuda::any_sizes
