// Between two passes over the input capsules: adds the slices' sums up in order, squashes, agrees.
#pragma once

#include "vectors.cuh"

namespace fastcaps::cuda {

// Of a layer whose numbers are stored as S.
template <class S>
struct CombineProblem {
  Sizes size;
  int64_t slices;
  bool even;             // over inputs: the sums are weighted already
  const float* partial;  // [slices][B][J][D]
  const float* largest;  // [slices][B][J], over inputs, else null
  const float* total;    // [slices][B][J], over inputs, else null
  const S* bias;         // [J][D] or null
  float* s;              // [B][J][D] of this iteration, written
  float* log_sum_exp;    // [B][J][2] of this iteration, over inputs, written
  float* agreement;      // [B][J][D]: V, `first`: written, else updated
  S* v;                  // [B][J][D], written, or null
  bool first;
};

constexpr int64_t kCombineSharedBytes = int64_t{6} * kVectorThreads * sizeof(float);

template <class S, int D>
class Combine {
 public:
  __device__ __forceinline__ explicit Combine(const CombineProblem<S>& problem)
      : p_(problem), share_(problem.size) {}

  __device__ __forceinline__ void run() const {
    const bool is_relative = p_.largest && !p_.even;
    const Four s = is_relative ? mean_of_slices()
                               : sum_of_slices(share_, p_.partial, p_.slices, share_.vectors * D);
    if (threadIdx.x >= 32) return;
    if (p_.largest && p_.even) {
      keep_log_sum_exp(0, logf(static_cast<float>(p_.size.inputs)));
    }
    share_.store(p_.s, s);
    Four v = squash<D>(with_bias(share_, s, p_.bias, p_.size));
    if (p_.v) share_.store(p_.v, v);
    if (!p_.first && share_.exists) add(v, 1, share_.load(p_.agreement));
    share_.store(p_.agreement, v);
  }

 private:
  // Some slices of a softmax over inputs: weights are relative to the largest logit.
  struct Part {
    Four sum;
    float largest, total;
  };

  // In shared memory, behind the sums.
  __device__ __forceinline__ float* largest_of(int part) const {
    return shared_numbers() + 4 * kVectorThreads + 32 * part + share_.lane;
  }
  __device__ __forceinline__ float* total_of(int part) const {
    return largest_of(part) + kVectorThreads;
  }

  // Of slices each relative to its own largest logit; for the first warp.
  __device__ __forceinline__ Four mean_of_slices() const {
    const int part = static_cast<int>(threadIdx.x) / 32;
    const Part mine = weighted_sum(part);
    *left_by(part, share_.lane) = mine.sum;
    *largest_of(part) = mine.largest;
    *total_of(part) = mine.total;
    __syncthreads();
    float largest = -INFINITY, total = 0;
    Four sum = {};
    if (part != 0) return sum;
#pragma unroll
    for (int other = 0; other < kVectorParts; other++) {
      largest = fmaxf(largest, *largest_of(other));
    }
#pragma unroll
    for (int other = 0; other < kVectorParts; other++) {
      const float weight = expf(*largest_of(other) - largest);
      total += weight * *total_of(other);
      add(sum, weight, *left_by(other, share_.lane));
    }
#pragma unroll
    for (float& value : sum.values) value /= total;
    keep_log_sum_exp(largest, logf(total));
    return sum;
  }

  __device__ __forceinline__ Part weighted_sum(int part) const {
    const int64_t vector = share_.exists ? share_.vector : 0;
    Part result = {{}, -INFINITY, 0};
    for (int64_t slice = part; slice < p_.slices; slice += kVectorParts) {
      result.largest = fmaxf(result.largest, p_.largest[slice * share_.vectors + vector]);
    }
#pragma unroll 4
    for (int64_t slice = part; slice < p_.slices; slice += kVectorParts) {
      const int64_t first = slice * share_.vectors;
      const float weight = expf(p_.largest[first + vector] - result.largest);
      result.total += weight * p_.total[first + vector];
      add(result.sum, weight, share_.load(p_.partial + first * D));
    }
    return result;
  }

  __device__ __forceinline__ void keep_log_sum_exp(float largest, float rest) const {
    if (!share_.is_first_lane()) return;
    p_.log_sum_exp[2 * share_.vector] = largest;
    p_.log_sum_exp[2 * share_.vector + 1] = rest;
  }

  const CombineProblem<S>& p_;
  const VectorShare<D> share_;
};

template <class S, int D>
__global__ void __launch_bounds__(kVectorThreads) combine_kernel(const CombineProblem<S> problem) {
  Combine<S, D>(problem).run();
}

}  // namespace fastcaps::cuda
