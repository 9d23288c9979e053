// Prediction vectors on plain memory, shared by the stored and the small-batch path.
#pragma once

#include "tensors.h"

namespace fastcaps {

// u_hat [B][I][J][D] in out_storage.
template <class T>
void predict_all(
    const Sizes& size, const Tensor& u, const Tensor& weight, Storage out_storage, void* u_hat) {
  if (size.batch == 0) return;
  const Kernels<T>& k = kernels<T>(size.batch);
  const Storage storage = storage_of(u);
  const int64_t element = u.element_size();
  const int64_t out_element = element_size(out_storage);
  const auto* u_data = static_cast<const char*>(u.const_data_ptr());
  const auto* weight_data = static_cast<const char*>(weight.const_data_ptr());
  auto* out = static_cast<char*>(u_hat);
  const int64_t per_capsule = size.in_dim * size.columns();
  parallel_items<T>(
      size.inputs, size.batch * per_capsule, per_capsule + size.batch * size.in_dim,
      [&](int64_t i, T* scratch) {
        T* u_i = scratch + per_capsule;
        for (int64_t b = 0; b < size.batch; b++) {
          k.widen(
              storage, u_data + (b * size.inputs + i) * size.in_dim * element, size.in_dim,
              u_i + b * size.in_dim);
        }
        k.predict_capsule(
            storage, u_i, weight_data + i * per_capsule * element, size, out_storage,
            out + i * size.columns() * out_element, size.inputs * size.columns(), scratch);
      });
}

// Gradients from grad [B][I][J][D]; grad_u and grad_weight may be null.
template <class T>
void predict_all_gradient(
    const Sizes& size, const Tensor& u, const Tensor& weight, Storage grad_storage,
    const void* grad, void* grad_u, void* grad_weight) {
  const Kernels<T>& k = kernels<T>(size.batch);
  const Storage storage = storage_of(u);
  const int64_t element = u.element_size();
  const int64_t grad_element = element_size(grad_storage);
  const auto shift = [](const void* start, int64_t bytes) {
    return start ? static_cast<const char*>(start) + bytes : nullptr;
  };
  const int64_t per_capsule = size.in_dim * size.columns();
  const int64_t cost = 2 * std::max<int64_t>(size.batch, k.lanes) * per_capsule;
  parallel_items<T>(
      size.inputs, cost, k.predict_gradient_scratch(size), [&](int64_t i, T* scratch) {
        const int64_t u_at = i * size.in_dim * element, weight_at = i * per_capsule * element;
        k.predict_gradient(
            storage, shift(u.const_data_ptr(), u_at), size.inputs * size.in_dim,
            shift(weight.const_data_ptr(), weight_at), size, grad_storage,
            shift(grad, i * size.columns() * grad_element), size.inputs * size.columns(),
            const_cast<char*>(shift(grad_u, u_at)),
            const_cast<char*>(shift(grad_weight, weight_at)), scratch);
      });
}

}  // namespace fastcaps
