// Vectors of one instruction set, through the compiler's vector extensions.
//
// Each file kernels_<isa>.cpp defines FASTCAPS_ISA (a namespace) and FASTCAPS_VECTOR_BYTES, is
// compiled with that instruction set's flags, and includes these headers. They include nothing
// of the C++ library, so that no shared inline function is compiled with flags the machine may
// not have.
#pragma once

#include <stdint.h>

#include "../../sizes.h"

#define FASTCAPS_INLINE inline __attribute__((always_inline))
#define FASTCAPS_LAMBDA_INLINE __attribute__((always_inline))
#define FASTCAPS_UNROLL _Pragma("GCC unroll 32")

namespace fastcaps::FASTCAPS_ISA {

template <class T>
struct Simd {
  static constexpr int width = FASTCAPS_VECTOR_BYTES / sizeof(T);
  typedef T Vec __attribute__((vector_size(FASTCAPS_VECTOR_BYTES)));
  typedef T UnalignedVec
      __attribute__((vector_size(FASTCAPS_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
using Vec = typename Simd<T>::Vec;

template <class T>
inline constexpr int kWidth = Simd<T>::width;

template <class T>
FASTCAPS_INLINE Vec<T> load(const T* source) {
  return *reinterpret_cast<const typename Simd<T>::UnalignedVec*>(source);
}

template <class T>
FASTCAPS_INLINE void store(T* target, Vec<T> value) {
  *reinterpret_cast<typename Simd<T>::UnalignedVec*>(target) = value;
}

// x - 0 is x for every x, signed zeros included, so this compiles to a plain broadcast.
template <class T>
FASTCAPS_INLINE Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

// NaN in b is kept, NaN in a is not.
template <class V>
FASTCAPS_INLINE V maximum(V a, V b) {
  return a > b ? a : b;
}

// exp(x) for x <= 0 with a relative error of 1e-7 + 5e-8 |x| (float; 3e-9 |x| with FMA) or 4e-16
// (double). 0 where the result would not be a normal number; NaN gives NaN.
FASTCAPS_INLINE Vec<float> exp_nonpositive(Vec<float> x) {
  typedef int32_t Bits __attribute__((vector_size(FASTCAPS_VECTOR_BYTES)));
  const Bits below = x < -87.0f;
  x = maximum(broadcast(-87.0f), x);
  const Vec<float> shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const Vec<float> n = shifted - 12582912.0f;
  const Vec<float> r = x - n * 0.693147182f;
  Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Vec<float> result = p * (Vec<float>)(((Bits)shifted << 23) + (127 << 23));
  return below ? Vec<float>{} : result;
}

FASTCAPS_INLINE Vec<double> exp_nonpositive(Vec<double> x) {
  typedef int64_t Bits __attribute__((vector_size(FASTCAPS_VECTOR_BYTES)));
  const Bits below = x < -708.0;
  x = maximum(broadcast(-708.0), x);
  const Vec<double> shifted = x * 1.4426950408889634 + 6755399441055744.0;  // 1.5 * 2^52
  const Vec<double> n = shifted - 6755399441055744.0;
  Vec<double> r = x - n * 6.93147180369123816490e-1;
  r = r - n * 1.90821492927058770002e-10;
  Vec<double> p = broadcast(1.0 / 6227020800.0);
  constexpr double kInverseFactorials[] = {
      1.0 / 479001600.0,
      1.0 / 39916800.0,
      1.0 / 3628800.0,
      1.0 / 362880.0,
      1.0 / 40320.0,
      1.0 / 5040.0,
      1.0 / 720.0,
      1.0 / 120.0,
      1.0 / 24.0,
      1.0 / 6.0,
      0.5,
      1.0,
      1.0};
  FASTCAPS_UNROLL for (double coefficient : kInverseFactorials) p = p * r + coefficient;
  const Vec<double> result = p * (Vec<double>)(((Bits)shifted << 52) + (int64_t{1023} << 52));
  return below ? Vec<double>{} : result;
}

template <class T>
FASTCAPS_INLINE Vec<T> square_root(Vec<T> x) {
  Vec<T> result;
  FASTCAPS_UNROLL for (int lane = 0; lane < kWidth<T>; lane++) {
    if constexpr (sizeof(T) == 4) {
      result[lane] = __builtin_sqrtf(x[lane]);
    } else {
      result[lane] = __builtin_sqrt(x[lane]);
    }
  }
  return result;
}

template <class T>
FASTCAPS_INLINE T horizontal_sum(Vec<T> x) {
  T total = x[0];
  for (int lane = 1; lane < kWidth<T>; lane++) total += x[lane];
  return total;
}

}  // namespace fastcaps::FASTCAPS_ISA
