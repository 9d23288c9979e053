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

// Lets every lane of the warp see what the others wrote to memory before.
__device__ __forceinline__ void wait_for_warp() { __syncwarp(); }

// The upper 19 bits of a number, all that tensor cores read of one in TF32.
__device__ __forceinline__ float upper_bits(float x) {
  return __uint_as_float(__float_as_uint(x) & 0xffffe000u);
}

// sums [16][8] += a [16][8] b [8][8] of the upper bits of all numbers. With lane = 4 g + t, a lane
// has of a (row, column): (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); of b: (t, g), (t + 4, g);
// of the sums: (g, 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1).
__device__ __forceinline__ void multiply_tf32(
    float (&sums)[4], const float (&a)[4], const float (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

// Starts to copy 16 bytes to shared memory, or zeros where there is no source. They may be read
// after commit_copies, wait_for_copies and a barrier.
__device__ __forceinline__ void copy_async(void* shared, const void* source, bool exists) {
  const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source),
               "r"(exists ? 16 : 0)
               : "memory");
}

// Ends a group of this thread's copies.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until all groups but the last `LEFT` of this thread are there.
template <int LEFT>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

// threadIdx.x, asked for again: what follows from it is not kept in registers between two calls.
__device__ __forceinline__ int thread_again() {
  int number;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(number));
  return number;
}

// The block's shared memory, whose size is given at the launch; 16 byte aligned.
__device__ __forceinline__ float* shared_numbers() {
  extern __shared__ float4 shared[];
  return reinterpret_cast<float*>(shared);
}

}  // namespace fastcaps::cuda
#endif
