// How tensors are stored. float16 and bfloat16 are raw bits here; arithmetic is in float.
#pragma once

#include <stdint.h>

namespace fastcaps {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

enum class Storage { kFloat32, kFloat64, kFloat16, kBFloat16 };

}  // namespace fastcaps
