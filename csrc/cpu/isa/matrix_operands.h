// Weights and vectors as factors of matrix products.
//
// A block of input capsules has one row (i, k) per component. Its agreement W V is a product over
// the components d of an output capsule, its sum W^T (c u) one over the rows.
#pragma once

#include "lanes.h"
#include "matrix_terms.h"

namespace fastcaps::FASTCAPS_ISA {

// The terms of the agreement. WHOLE: D is a multiple of the depth of a matrix, else of half of it.
template <int TERMS, bool WHOLE>
struct Agreement : TermEach<TERMS> {
  static constexpr int64_t kColumns = kMatrixDepth;
};
template <int TERMS>
struct Agreement<TERMS, false> : TermsPaired<TERMS> {
  static constexpr int64_t kColumns = kMatrixDepth / 2;
};

// One row of A: kColumns weights of one row (i, k).
template <int TERMS, bool WHOLE>
FASTCAPS_INLINE void agreement_weight_row(const float* weight, int64_t row, char* matrices) {
  if constexpr (WHOLE) {
    Bits32 terms[TERMS];
    split<TERMS>(load(weight), load(weight + kMatrixDepth / 2), terms);
    FASTCAPS_UNROLL for (int n = 0; n < TERMS; n++) {
      store_row(matrices + n * kMatrixBytes, row, terms[n]);
    }
  } else {
    const Vec<float> first = load(weight), second = without_leading(first);
    store_row(matrices, row, pair(first, TERMS == 1 ? first : second));
    if constexpr (TERMS > 1) {
      store_row(matrices + kMatrixBytes, row, pair(first, without_leading(second)));
    }
  }
}

// One row of B: V of 16 samples for two components of a whole depth, else for one.
template <int TERMS, bool WHOLE>
FASTCAPS_INLINE void agreement_vector_row(
    const float* vector, int64_t stride, int64_t row, char* matrices) {
  constexpr int kTerms = Agreement<TERMS, WHOLE>::kB;
  if constexpr (WHOLE) {
    Bits32 terms[kTerms];
    split<kTerms>(load(vector), load(vector + kMatrixDepth / 2 * stride), terms);
    FASTCAPS_UNROLL for (int n = 0; n < kTerms; n++) {
      store_row(matrices + n * kMatrixBytes, row, terms[n]);
    }
  } else {
    const Vec<float> first = load(vector), second = without_leading(first);
    store_row(matrices, row, pair(first, TERMS == 1 ? second : first));
    if constexpr (TERMS > 1) {
      store_row(matrices + kMatrixBytes, row, pair(second, second));
      store_row(matrices + 2 * kMatrixBytes, row, pair(without_leading(second), first));
    }
  }
}

// A of the agreement, matrices [J][rows / 16][D / kColumns][kA]. Rows from `count` on become 0.
template <int TERMS, bool WHOLE>
void pack_agreement_weight(
    const float* weight, int64_t count, int64_t rows, int64_t outputs, int64_t dim,
    char* matrices) {
  typedef Agreement<TERMS, WHOLE> Terms;
  for (int64_t j = 0; j < outputs; j++) {
    for (int64_t first = 0; first < rows; first += kMatrixRows) {
      for (int64_t d = 0; d < dim; d += Terms::kColumns) {
        for (int64_t row = 0; row < kMatrixRows; row++) {
          if (first + row < count) {
            agreement_weight_row<TERMS, WHOLE>(
                weight + ((first + row) * outputs + j) * dim + d, row, matrices);
            continue;
          }
          for (int n = 0; n < Terms::kA; n++) {
            store_row(matrices + n * kMatrixBytes, row, Bits32{});
          }
        }
        matrices += Terms::kA * kMatrixBytes;
      }
    }
  }
}

// B of the agreement, matrices [J][D / kColumns][kB], of 16 samples' vectors [J][D][stride].
template <int TERMS, bool WHOLE>
void pack_agreement_vectors(
    const float* vectors, int64_t stride, int64_t outputs, int64_t dim, char* matrices) {
  typedef Agreement<TERMS, WHOLE> Terms;
  for (int64_t d = 0; d < outputs * dim; d += Terms::kColumns) {
    for (int64_t row = 0; row < kMatrixRows; row++) {
      agreement_vector_row<TERMS, WHOLE>(vectors + (d + row) * stride, stride, row, matrices);
    }
    matrices += Terms::kB * kMatrixBytes;
  }
}

// A of the sum, matrices [J][rows / 32][D / 16][kA]: the weights transposed.
// Includes their magnitudes in `largest`.
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

}  // namespace fastcaps::FASTCAPS_ISA
