// What the gradients of u, weight and prior add up over iterations: ds with coupling coefficients,
// and V with the gradients of logits.
#pragma once

#include "layer.cuh"

namespace fastcaps::cuda::any_sizes {

// Vectors, and what they are weighed with.
template <class T>
struct Share {
  const T* vectors;  // [B][J][D]
  OfPairs<T> weights;
};

// Which iterations count, and for which of these there are numbers of pairs: not for the first one
// where its coefficients are all equal.
struct CountedIterations {
  int64_t first, end;
  bool starts_even;  // iteration 0 has equal coefficients
  bool detached;     // coefficients are constants: logits have no gradients

  FASTCAPS_ALWAYS_INLINE int64_t first_kept() const {
    return first == 0 && starts_even ? 1 : first;
  }
  int64_t kept() const { return end - first_kept(); }
};

inline CountedIterations count_iterations(int64_t iterations, bool detached, bool has_prior) {
  return {detached ? iterations - 1 : 0, iterations, !has_prior, detached};
}

template <class T>
struct Iterations {
  CountedIterations counted;
  T even;                    // the coefficient where all are equal
  int64_t vectors_stride;    // from an iteration's vectors to the next one's
  const T* agreement;        // [R][B][J][D]: V
  const T* grad_s;           // [R][B][J][D]
  const T* coefficients;     // [kept][I][J][B]
  const T* logit_gradients;  // [kept][I][J][B]

  // Calls f with every share.
  template <class F>
  __device__ __forceinline__ void each(const Sizes& size, const F& f) const {
    const int64_t pairs = size.inputs * size.outputs * size.batch, kept = counted.first_kept();
    for (int64_t t = counted.first; t < counted.end; t++) {
      const bool is_kept = t >= kept;
      const T* numbers = is_kept ? coefficients + (t - kept) * pairs : nullptr;
      f(Share<T>{grad_s + t * vectors_stride, {numbers, is_kept ? 0 : even}});
      if (t == 0 || counted.detached) continue;  // V of iteration 0 is 0
      numbers = logit_gradients + (t - kept) * pairs;
      f(Share<T>{agreement + t * vectors_stride, {numbers, 0}});
    }
  }
};

}  // namespace fastcaps::cuda::any_sizes
