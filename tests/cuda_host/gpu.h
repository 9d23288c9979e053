// Runs CUDA kernels on the host, for tests: what nvcc gives them, for another compiler.
//
// The threads of a block are fibers. One runs until it waits for others, at a barrier or in an
// exchange between the lanes of its warp; then another does. (Between two waits nothing
// interleaves, and an exchange orders memory, which a GPU promises for __syncwarp alone.) Which one
// is up to the order asked for, so that a missing barrier shows up as a wrong result in one order
// or another. Shared memory is full of NaN when a block starts. Waiting for a thread that never
// comes, lanes that meet in different exchanges, and writing beyond shared memory are errors.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#include "../../csrc/storage.h"

#define __device__
#define __forceinline__ inline
#define __global__
#define __host__
#define __launch_bounds__(...)
#define __restrict__

namespace gpu {

struct Size3 {
  unsigned x = 1, y = 1, z = 1;
};

enum class Order { kForward, kBackward, kShuffled };

struct Launch {
  Size3 blocks, threads;
  size_t shared_bytes = 0;
  Order order = Order::kForward;
  unsigned seed = 0;  // of a shuffled order
};

// Calls the kernel once for every thread. Throws std::runtime_error where real threads would wait
// for ever, and what a thread throws.
void run(const Launch& launch, const std::function<void()>& kernel);

// The running thread's.
const Size3& thread_index();
const Size3& block_index();
const Launch& launch();
void* shared_memory();

// Waits for all threads of the block that have not ended.
void wait_for_block();

constexpr int kLanes = 32;
constexpr int kSlotBytes = 64;

// Hands a value to the 31 other lanes of the warp and waits for theirs: [kLanes][kSlotBytes].
const char (*exchange(const char* name, const void* value, size_t bytes))[kSlotBytes];

// Of a block on the GPU that grants most.
constexpr size_t kMostSharedBytes = 232448;

// 16 bytes that arrive in shared memory when the group they are in is waited for; until then there
// is NaN.
void copy_later(void* shared, const void* source, bool exists);
void end_group_of_copies();
void wait_for_groups(int left);

}  // namespace gpu

#define threadIdx (gpu::thread_index())
#define blockIdx (gpu::block_index())
#define blockDim (gpu::launch().threads)
#define gridDim (gpu::launch().blocks)
#define __syncthreads() gpu::wait_for_block()

namespace fastcaps::cuda {

template <class T>
T lane_xor(T value, int mask) {
  static_assert(sizeof(T) <= gpu::kSlotBytes);
  const char (*slots)[gpu::kSlotBytes] = gpu::exchange("lane_xor", &value, sizeof(T));
  memcpy(&value, slots[(threadIdx.x % gpu::kLanes) ^ mask], sizeof(T));
  return value;
}

inline void wait_for_warp() {
  const char nothing = 0;
  gpu::exchange("wait_for_warp", &nothing, sizeof nothing);
}

float upper_bits(float x);
void multiply_tf32(float (&sums)[4], const float (&a)[4], const float (&b)[2]);

inline void copy_async(void* shared, const void* source, bool exists) {
  gpu::copy_later(shared, source, exists);
}
inline void commit_copies() { gpu::end_group_of_copies(); }
template <int LEFT>
void wait_for_copies() {
  gpu::wait_for_groups(LEFT);
}
inline int thread_again() { return static_cast<int>(threadIdx.x); }
inline float* shared_numbers() { return static_cast<float*>(gpu::shared_memory()); }

float widen(Half x);
float widen(BFloat16 x);
inline float widen(float x) { return x; }
inline double widen(double x) { return x; }

void narrow(float x, Half& target);
void narrow(float x, BFloat16& target);
inline void narrow(float x, float& target) { target = x; }
inline void narrow(double x, double& target) { target = x; }

}  // namespace fastcaps::cuda
