// How tensors are stored. float16 and bfloat16 are raw bits here; arithmetic is in float.
#pragma once

#include <stdint.h>

// Functions shared by all instruction sets are compiled with every set's flags; inlined always,
// none of their copies can be the one that the linker keeps for all.
#if defined(__CUDACC__)
#define FASTCAPS_ALWAYS_INLINE __host__ __device__ __forceinline__
#else
#define FASTCAPS_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

namespace fastcaps {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

enum class Storage { kFloat32, kFloat64, kFloat16, kBFloat16 };

FASTCAPS_ALWAYS_INLINE int64_t element_size(Storage storage) {
  return storage == Storage::kFloat64 ? 8 : storage == Storage::kFloat32 ? 4 : 2;
}

}  // namespace fastcaps
