// Between two passes over the input capsules: adds the slices' sums up in order, squashes, agrees.
// D / 4 lanes of a warp do one output capsule of one sample. The warps of a block take every eighth
// slice each, so that there are loads enough under way, and the first one adds up what they have.
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

constexpr int kCombineParts = 8;
constexpr int kCombineThreads = 32 * kCombineParts;
constexpr int64_t kCombineSharedBytes = int64_t{6} * kCombineThreads * sizeof(float);

template <int D>
class Combine {
 public:
  __device__ __forceinline__ explicit Combine(const CombineProblem& problem)
      : p_(problem),
        vectors_(problem.size.batch * problem.size.outputs),
        lane_(static_cast<int>(threadIdx.x) % 32),
        vector_((static_cast<int64_t>(blockIdx.x) * 32 + lane_) / kLanes),
        exists_(vector_ < vectors_),
        at_((exists_ ? vector_ : 0) * D + lane_ % kLanes * 4) {}

  __device__ __forceinline__ void run() const {
    const int part = static_cast<int>(threadIdx.x) / 32;
    leave(part, is_relative() ? weighted_sum(part) : sum(part));
    __syncthreads();
    if (part != 0) return;
    Four s = is_relative() ? weighted_mean() : total_sum();
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
  // Some slices' sum; of a softmax over inputs its weights are relative to the largest logit.
  struct Part {
    Four sum;
    float largest, total;
  };
  static constexpr int kLanes = D / 4;

  __device__ __forceinline__ static Four load(const float* source) {
    return *reinterpret_cast<const Four*>(source);
  }
  __device__ __forceinline__ void store(float* target, const Four& values) const {
    *reinterpret_cast<Four*>(target + at_) = values;
  }

  __device__ __forceinline__ bool is_relative() const { return p_.largest && !p_.even; }

  // In shared memory, a part of this lane.
  __device__ __forceinline__ void leave(int part, const Part& value) const {
    float* numbers = shared_numbers();
    const int place = 32 * part + lane_;
    *reinterpret_cast<Four*>(numbers + 4 * place) = value.sum;
    numbers[4 * kCombineThreads + place] = value.largest;
    numbers[5 * kCombineThreads + place] = value.total;
  }
  __device__ __forceinline__ Part left_by(int part) const {
    const float* numbers = shared_numbers();
    const int place = 32 * part + lane_;
    return {
        load(numbers + 4 * place), numbers[4 * kCombineThreads + place],
        numbers[5 * kCombineThreads + place]};
  }

  __device__ __forceinline__ static void add(Four& sum, float share, const Four& more) {
#pragma unroll
    for (int n = 0; n < 4; n++) sum.values[n] += share * more.values[n];
  }

  __device__ __forceinline__ Part sum(int part) const {
    Part result = {};
#pragma unroll 8
    for (int64_t slice = part; slice < p_.slices; slice += kCombineParts) {
      add(result.sum, 1, load(p_.partial + slice * vectors_ * D + at_));
    }
    return result;
  }

  // Slices of a softmax over inputs, each relative to its own largest logit.
  __device__ __forceinline__ Part weighted_sum(int part) const {
    const int64_t vector = exists_ ? vector_ : 0;
    Part result = {{}, -INFINITY, 0};
    for (int64_t slice = part; slice < p_.slices; slice += kCombineParts) {
      result.largest = fmaxf(result.largest, p_.largest[slice * vectors_ + vector]);
    }
#pragma unroll 4
    for (int64_t slice = part; slice < p_.slices; slice += kCombineParts) {
      const float share = expf(p_.largest[slice * vectors_ + vector] - result.largest);
      result.total += share * p_.total[slice * vectors_ + vector];
      add(result.sum, share, load(p_.partial + slice * vectors_ * D + at_));
    }
    return result;
  }

  __device__ __forceinline__ Four total_sum() const {
    Four sum = {};
#pragma unroll
    for (int part = 0; part < kCombineParts; part++) add(sum, 1, left_by(part).sum);
    return sum;
  }

  __device__ __forceinline__ Four weighted_mean() const {
    float largest = -INFINITY, total = 0;
#pragma unroll
    for (int part = 0; part < kCombineParts; part++) {
      largest = fmaxf(largest, left_by(part).largest);
    }
    Four sum = {};
#pragma unroll
    for (int part = 0; part < kCombineParts; part++) {
      const Part some = left_by(part);
      const float share = expf(some.largest - largest);
      total += share * some.total;
      add(sum, share, some.sum);
    }
#pragma unroll
    for (float& value : sum.values) value /= total;
    keep_log_sum_exp(largest, logf(total));
    return sum;
  }

  __device__ __forceinline__ void keep_log_sum_exp(float largest, float rest) const {
    if (!exists_ || lane_ % kLanes != 0) return;
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
  const int64_t vectors_;
  const int lane_;
  const int64_t vector_;
  const bool exists_;
  const int64_t at_;
};

template <int D>
__global__ void __launch_bounds__(kCombineThreads) combine_kernel(const CombineProblem problem) {
  Combine<D>(problem).run();
}

// Blocks of combine_kernel.
inline int64_t combine_blocks(const Sizes& size) {
  return divide_up(size.batch * size.columns() / 4, 32);
}

}  // namespace fastcaps::cuda
