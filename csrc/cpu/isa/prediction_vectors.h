// Prediction vectors of one input capsule as rows, and their gradients.
#pragma once

#include "../kernels.h"
#include "gradients.h"
#include "storage_dispatch.h"

namespace fastcaps::FASTCAPS_ISA {

template <class T>
void predict_capsule(
    Storage storage, const T* u, const void* weight, Sizes size, Storage out_storage, void* out,
    int64_t out_stride, T* scratch) {
  const T* w = widened<T>(storage, weight, 0, size.in_dim * size.columns(), scratch);
  with_storage<T>(out_storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    predict_rows<T>(
        u, size.in_dim, w, size.batch, size.in_dim, size.columns(), static_cast<S*>(out),
        out_stride);
  });
}

template <class T, int NV>
struct PredictGradientScratch {
  static constexpr int64_t lanes = NV * kWidth<T>;
  int64_t padded;
  T *weight, *u, *grad, *grad_rows, *grad_u, *grad_weight;

  static int64_t padded_columns(const Sizes& size) {
    return divide_up(size.columns(), kWidth<T>) * kWidth<T>;
  }

  static int64_t count(const Sizes& size) {
    return 2 * size.in_dim * padded_columns(size) + 2 * size.in_dim * lanes +
           2 * padded_columns(size) * lanes;
  }

  PredictGradientScratch(const Sizes& size, T* memory) : padded(padded_columns(size)) {
    weight = memory;
    grad_weight = weight + size.in_dim * padded;
    u = grad_weight + size.in_dim * padded;
    grad_u = u + size.in_dim * lanes;
    grad = grad_u + size.in_dim * lanes;
    grad_rows = grad + padded * lanes;
  }
};

template <class T, int NV>
int64_t predict_gradient_scratch(Sizes size) {
  return PredictGradientScratch<T, NV>::count(size);
}

// Gradients of one input capsule: grad holds a row of J * D for every sample.
template <class T, int NV>
void predict_gradient(
    Storage storage, const void* u, int64_t u_stride, const void* weight, Sizes size,
    Storage grad_storage, const void* grad, int64_t grad_stride, void* grad_u, void* grad_weight,
    T* memory) {
  const PredictGradientScratch<T, NV> scratch(size, memory);
  const int64_t columns = size.columns(), lanes = scratch.lanes;
  const T* w = widened<T>(storage, weight, 0, size.in_dim * columns, scratch.weight);
  for (int64_t n = 0; n < size.in_dim * scratch.padded; n++) scratch.grad_weight[n] = 0;
  for (int64_t b = 0; b < size.batch; b += lanes) {
    const int64_t samples = size.batch - b < lanes ? size.batch - b : lanes;
    const void* rows = element<T>(grad_storage, grad, b * grad_stride);
    if (grad_u) {
      to_lanes_storage<T, NV>(grad_storage, rows, grad_stride, samples, columns, scratch.grad);
      for (int64_t n = 0; n < size.in_dim * lanes; n++) scratch.grad_u[n] = 0;
      accumulate_grad_u<T, NV>(scratch.grad, w, columns, size.in_dim, columns, scratch.grad_u);
      from_lanes_storage<T, NV>(
          storage, scratch.grad_u, samples, size.in_dim, element<T>(storage, grad_u, b * u_stride),
          u_stride);
    }
    if (grad_weight) {
      to_lanes_storage<T, NV>(
          storage, element<T>(storage, u, b * u_stride), u_stride, samples, size.in_dim, scratch.u);
      for (int64_t n = 0; n < samples; n++) {
        widen_storage<T>(
            grad_storage, element<T>(grad_storage, rows, n * grad_stride), columns,
            scratch.grad_rows + n * scratch.padded);
      }
      accumulate_grad_weight<T, NV>(
          scratch.u, scratch.grad_rows, scratch.padded, samples, size.in_dim, columns,
          scratch.padded, scratch.grad_weight);
    }
  }
  if (!grad_weight) return;
  for (int64_t k = 0; k < size.in_dim; k++) {
    narrow_storage<T>(
        storage, scratch.grad_weight + k * scratch.padded, columns,
        element<T>(storage, grad_weight, k * columns));
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
