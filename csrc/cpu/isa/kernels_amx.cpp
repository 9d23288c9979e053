#define FASTCAPS_ISA amx
#define FASTCAPS_VECTOR_BYTES 64
#include "matrix_kernels.h"

namespace fastcaps::amx {

Kernels<float> narrow_kernels() { return matrix_kernels<1>(); }
Kernels<float> wide_kernels() { return matrix_kernels<2>(); }

}  // namespace fastcaps::amx
