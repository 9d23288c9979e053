// Squash of rows and its gradient. Both read and write the memory of every number once, which is
// all they cost: what a lane cannot hold it finds in the cache.
#pragma once

#include "rows.cuh"

namespace fastcaps::cuda {

// With x = s / scale and n = |x|^2 the results need neither |s|^2, which may overflow, nor a
// division by |s|, which may be 0.
template <class T>
struct SquashedLength {
  T inverse_scale, n;
};

// What a vector is multiplied by.
template <class T>
__device__ __forceinline__ T squash_factor(T inverse_scale, T n) {
  return sqrt(n) / (inverse_scale * inverse_scale + n) * inverse_scale;
}

// With x = s / scale, its gradient times grad is of_grad grad + of_x x.
template <class T>
struct SquashGradient {
  T of_grad, of_x;

  // Along x, not along s: its coefficient cannot underflow.
  __device__ __forceinline__ SquashGradient(const SquashedLength<T>& length, T x_dot_grad) {
    const T inverse = length.inverse_scale, n = length.n, root = sqrt(n);
    const T denominator = inverse * inverse + n;
    const T ratio = (inverse * inverse - n) / (denominator * denominator);
    of_grad = squash_factor(inverse, n);
    of_x = root == 0 ? 0 : ratio * (x_dot_grad / root) * inverse;
  }
};

template <class S, int COUNT, bool HELD>
__device__ __forceinline__ SquashedLength<Compute<S>> squashed_length(
    const Row<S, COUNT, HELD>& s, int lanes) {
  typedef Compute<S> T;
  T largest = 1;  // a NaN is never larger, and reaches the result through n
  s.each([&](const T(&values)[COUNT], int64_t) {
#pragma unroll
    for (T value : values) {
      const T magnitude = value < 0 ? -value : value;
      largest = magnitude > largest ? magnitude : largest;
    }
  });
  const T inverse_scale = 1 / largest_of_row(largest, lanes);
  T n = 0;
  s.each([&](const T(&values)[COUNT], int64_t) {
#pragma unroll
    for (T value : values) n += value * inverse_scale * (value * inverse_scale);
  });
  n = sum_of_row(n, lanes);
  return {inverse_scale, n};
}

template <class S, int COUNT, bool HELD>
__global__ void __launch_bounds__(RowLaunch::kThreads)
    squash_kernel(const S* s, S* v, int64_t rows, int64_t dim, int bits) {
  typedef Compute<S> T;
  const RowShare share(rows, dim, COUNT, bits);
  const Row<S, COUNT, HELD> row(share, s);
  const SquashedLength<T> length = squashed_length(row, share.lanes);
  const T factor = squash_factor(length.inverse_scale, length.n);
  row.each([&](const T(&values)[COUNT], int64_t n) {
    T squashed[COUNT];
#pragma unroll
    for (int m = 0; m < COUNT; m++) squashed[m] = values[m] * factor;
    store_chunk<S, COUNT>(share, n, squashed, v);
  });
}

// grad_s = f g + (1 - |s|^2) / (|s| (1 + |s|^2)^2) s (s.g)
template <class S, int COUNT, bool HELD>
__global__ void __launch_bounds__(RowLaunch::kThreads) squash_gradient_kernel(
    const S* s, const S* grad_v, S* grad_s, int64_t rows, int64_t dim, int bits) {
  typedef Compute<S> T;
  const RowShare share(rows, dim, COUNT, bits);
  const Row<S, COUNT, HELD> row(share, s), grad(share, grad_v);
  const SquashedLength<T> length = squashed_length(row, share.lanes);
  const T inverse = length.inverse_scale;
  T dot = 0;
  row.each([&](const T(&values)[COUNT], int64_t chunk) {
    T room[COUNT];
    const T(&incoming)[COUNT] = grad.at(chunk, room);
#pragma unroll
    for (int m = 0; m < COUNT; m++) dot += values[m] * inverse * incoming[m];
  });
  const SquashGradient<T> factors(length, sum_of_row(dot, share.lanes));
  row.each([&](const T(&values)[COUNT], int64_t chunk) {
    T room[COUNT], outgoing[COUNT];
    const T(&incoming)[COUNT] = grad.at(chunk, room);
#pragma unroll
    for (int m = 0; m < COUNT; m++) {
      outgoing[m] = factors.of_grad * incoming[m] + factors.of_x * (values[m] * inverse);
    }
    store_chunk<S, COUNT>(share, chunk, outgoing, grad_s);
  });
}

}  // namespace fastcaps::cuda
