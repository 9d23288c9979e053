// The sizes of a capsule layer: u [B][I][K], weight [I][K][J][D], v [B][J][D].
#pragma once

#include "storage.h"

namespace fastcaps {

struct Sizes {
  int64_t batch, inputs, in_dim, outputs, dim;

  FASTCAPS_ALWAYS_INLINE int64_t columns() const { return outputs * dim; }
};

FASTCAPS_ALWAYS_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A number known to the compiler, as an argument.
template <int N>
struct Constant {
  static constexpr int value = N;
};

}  // namespace fastcaps
