// Products on tensor cores, and what moves numbers to and from them.
#pragma once

#include "rows.cuh"

namespace fastcaps::cuda {

// At least `size` numbers of shared memory, that end in this bank.
constexpr int padded(int size, int bank) { return size + (bank - size % 32 + 32) % 32; }

// What tensor cores leave out of a number in TF32: they take its upper 19 bits.
__device__ __forceinline__ float below_tf32(float x) { return x - upper_bits(x); }

// How much larger a product of two numbers is, on average, than that of what TF32 leaves of them:
// each loses 2^-11 / mantissa, where mantissas are as frequent as they are small.
constexpr float kTruncated = 1 + 2 * 0.7213f / 2048;

// sums += a b in TF32, or EXACT to float32: with what TF32 leaves out of every number.
template <bool EXACT>
__device__ __forceinline__ void multiply(
    float (&sums)[4], const float (&a)[4], const float (&b)[2]) {
  if constexpr (EXACT) {
    const float low_a[4] = {below_tf32(a[0]), below_tf32(a[1]), below_tf32(a[2]), below_tf32(a[3])};
    const float low_b[2] = {below_tf32(b[0]), below_tf32(b[1])};
    multiply_tf32(sums, low_a, b);
    multiply_tf32(sums, a, low_b);
  }
  multiply_tf32(sums, a, b);
}

// COUNT neighbouring numbers, a multiple of 2, from or to memory aligned to as many of them.
template <int COUNT>
__device__ __forceinline__ void load_numbers(const float* source, float (&values)[COUNT]) {
  constexpr int kAtOnce = COUNT % 4 == 0 ? 4 : 2;
  typedef Chunk<float, kAtOnce> Some;
#pragma unroll
  for (int n = 0; n < COUNT; n += kAtOnce) {
    const Some some = *reinterpret_cast<const Some*>(source + n);
#pragma unroll
    for (int m = 0; m < kAtOnce; m++) values[n + m] = some.values[m];
  }
}

template <int COUNT>
__device__ __forceinline__ void store_numbers(float* target, const float (&values)[COUNT]) {
  constexpr int kAtOnce = COUNT % 4 == 0 ? 4 : 2;
  typedef Chunk<float, kAtOnce> Some;
#pragma unroll
  for (int n = 0; n < COUNT; n += kAtOnce) {
    Some some;
#pragma unroll
    for (int m = 0; m < kAtOnce; m++) some.values[m] = values[n + m];
    *reinterpret_cast<Some*>(target + n) = some;
  }
}

}  // namespace fastcaps::cuda
