// Squash and its gradient on tiles: every lane is one vector s, column d its component d.
#pragma once

#include "lanes.h"

namespace fastcaps::FASTCAPS_ISA {

// With x = s / scale and n = |x|^2 the results need neither |s|^2, which may overflow, nor a
// division by |s|, which may be 0.
template <class T>
struct SquashedLength {
  Vec<T> inverse_scale, n, root;
};

template <class T, int NV>
FASTCAPS_INLINE SquashedLength<T> squashed_length(const T* s, int64_t dim) {
  constexpr int lanes = NV * kWidth<T>;
  Vec<T> largest = broadcast<T>(1);
  for (int64_t d = 0; d < dim; d++) {
    const Vec<T> value = load(s + d * lanes);
    largest = maximum(largest, value < 0 ? -value : value);
  }
  const Vec<T> inverse_scale = 1 / largest;
  Vec<T> n{};
  for (int64_t d = 0; d < dim; d++) {
    const Vec<T> x = load(s + d * lanes) * inverse_scale;
    n += x * x;
  }
  return {inverse_scale, n, square_root<T>(n)};
}

template <class T, int NV>
void squash_lanes(const T* s, int64_t dim, T* v) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int part = 0; part < NV; part++, s += width, v += width) {
    const SquashedLength<T> length = squashed_length<T, NV>(s, dim);
    const Vec<T> inverse = length.inverse_scale;
    const Vec<T> factor = length.root / (inverse * inverse + length.n) * inverse;
    for (int64_t d = 0; d < dim; d++) store(v + d * lanes, load(s + d * lanes) * factor);
  }
}

// grad_s = f g + (1 - |s|^2) / (|s| (1 + |s|^2)^2) s (s.g); grad_s may be grad_v.
template <class T, int NV>
void squash_gradient_lanes(const T* s, const T* grad_v, int64_t dim, T* grad_s) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int part = 0; part < NV; part++, s += width, grad_v += width, grad_s += width) {
    const SquashedLength<T> length = squashed_length<T, NV>(s, dim);
    const Vec<T> inverse = length.inverse_scale, n = length.n, root = length.root;
    Vec<T> dot{};
    for (int64_t d = 0; d < dim; d++) {
      dot += load(s + d * lanes) * inverse * load(grad_v + d * lanes);
    }
    const Vec<T> denominator = inverse * inverse + n;
    // Along x = s / scale, not along s: its coefficient cannot underflow.
    const Vec<T> ratio = (inverse * inverse - n) / (denominator * denominator);
    const Vec<T> along = root == 0 ? Vec<T>{} : ratio * (dot / root) * inverse;
    const Vec<T> factor = root * inverse / denominator;
    for (int64_t d = 0; d < dim; d++) {
      const Vec<T> x = load(s + d * lanes) * inverse;
      store(grad_s + d * lanes, factor * load(grad_v + d * lanes) + along * x);
    }
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
