// What kernels ask of the GPU beyond C++, one function each. The tests run the kernels on the host,
// with functions of the same names: tests/cuda_host/gpu.h.
#pragma once

#include "../storage.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace fastcaps::cuda {

// The value of the lane whose number differs by the bits of `mask`. All 32 lanes must ask.
template <class T>
__device__ __forceinline__ T lane_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(Half x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ __forceinline__ float widen(BFloat16 x) {
  return __bfloat162float(__ushort_as_bfloat16(x.bits));
}

// Rounds to the nearest number that S stores, to even where two are equally near.
__device__ __forceinline__ void narrow(float x, float& target) { target = x; }
__device__ __forceinline__ void narrow(double x, double& target) { target = x; }
__device__ __forceinline__ void narrow(float x, Half& target) {
  target.bits = __half_as_ushort(__float2half_rn(x));
}
__device__ __forceinline__ void narrow(float x, BFloat16& target) {
  target.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
}

}  // namespace fastcaps::cuda
#endif
