// Between two passes over the input capsules: adds the slices' sums up in order, squashes, agrees.
// D / 4 lanes of a warp do one output capsule of one sample.
#pragma once

#include "squash.cuh"

namespace fastcaps::cuda {

struct CombineProblem {
  Sizes size;
  int64_t slices;
  bool even;             // over inputs: the sums are weighted already
  const float* partial;  // [slices][B][J][D]
  const float* largest;  // [slices][B][J], over inputs, else null
  const float* total;    // [slices][B][J], over inputs, else null
  const float* bias;     // [J][D] or null
  float* s;              // [B][J][D] of this iteration, written
  float* log_sum_exp;    // [B][J][2] of this iteration, over inputs, written
  float* agreement;      // [B][J][D]: V, `first`: written, else updated
  float* v;              // [B][J][D], written, or null
  bool first;
};

constexpr int kCombineThreads = 128;

template <int D>
class Combine {
 public:
  __device__ __forceinline__ explicit Combine(const CombineProblem& problem)
      : p_(problem),
        vectors_(problem.size.batch * problem.size.outputs),
        vector_((static_cast<int64_t>(blockIdx.x) * kCombineThreads + threadIdx.x) / kLanes),
        exists_(vector_ < vectors_),
        at_((exists_ ? vector_ : 0) * D + static_cast<int>(threadIdx.x) % kLanes * 4) {}

  __device__ __forceinline__ void run() const {
    Four s = p_.largest && !p_.even ? weighted_sum() : sum();
    if (p_.largest && p_.even) {
      keep_log_sum_exp(0, logf(static_cast<float>(p_.size.inputs)));
    }
    if (exists_) store(p_.s, s);
    if (p_.bias) {
      const Four bias = load(p_.bias + at_ % (p_.size.outputs * D));
#pragma unroll
      for (int n = 0; n < 4; n++) s.values[n] += bias.values[n];
    }
    Four v = squashed(s);
    if (!exists_) return;
    if (p_.v) store(p_.v, v);
    if (!p_.first) {
      const Four before = load(p_.agreement + at_);
#pragma unroll
      for (int n = 0; n < 4; n++) v.values[n] += before.values[n];
    }
    store(p_.agreement, v);
  }

 private:
  typedef Chunk<float, 4> Four;
  static constexpr int kLanes = D / 4;

  __device__ __forceinline__ static Four load(const float* source) {
    return *reinterpret_cast<const Four*>(source);
  }
  __device__ __forceinline__ void store(float* target, const Four& values) const {
    *reinterpret_cast<Four*>(target + at_) = values;
  }

  __device__ __forceinline__ Four sum() const {
    Four sum = {};
#pragma unroll 8
    for (int64_t slice = 0; slice < p_.slices; slice++) {
      const Four part = load(p_.partial + slice * vectors_ * D + at_);
#pragma unroll
      for (int n = 0; n < 4; n++) sum.values[n] += part.values[n];
    }
    return sum;
  }

  // Slices of a softmax over inputs, each relative to its own largest logit.
  __device__ __forceinline__ Four weighted_sum() const {
    const int64_t vector = exists_ ? vector_ : 0;
    float largest = p_.largest[vector];
    for (int64_t slice = 1; slice < p_.slices; slice++) {
      largest = fmaxf(largest, p_.largest[slice * vectors_ + vector]);
    }
    Four sum = {};
    float total = 0;
#pragma unroll 4
    for (int64_t slice = 0; slice < p_.slices; slice++) {
      const float share = expf(p_.largest[slice * vectors_ + vector] - largest);
      total += share * p_.total[slice * vectors_ + vector];
      const Four part = load(p_.partial + slice * vectors_ * D + at_);
#pragma unroll
      for (int n = 0; n < 4; n++) sum.values[n] += share * part.values[n];
    }
#pragma unroll
    for (float& value : sum.values) value /= total;
    keep_log_sum_exp(largest, logf(total));
    return sum;
  }

  __device__ __forceinline__ void keep_log_sum_exp(float largest, float rest) const {
    if (!exists_ || threadIdx.x % kLanes != 0) return;
    p_.log_sum_exp[2 * vector_] = largest;
    p_.log_sum_exp[2 * vector_ + 1] = rest;
  }

  __device__ __forceinline__ static Four squashed(const Four& s) {
    float scale = 1;  // a NaN is never larger, and reaches the result through n
#pragma unroll
    for (float value : s.values) scale = fmaxf(scale, fabsf(value));
    const float inverse = 1 / largest_of_row(scale, kLanes);
    float n = 0;
#pragma unroll
    for (float value : s.values) n += value * inverse * (value * inverse);
    const float factor = squash_factor(inverse, sum_of_row(n, kLanes));
    Four v;
#pragma unroll
    for (int m = 0; m < 4; m++) v.values[m] = s.values[m] * factor;
    return v;
  }

  const CombineProblem& p_;
  const int64_t vectors_, vector_;
  const bool exists_;
  const int64_t at_;
};

template <int D>
__global__ void __launch_bounds__(kCombineThreads) combine_kernel(const CombineProblem problem) {
  Combine<D>(problem).run();
}

// Blocks of combine_kernel.
inline int64_t combine_blocks(const Sizes& size) {
  return divide_up(size.batch * size.columns() / 4, kCombineThreads);
}

}  // namespace fastcaps::cuda
