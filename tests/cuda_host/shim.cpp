// Kernels to test the shim itself with, right and wrong.
#include "entry.h"

namespace {

// Every block turns its threads' numbers around through shared memory.
template <bool BARRIER>
void reverse(int32_t* numbers) {
  auto* shared = static_cast<int32_t*>(gpu::shared_memory());
  const unsigned count = blockDim.x, first = blockIdx.x * count;
  shared[threadIdx.x] = numbers[first + threadIdx.x];
  if (BARRIER) __syncthreads();
  numbers[first + threadIdx.x] = shared[count - 1 - threadIdx.x];
}

// Each lane adds up its warp's numbers; the wrong one leaves the upper half out.
template <int WIDEST>
void sum_of_warp(int32_t* numbers) {
  int32_t& number = numbers[blockIdx.x * blockDim.x + threadIdx.x];
  for (int mask = WIDEST; mask > 0; mask /= 2) number += fastcaps::cuda::lane_xor(number, mask);
}

void lonely_lane(int32_t* numbers) {
  if (threadIdx.x == 3) return;
  numbers[threadIdx.x] = fastcaps::cuda::lane_xor(numbers[threadIdx.x], 1);
}

void half_at_the_barrier(int32_t* numbers) {
  if (threadIdx.x < 32) __syncthreads();
  numbers[threadIdx.x] = fastcaps::cuda::lane_xor(numbers[threadIdx.x], 1);
  if (threadIdx.x >= 32) fastcaps::cuda::lane_xor(1, threadIdx.x == 40 ? 2 : 1);
  if (threadIdx.x == 40) fastcaps::cuda::lane_xor(1, 1);
}

}  // namespace

// Runs the kernel of this name on blocks * threads numbers.
EXPORT const char* shim(const char* kernel, int32_t* numbers, int blocks, int threads, int order) {
  return error_of([&] {
    gpu::Launch launch;
    launch.blocks.x = blocks;
    launch.threads.x = threads;
    launch.shared_bytes = threads * sizeof(int32_t);
    set_order(launch, order);
    const std::string name = kernel;
    gpu::run(launch, [&] {
      if (name == "reverse") reverse<true>(numbers);
      if (name == "reverse without a barrier") reverse<false>(numbers);
      if (name == "sum of warp") sum_of_warp<16>(numbers);
      if (name == "sum of half a warp") sum_of_warp<8>(numbers);
      if (name == "lonely lane") lonely_lane(numbers);
      if (name == "half at the barrier") half_at_the_barrier(numbers);
    });
  });
}
