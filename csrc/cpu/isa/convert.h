// Widening loads and rounding stores between storage types and the types computed in.
#pragma once

#include "../../storage.h"
#include "simd.h"

namespace fastcaps::FASTCAPS_ISA {

typedef uint16_t Bits16 __attribute__((vector_size(FASTCAPS_VECTOR_BYTES / 2)));
typedef uint32_t Bits32 __attribute__((vector_size(FASTCAPS_VECTOR_BYTES)));
typedef uint16_t UnalignedBits16
    __attribute__((vector_size(FASTCAPS_VECTOR_BYTES / 2), aligned(2), may_alias));

FASTCAPS_INLINE Bits32 load_bits16(const void* source) {
  const Bits16 bits = *reinterpret_cast<const UnalignedBits16*>(source);
  return __builtin_convertvector(bits, Bits32);
}

FASTCAPS_INLINE void store_bits16(void* target, Bits32 bits) {
  *reinterpret_cast<UnalignedBits16*>(target) = __builtin_convertvector(bits, Bits16);
}

FASTCAPS_INLINE Vec<float> widen(const float* source) { return load(source); }
FASTCAPS_INLINE Vec<double> widen(const double* source) { return load(source); }

FASTCAPS_INLINE Vec<float> widen(const BFloat16* source) {
  return (Vec<float>)(load_bits16(source) << 16);
}

FASTCAPS_INLINE Vec<float> widen(const Half* source) {
  const Bits32 half = load_bits16(source);
  const Bits32 magnitude = (half & 0x7fffu) << 13;
  // 2^112 moves the exponent from half's bias to float's, subnormals included.
  const Bits32 finite = (Bits32)((Vec<float>)magnitude * 0x1p112f);
  const Bits32 special = magnitude | 0x7f800000u;
  const Bits32 value = magnitude >= 0x0f800000u ? special : finite;
  return (Vec<float>)(value | (half & 0x8000u) << 16);
}

FASTCAPS_INLINE void narrow(float* target, Vec<float> value) { store(target, value); }
FASTCAPS_INLINE void narrow(double* target, Vec<double> value) { store(target, value); }

FASTCAPS_INLINE void narrow(BFloat16* target, Vec<float> value) {
  const Bits32 bits = (Bits32)value;
  const Bits32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Bits32 nan = (bits >> 16) | 0x40u;
  store_bits16(target, (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

FASTCAPS_INLINE void narrow(Half* target, Vec<float> value) {
  const Bits32 bits = (Bits32)value;
  const Bits32 magnitude = bits & 0x7fffffffu;
  const Bits32 normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Adding 0.5 leaves the subnormal half, rounded, in the low bits.
  const Bits32 subnormal = (Bits32)((Vec<float>)magnitude + 0.5f) - 0x3f000000u;
  const Bits32 infinity = magnitude - magnitude + 0x7c00u;
  const Bits32 nan = infinity | 0x200u;
  Bits32 half = magnitude < (113u << 23) ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? infinity : half;
  half = magnitude > 0x7f800000u ? nan : half;
  store_bits16(target, half | (bits >> 16 & 0x8000u));
}

// One value at the end of a row, where a whole vector would not fit.
template <class T, class S>
FASTCAPS_INLINE T widen_one(const S* source) {
  if constexpr (sizeof(S) == sizeof(T)) {
    return *source;
  } else {
    S padded[kWidth<T>] = {};
    padded[0] = *source;
    return widen(padded)[0];
  }
}

template <class T, class S>
FASTCAPS_INLINE void narrow_one(S* target, T value) {
  if constexpr (sizeof(S) == sizeof(T)) {
    *target = value;
  } else {
    S padded[kWidth<T>];
    narrow(padded, broadcast(value));
    *target = padded[0];
  }
}

template <class T, class S>
void widen_array(const S* source, int64_t count, T* target) {
  int64_t n = 0;
  for (; n + kWidth<T> <= count; n += kWidth<T>) store(target + n, widen(source + n));
  for (; n < count; n++) target[n] = widen_one<T>(source + n);
}

template <class T, class S>
void narrow_array(const T* source, int64_t count, S* target) {
  int64_t n = 0;
  for (; n + kWidth<T> <= count; n += kWidth<T>) narrow(target + n, load(source + n));
  for (; n < count; n++) narrow_one(target + n, source[n]);
}

}  // namespace fastcaps::FASTCAPS_ISA
