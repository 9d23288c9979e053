// Prediction vectors as an operator, and their gradients.
#include "prediction_vectors.h"
#include "operators.h"

namespace fastcaps {

Tensor prediction_vectors(const Tensor& u_any, const Tensor& weight_any, bool) {
  const Tensor u = torch::stable::contiguous(u_any), weight = torch::stable::contiguous(weight_any);
  const Sizes size = sizes_of(u, weight);
  const Tensor u_hat = new_tensor(u, {size.batch, size.inputs, size.outputs, size.dim});
  with_compute_type(u, [&](auto zero) {
    predict_all<decltype(zero)>(size, u, weight, storage_of(u), u_hat.mutable_data_ptr());
  });
  return u_hat;
}

std::tuple<Tensor, Tensor> prediction_vectors_backward(
    const Tensor& grad_any, const Tensor& u_any, const Tensor& weight_any, bool, bool need_u,
    bool need_weight) {
  const Tensor grad = torch::stable::contiguous(grad_any);
  const Tensor u = torch::stable::contiguous(u_any), weight = torch::stable::contiguous(weight_any);
  const Sizes size = sizes_of(u, weight);
  check_shape("grad", grad, {size.batch, size.inputs, size.outputs, size.dim});
  check_like("grad", grad, u);
  const Tensor grad_u = need_u ? torch::stable::empty_like(u) : new_tensor(u, {0});
  const Tensor grad_weight =
      need_weight ? torch::stable::empty_like(weight) : new_tensor(weight, {0});
  with_compute_type(u, [&](auto zero) {
    predict_all_gradient<decltype(zero)>(
        size, u, weight, storage_of(grad), grad.const_data_ptr(),
        need_u ? grad_u.mutable_data_ptr() : nullptr,
        need_weight ? grad_weight.mutable_data_ptr() : nullptr);
  });
  return {grad_u, grad_weight};
}

}  // namespace fastcaps
