// float32 products out of bfloat16 ones.
//
// A float is exactly the sum of three bfloat16 numbers of eight bits each. Of the nine products of
// two such sums, six are above the rounding of float32. A number stored as bfloat16 is one term
// already, and two of the other factor are more than it needs.
#pragma once

#include "convert.h"
#include "matrices.h"

namespace fastcaps::FASTCAPS_ISA {

// Two numbers as a pair of bfloat16, rounded towards 0, so that none overflows.
FASTCAPS_INLINE Bits32 pair(Vec<float> low, Vec<float> high) {
  return (Bits32)low >> 16 | ((Bits32)high & 0xffff0000u);
}

FASTCAPS_INLINE Vec<float> without_leading(Vec<float> x) {
  return x - (Vec<float>)((Bits32)x & 0xffff0000u);
}

// The leading terms of two numbers, as pairs.
template <int TERMS>
FASTCAPS_INLINE void split(Vec<float> low, Vec<float> high, Bits32 (&terms)[TERMS]) {
  FASTCAPS_UNROLL for (int n = 0; n < TERMS; n++) {
    terms[n] = pair(low, high);
    low = without_leading(low);
    high = without_leading(high);
  }
}

FASTCAPS_INLINE void store_row(char* matrix, int64_t row, Bits32 values) {
  store(reinterpret_cast<uint32_t*>(matrix + row * 64), values);
}

// As bits, in the order of the magnitudes; infinity and NaN are above all others.
FASTCAPS_INLINE Bits32 magnitude(Vec<float> x) { return (Bits32)x & 0x7fffffffu; }

// Whether all numbers up to this magnitude may be split. Matrix products take what is below
// 2^-126 for 0, so the terms and products of tiny numbers would be lost; infinity has no terms.
inline bool splits(Bits32 largest) {
  constexpr uint32_t kLeast = (127 - 40) << 23, kMost = (127 + 60) << 23;  // 2^-40 and 2^60
  uint32_t overall = 0;
  for (int lane = 0; lane < kWidth<float>; lane++) {
    if (largest[lane] > overall) overall = largest[lane];
  }
  return overall == 0 || (overall >= kLeast && overall <= kMost);
}

// Which of kA matrices A, one for every term of the weights, and of kB matrices B, one for every
// term of the other factor, to multiply; small products first.
template <int WEIGHT_TERMS>
struct Terms {
  static constexpr int kA = 3, kB = 3, kProducts = 6;
  static constexpr int a[] = {2, 1, 1, 0, 0, 0}, b[] = {0, 1, 0, 2, 1, 0};
};
template <>
struct Terms<1> {
  static constexpr int kA = 1, kB = 2, kProducts = 2;
  static constexpr int a[] = {0, 0}, b[] = {1, 0};
};

// One weight twice in the depth of A, and both terms of the other factor in that of B.
struct TermsInDepth {
  static constexpr int kA = 1, kB = 1, kProducts = 1;
  static constexpr int a[] = {0}, b[] = {0};
};

inline constexpr int kFirstA = 2, kFirstB = 5;  // registers; 0 and 1 are sums

template <int COUNT, int FIRST>
FASTCAPS_INLINE void load_matrices(const char* source) {
  load_matrix<FIRST>(source);
  if constexpr (COUNT > 1) load_matrices<COUNT - 1, FIRST + 1>(source + kMatrixBytes);
}

// Sum += A B over all terms, with B in registers and each A loaded at its first use.
template <class TERMS, int SUM, int N = 0>
FASTCAPS_INLINE void multiply_terms(const char* weight) {
  if constexpr (N < TERMS::kProducts) {
    constexpr int a = TERMS::a[N];
    if constexpr (N == 0 || TERMS::a[N == 0 ? 0 : N - 1] != a) {
      load_matrix<kFirstA + a>(weight + a * kMatrixBytes);
    }
    multiply_matrices<SUM, kFirstA + a, kFirstB + TERMS::b[N]>();
    multiply_terms<TERMS, SUM, N + 1>(weight);
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
