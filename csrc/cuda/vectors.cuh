// Vectors [B][J][D] by the lanes of warps, D / 4 to a vector, and sums of their slices.
#pragma once

#include "products.cuh"
#include "squash.cuh"

namespace fastcaps::cuda {

typedef Chunk<float, 4> Four;

// Blocks have eight warps: for sums of slices, so that there are loads enough under way, each takes
// every eighth; the first one ends the work.
constexpr int kVectorParts = 8;
constexpr int kVectorThreads = 32 * kVectorParts;

// Which numbers a lane has.
template <int D>
struct VectorShare {
  static constexpr int kLanes = D / 4;

  int64_t vectors;
  int lane;
  int64_t vector;
  bool exists;
  int64_t at;  // of four numbers

  __device__ __forceinline__ explicit VectorShare(const Sizes& size)
      : vectors(size.batch * size.outputs),
        lane(static_cast<int>(threadIdx.x) % 32),
        vector((static_cast<int64_t>(blockIdx.x) * 32 + lane) / kLanes),
        exists(vector < vectors),
        at((exists ? vector : 0) * D + lane % kLanes * 4) {}

  __device__ __forceinline__ bool is_first_lane() const { return exists && lane % kLanes == 0; }

  template <class S>
  __device__ __forceinline__ Four load(const S* vectors_of) const {
    Four values;
    load_numbers(vectors_of + at, values.values);
    return values;
  }
  template <class S>
  __device__ __forceinline__ void store(S* vectors_of, const Four& values) const {
    if (exists) store_numbers(vectors_of + at, values.values);
  }
};

// Blocks of a kernel on vectors.
inline int64_t vector_blocks(const Sizes& size) {
  return divide_up(size.batch * size.columns() / 4, 32);
}

__device__ __forceinline__ void add(Four& sum, float share, const Four& more) {
#pragma unroll
  for (int n = 0; n < 4; n++) sum.values[n] += share * more.values[n];
}

// s + bias [J][D], or s.
template <int D, class S>
__device__ __forceinline__ Four
with_bias(const VectorShare<D>& share, Four s, const S* bias, const Sizes& size) {
  if (!bias) return s;
  Four more;
  load_numbers(bias + share.at % (size.outputs * D), more.values);
  add(s, 1, more);
  return s;
}

// Of whole vectors.
template <int D>
__device__ __forceinline__ float dot(const Four& a, const Four& b) {
  float sum = 0;
#pragma unroll
  for (int n = 0; n < 4; n++) sum += a.values[n] * b.values[n];
  return sum_of_row(sum, VectorShare<D>::kLanes);
}

template <int D>
__device__ __forceinline__ SquashedLength<float> squashed_length(const Four& s) {
  float largest = 1;  // a NaN is never larger, and reaches the result through n
#pragma unroll
  for (float value : s.values) largest = fmaxf(largest, fabsf(value));
  const float inverse = 1 / largest_of_row(largest, VectorShare<D>::kLanes);
  Four x = {};
  add(x, inverse, s);
  return {inverse, dot<D>(x, x)};
}

template <int D>
__device__ __forceinline__ Four squash(const Four& s) {
  const SquashedLength<float> length = squashed_length<D>(s);
  Four v = {};
  add(v, squash_factor(length.inverse_scale, length.n), s);
  return v;
}

// The gradient of squash at s, times grad.
template <int D>
__device__ __forceinline__ Four squash_gradient(const Four& s, const Four& grad) {
  const SquashedLength<float> length = squashed_length<D>(s);
  Four x = {}, result = {};
  add(x, length.inverse_scale, s);
  const SquashGradient<float> factors(length, dot<D>(x, grad));
  add(result, factors.of_grad, grad);
  add(result, factors.of_x, x);
  return result;
}

// Where a block's first warp finds what each warp left of its slices, in shared memory.
__device__ __forceinline__ Four* left_by(int part, int lane) {
  return reinterpret_cast<Four*>(shared_numbers()) + 32 * part + lane;
}

// The sum over slices [slices][B][J][D], in order; for the first warp, and all must ask.
template <int D>
__device__ __forceinline__ Four
sum_of_slices(const VectorShare<D>& share, const float* partial, int64_t slices, int64_t stride) {
  const int part = static_cast<int>(threadIdx.x) / 32;
  Four sum = {};
#pragma unroll 8
  for (int64_t slice = part; slice < slices; slice += kVectorParts) {
    add(sum, 1, share.load(partial + slice * stride));
  }
  *left_by(part, share.lane) = sum;
  __syncthreads();
  Four total = {};
  if (part == 0) {
#pragma unroll
    for (int other = 0; other < kVectorParts; other++) add(total, 1, *left_by(other, share.lane));
  }
  return total;
}

}  // namespace fastcaps::cuda
