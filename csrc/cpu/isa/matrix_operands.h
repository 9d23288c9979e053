// Weights and vectors as factors of matrix products.
//
// A block of input capsules has one row (i, k) per component. Its sum W^T (c u) is a product over
// the rows; its agreement W V, of bfloat16 weights, one over the components of an output capsule.
#pragma once

#include "lanes.h"
#include "matrix_terms.h"

namespace fastcaps::FASTCAPS_ISA {

// A of the sum, matrices [J][rows / 32][D / 16][kA]: the weights transposed. Rows from `count` on
// become 0. Includes the magnitudes in `largest`.
template <int TERMS>
void pack_sum_weight(
    const float* weight, int64_t count, int64_t rows, int64_t outputs, int64_t dim, char* matrices,
    Bits32& largest) {
  const int64_t columns = outputs * dim, steps = rows / kMatrixDepth, parts = dim / kMatrixRows;
  for (int64_t step = 0; step < steps; step++) {
    for (int64_t c = 0; c < columns; c += kMatrixRows) {
      Vec<float> squares[TERMS][kMatrixRows];
      FASTCAPS_UNROLL for (int64_t n = 0; n < kMatrixRows; n++) {
        const int64_t row = step * kMatrixDepth + 2 * n;
        const float* low = weight + row * columns + c;
        const Vec<float> x = row < count ? load(low) : Vec<float>{};
        const Vec<float> y = row + 1 < count ? load(low + columns) : Vec<float>{};
        largest = maximum(magnitude(x), maximum(magnitude(y), largest));
        Bits32 terms[TERMS];
        split<TERMS>(x, y, terms);
        FASTCAPS_UNROLL for (int m = 0; m < TERMS; m++) squares[m][n] = (Vec<float>)terms[m];
      }
      const int64_t j = c / dim, part = c % dim / kMatrixRows;
      char* target = matrices + ((j * steps + step) * parts + part) * TERMS * kMatrixBytes;
      FASTCAPS_UNROLL for (int m = 0; m < TERMS; m++, target += kMatrixBytes) {
        transpose<float>(squares[m]);
        for (int64_t n = 0; n < kMatrixRows; n++) store_row(target, n, (Bits32)squares[m][n]);
      }
    }
  }
}

// The agreement takes kColumns components at a time: a whole depth where D is a multiple of it,
// else half of it.
template <bool WHOLE>
struct Agreement : Terms<1> {
  static constexpr int64_t kColumns = kMatrixDepth;
};
template <>
struct Agreement<false> : TermsInDepth {
  static constexpr int64_t kColumns = kMatrixDepth / 2;
};

// A of the agreement, matrices [J][rows / 16][D / kColumns], of pairs of both halves of a whole
// depth, else of the same weight twice.
template <bool WHOLE>
void pack_agreement_weight(
    const float* weight, int64_t count, int64_t rows, int64_t outputs, int64_t dim,
    char* matrices) {
  constexpr int64_t kColumns = Agreement<WHOLE>::kColumns;
  for (int64_t j = 0; j < outputs; j++) {
    for (int64_t first = 0; first < rows; first += kMatrixRows) {
      for (int64_t d = 0; d < dim; d += kColumns, matrices += kMatrixBytes) {
        for (int64_t row = 0; row < kMatrixRows; row++) {
          const float* low = weight + ((first + row) * outputs + j) * dim + d;
          const float* high = WHOLE ? low + kColumns / 2 : low;
          const Bits32 values = first + row < count ? pair(load(low), load(high)) : Bits32{};
          store_row(matrices, row, values);
        }
      }
    }
  }
}

// B of the agreement, matrices [J][D / kColumns][kB], of 16 samples' vectors [J][D][stride].
template <bool WHOLE>
void pack_agreement_vectors(
    const float* vectors, int64_t stride, int64_t outputs, int64_t dim, char* matrices) {
  typedef Agreement<WHOLE> Dot;
  for (int64_t d = 0; d < outputs * dim; d += Dot::kColumns, matrices += Dot::kB * kMatrixBytes) {
    for (int64_t row = 0; row < kMatrixRows; row++) {
      const Vec<float> x = load(vectors + (d + row) * stride);
      if constexpr (WHOLE) {
        Bits32 terms[2];
        split<2>(x, load(vectors + (d + row + Dot::kColumns / 2) * stride), terms);
        store_row(matrices, row, terms[0]);
        store_row(matrices + kMatrixBytes, row, terms[1]);
      } else {
        store_row(matrices, row, pair(x, without_leading(x)));
      }
    }
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
