// Products on tensor cores, and what moves numbers to and from them.
#pragma once

#include "rows.cuh"

namespace fastcaps::cuda {

// How many floats take as much memory as so many numbers stored as S.
template <class S>
constexpr int floats_of(int count) {
  return count * static_cast<int>(sizeof(S)) / 4;
}

// At least `size` numbers of shared memory, stored as S, that end in this bank.
template <class S>
constexpr int padded(int size, int bank) {
  const int floats = floats_of<S>(size);
  return (floats + (bank - floats % 32 + 32) % 32) * 4 / static_cast<int>(sizeof(S));
}

// What tensor cores leave out of a number in TF32: they take its upper 19 bits.
__device__ __forceinline__ float below_tf32(float x) { return x - upper_bits(x); }

// How much larger a product of two numbers is, on average, than that of what TF32 leaves of them:
// each loses 2^-11 / mantissa, where mantissas are as frequent as they are small.
constexpr float kTruncated = 1 + 2 * 0.7213f / 2048;

// Half types are short enough for TF32 to leave nothing out.
template <class S>
constexpr bool kFitsTF32 = sizeof(S) == 2;

// sums += a b in TF32, or EXACT to float32: with what TF32 leaves out of every number. All of b are
// stored as S.
template <class S, bool EXACT>
__device__ __forceinline__ void multiply(
    float (&sums)[4], const float (&a)[4], const float (&b)[2]) {
  if constexpr (EXACT) {
    const float low_a[4] = {below_tf32(a[0]), below_tf32(a[1]), below_tf32(a[2]), below_tf32(a[3])};
    multiply_tf32(sums, low_a, b);
    if constexpr (!kFitsTF32<S>) {
      const float low_b[2] = {below_tf32(b[0]), below_tf32(b[1])};
      multiply_tf32(sums, a, low_b);
    }
  }
  multiply_tf32(sums, a, b);
}

// How many of COUNT neighbouring numbers one instruction moves.
template <class S, int COUNT>
constexpr int kMovedAtOnce = COUNT % kWidestChunk<S> == 0 ? kWidestChunk<S>
                             : COUNT % 4 == 0             ? 4
                             : COUNT % 2 == 0             ? 2
                                                          : 1;

// COUNT neighbouring numbers, from or to memory aligned to as many of them.
template <int COUNT, class S, class T>
__device__ __forceinline__ void load_numbers(const S* source, T (&values)[COUNT]) {
  constexpr int kAtOnce = kMovedAtOnce<S, COUNT>;
  typedef Chunk<S, kAtOnce> Some;
#pragma unroll
  for (int n = 0; n < COUNT; n += kAtOnce) {
    const Some some = *reinterpret_cast<const Some*>(source + n);
#pragma unroll
    for (int m = 0; m < kAtOnce; m++) values[n + m] = widen(some.values[m]);
  }
}

template <int COUNT, class S, class T>
__device__ __forceinline__ void store_numbers(S* target, const T (&values)[COUNT]) {
  constexpr int kAtOnce = kMovedAtOnce<S, COUNT>;
  typedef Chunk<S, kAtOnce> Some;
#pragma unroll
  for (int n = 0; n < COUNT; n += kAtOnce) {
    Some some;
#pragma unroll
    for (int m = 0; m < kAtOnce; m++) narrow(values[n + m], some.values[m]);
    *reinterpret_cast<Some*>(target + n) = some;
  }
}

}  // namespace fastcaps::cuda
