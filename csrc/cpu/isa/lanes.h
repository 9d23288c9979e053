// Rows to lanes and back. A tile holds L rows (samples, or input capsules of one sample) side by
// side: element (row, column) of a matrix lies at [column * L + row], L = NV vectors.
#pragma once

#include "convert.h"

namespace fastcaps::FASTCAPS_ISA {

template <int... I>
struct Indices {};
template <int N, int... I>
struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct MakeIndices<0, I...> {
  typedef Indices<I...> type;
};

template <int Offset, class V, int... I>
FASTCAPS_INLINE V interleave(V a, V b, Indices<I...>) {
  constexpr int width = sizeof...(I);
  return __builtin_shufflevector(a, b, (Offset + I / 2 + I % 2 * width)...);
}

// Transposes a square of width x width values; each round interleaves the two halves.
template <class T>
FASTCAPS_INLINE void transpose(Vec<T> (&rows)[kWidth<T>]) {
  constexpr int width = kWidth<T>;
  typedef typename MakeIndices<width>::type All;
  FASTCAPS_UNROLL for (int round = 1; round < width; round *= 2) {
    Vec<T> next[width];
    FASTCAPS_UNROLL for (int r = 0; r < width / 2; r++) {
      next[2 * r] = interleave<0>(rows[r], rows[r + width / 2], All());
      next[2 * r + 1] = interleave<width / 2>(rows[r], rows[r + width / 2], All());
    }
    FASTCAPS_UNROLL for (int r = 0; r < width; r++) rows[r] = next[r];
  }
}

// The first `count` < width values at `source`, then zeros.
template <class T, class S>
FASTCAPS_INLINE Vec<T> widen_some(const S* source, int64_t count) {
  S padded[kWidth<T>] = {};
  __builtin_memcpy(padded, source, count * sizeof(S));
  return widen(padded);
}

template <class T, class S>
FASTCAPS_INLINE void narrow_some(S* target, Vec<T> value, int64_t count) {
  S padded[kWidth<T>];
  narrow(padded, value);
  __builtin_memcpy(target, padded, count * sizeof(S));
}

// Columns [0, columns) of up to L rows into a tile; missing rows become zeros.
template <class T, int NV, class S>
void to_lanes(const S* source, int64_t row_stride, int64_t rows, int64_t columns, T* tile) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int v = 0; v < NV; v++, source += width * row_stride, rows -= width) {
    int64_t c = 0;
    for (; c + width <= columns; c += width) {
      Vec<T> square[width];
      FASTCAPS_UNROLL for (int r = 0; r < width; r++) {
        square[r] = r < rows ? widen(source + r * row_stride + c) : Vec<T>{};
      }
      transpose<T>(square);
      FASTCAPS_UNROLL for (int r = 0; r < width; r++) {
        store(tile + (c + r) * lanes + v * width, square[r]);
      }
    }
    if constexpr (sizeof(S) == sizeof(T)) {
      for (; c < columns; c++) {
        for (int r = 0; r < width; r++) {
          tile[c * lanes + v * width + r] = r < rows ? source[r * row_stride + c] : 0;
        }
      }
    } else if (c < columns) {
      // Single values of a half type cost as much as vectors.
      Vec<T> square[width];
      for (int r = 0; r < width; r++) {
        square[r] = r < rows ? widen_some<T>(source + r * row_stride + c, columns - c) : Vec<T>{};
      }
      transpose<T>(square);
      for (int r = 0; c + r < columns; r++) store(tile + (c + r) * lanes + v * width, square[r]);
    }
  }
}

// The inverse: the first `rows` lanes of a tile to rows.
template <class T, int NV, class S>
void from_lanes(const T* tile, int64_t rows, int64_t columns, S* target, int64_t row_stride) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int v = 0; v < NV; v++, target += width * row_stride, rows -= width) {
    int64_t c = 0;
    for (; c + width <= columns; c += width) {
      Vec<T> square[width];
      FASTCAPS_UNROLL for (int r = 0; r < width; r++) {
        square[r] = load(tile + (c + r) * lanes + v * width);
      }
      transpose<T>(square);
      FASTCAPS_UNROLL for (int r = 0; r < width; r++) {
        if (r < rows) narrow(target + r * row_stride + c, square[r]);
      }
    }
    if constexpr (sizeof(S) == sizeof(T)) {
      for (; c < columns; c++) {
        for (int r = 0; r < width && r < rows; r++) {
          target[r * row_stride + c] = tile[c * lanes + v * width + r];
        }
      }
    } else if (c < columns) {
      Vec<T> square[width] = {};
      for (int r = 0; c + r < columns; r++) square[r] = load(tile + (c + r) * lanes + v * width);
      transpose<T>(square);
      for (int r = 0; r < width && r < rows; r++) {
        narrow_some<T>(target + r * row_stride + c, square[r], columns - c);
      }
    }
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
