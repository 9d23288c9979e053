// The layer as kernels for any sizes read it. Rows of the weight are pairs (i, k), as in its
// memory. Numbers for every pair (i, j) and sample, as coupling coefficients, lie in memory as
// [I][J][B].
#pragma once

#include "tile_product.cuh"

namespace fastcaps::cuda::any_sizes {

// Numbers that are equally far from each other in memory; 0 beyond their end.
template <class S>
struct Strided {
  const S* start;
  int stride, count;

  __device__ __forceinline__ Compute<S> operator()(int n) const {
    return n < count ? widen(start[int64_t{n} * stride]) : Compute<S>(0);
  }
  // Those from the n-th on.
  __device__ __forceinline__ Strided from(int64_t n) const {
    return {start + n * stride, stride, count - static_cast<int>(n)};
  }
};

// Numbers are stored as S. There are none of rows or d that do not exist.
template <class S>
struct Layer {
  typedef Compute<S> T;

  Sizes size;       // see check_sizes in launch.cuh
  const S* u;       // [B][I][K]
  const S* weight;  // [I][K][J][D]

  FASTCAPS_ALWAYS_INLINE int in_dim() const { return static_cast<int>(size.in_dim); }
  FASTCAPS_ALWAYS_INLINE int rows() const { return static_cast<int>(size.inputs) * in_dim(); }
  FASTCAPS_ALWAYS_INLINE int64_t pairs() const { return size.inputs * size.outputs; }

  FASTCAPS_ALWAYS_INLINE int columns() const { return static_cast<int>(size.columns()); }
  FASTCAPS_ALWAYS_INLINE int samples() const { return static_cast<int>(size.batch); }

  // A row's numbers of all samples, in u and in [I][J][B].
  __device__ __forceinline__ Strided<S> inputs(int64_t row) const {
    return {u + row, rows(), row < rows() ? samples() : 0};
  }
  __device__ __forceinline__ Strided<T> of_pair(
      const T* numbers, int64_t row, int64_t output) const {
    const int64_t pair = static_cast<int>(row) / in_dim() * size.outputs + output;
    return {numbers + pair * size.batch, 1, row < rows() ? samples() : 0};
  }
  // The numbers d of an output capsule, of all rows in the weight and of all samples in [B][J][D].
  __device__ __forceinline__ Strided<S> weights(int64_t output, int64_t d) const {
    return {weight + output * size.dim + d, columns(), d < size.dim ? rows() : 0};
  }
  __device__ __forceinline__ Strided<T> vectors(const T* vectors, int64_t output, int64_t d) const {
    return {vectors + output * size.dim + d, columns(), d < size.dim ? samples() : 0};
  }
};

// What a pair (i, j) has for every sample.
template <class T>
struct OfPair {
  Strided<T> numbers;
  T even;  // what all have, where there are no numbers; else 0

  __device__ __forceinline__ T operator()(int sample) const { return numbers(sample) + even; }
  __device__ __forceinline__ OfPair from(int64_t sample) const {
    return {numbers.from(sample), even};
  }
};

// Numbers for every pair and sample.
template <class T>
struct OfPairs {
  const T* numbers;  // [I][J][B], or null
  T even;            // what all have, where there are none; else 0

  template <class S>
  __device__ __forceinline__ OfPair<T> of(
      const Layer<S>& layer, int64_t row, int64_t output) const {
    return {numbers ? layer.of_pair(numbers, row, output) : Strided<T>{}, even};
  }
};

// A row's inputs times what the pair (i, j) has.
template <class S>
struct WeighedInputs {
  Strided<S> inputs;
  OfPair<Compute<S>> weights;

  __device__ __forceinline__ Compute<S> operator()(int sample) const {
    return inputs(sample) * weights(sample);
  }
};

// A block's number, taken apart: `outer` counts tiles of rows or slices, which come last, so that
// blocks at work together read the same weights.
struct BlockPlace {
  int64_t inner, output, outer;

  __device__ __forceinline__ BlockPlace(int64_t inner_count, int64_t outputs)
      : inner(blockIdx.x % inner_count),
        output(blockIdx.x / inner_count % outputs),
        outer(blockIdx.x / inner_count / outputs) {}
};

}  // namespace fastcaps::cuda::any_sizes
