// The matrix registers of AMX ("tiles" there; here a tile is one of samples): eight of 16 rows of
// 64 bytes.
//
// A product adds A [16][32] times B [32][16] to a sum [16][16] of floats. A and B are bfloat16; a
// row of B in memory holds two neighbouring rows of the matrix as pairs.
#pragma once

#include "simd.h"

namespace fastcaps::FASTCAPS_ISA {

inline constexpr int64_t kMatrixRows = 16;
inline constexpr int64_t kMatrixDepth = 32;
inline constexpr int64_t kMatrixBytes = 1024;

// Sets the registers up for as long as it lives. Released, they cost nothing when threads switch.
class MatrixRegisters {
 public:
  FASTCAPS_INLINE MatrixRegisters() {
    struct {
      uint8_t palette, first_row, unused[14];
      uint16_t row_bytes[16];
      uint8_t rows[16];
    } shapes = {1, 0, {}, {}, {}};
    for (int n = 0; n < 8; n++) {
      shapes.row_bytes[n] = 64;
      shapes.rows[n] = kMatrixRows;
    }
    asm volatile("ldtilecfg %0" ::"m"(shapes));
  }
  FASTCAPS_INLINE ~MatrixRegisters() { asm volatile("tilerelease"); }
  MatrixRegisters(const MatrixRegisters&) = delete;
  MatrixRegisters& operator=(const MatrixRegisters&) = delete;
};

template <int N>
FASTCAPS_INLINE void load_matrix(const void* source, int64_t row_bytes = 64) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(source), "r"(row_bytes), "i"(N) : "memory");
}

template <int N>
FASTCAPS_INLINE void store_matrix(void* target, int64_t row_bytes = 64) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(target), "r"(row_bytes), "i"(N) : "memory");
}

template <int N>
FASTCAPS_INLINE void zero_matrix() {
  asm volatile("tilezero %%tmm%c0" ::"i"(N));
}

// "memory" keeps the vector instructions that stand between products there.
template <int SUM, int A, int B>
FASTCAPS_INLINE void multiply_matrices() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUM), "i"(A), "i"(B) : "memory");
}

}  // namespace fastcaps::FASTCAPS_ISA
