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

// The bits of a float become those of its roundings to float16 and, above, to bfloat16.
void narrow(int32_t* numbers) {
  int32_t& number = numbers[blockIdx.x * blockDim.x + threadIdx.x];
  float value;
  memcpy(&value, &number, sizeof value);
  fastcaps::Half half;
  fastcaps::BFloat16 brain;
  fastcaps::cuda::narrow(value, half);
  fastcaps::cuda::narrow(value, brain);
  number = static_cast<int32_t>(half.bits | static_cast<uint32_t>(brain.bits) << 16);
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

// Copies its block's numbers by way of shared memory, 4 of them to a thread; the wrong ones read
// before they have come, or start between two pieces.
template <bool WAIT, int SHIFT>
void copy(int32_t* numbers) {
  auto* shared = static_cast<int32_t*>(gpu::shared_memory()) + 4 * threadIdx.x;
  int32_t* mine = numbers + 4 * (blockIdx.x * blockDim.x + threadIdx.x);
  fastcaps::cuda::copy_async(shared + SHIFT, mine, true);
  fastcaps::cuda::commit_copies();
  if (WAIT) fastcaps::cuda::wait_for_copies<0>();
  for (int n = 0; n < 4; n++) mine[n] = shared[n] + 1;
}

// What has not come is no number without its lower bits, either.
void round_poison(int32_t* numbers) {
  const auto* shared = static_cast<const float*>(gpu::shared_memory());
  numbers[blockIdx.x * blockDim.x + threadIdx.x] =
      isnan(fastcaps::cuda::upper_bits(shared[threadIdx.x]));
}

void write_beyond(int32_t*) {
  static_cast<char*>(gpu::shared_memory())[gpu::launch().shared_bytes] = 0;
}

void go_apart(int32_t*) {
  if (threadIdx.x % 2 == 0) fastcaps::cuda::wait_for_warp();
  if (threadIdx.x % 2 == 1) fastcaps::cuda::lane_xor(1, 1);
}

}  // namespace

// Runs the kernel of this name on blocks * threads numbers.
EXPORT const char* shim(const char* kernel, int32_t* numbers, int blocks, int threads, int order) {
  return error_of([&] {
    gpu::Launch launch;
    launch.blocks.x = blocks;
    launch.threads.x = threads;
    const std::string name = kernel;
    launch.shared_bytes = name == "too much" ? 240000 : 4 * threads * sizeof(int32_t);
    set_order(launch, order);
    gpu::run(launch, [&] {
      if (name == "reverse") reverse<true>(numbers);
      if (name == "reverse without a barrier") reverse<false>(numbers);
      if (name == "sum of warp") sum_of_warp<16>(numbers);
      if (name == "sum of half a warp") sum_of_warp<8>(numbers);
      if (name == "narrow") narrow(numbers);
      if (name == "lonely lane") lonely_lane(numbers);
      if (name == "half at the barrier") half_at_the_barrier(numbers);
      if (name == "copy") copy<true, 0>(numbers);
      if (name == "copy without waiting") copy<false, 0>(numbers);
      if (name == "misaligned copy") copy<true, 1>(numbers);
      if (name == "round poison") round_poison(numbers);
      if (name == "write beyond") write_beyond(numbers);
      if (name == "go apart") go_apart(numbers);
    });
  });
}
