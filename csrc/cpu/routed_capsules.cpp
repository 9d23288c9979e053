// The fused capsule layer as an operator, and its gradients.
#include "fused_routing.h"
#include "operators.h"
#include "prediction_vectors.h"

namespace fastcaps {

std::tuple<Tensor, Tensor, Tensor> routed_capsules(
    const Tensor& u_any, const Tensor& weight_any, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations, bool over_inputs, bool, bool) {
  const Tensor u = torch::stable::contiguous(u_any), weight = torch::stable::contiguous(weight_any);
  const Sizes size = sizes_of(u, weight);
  check_options(size, u, bias, prior, iterations);
  const Tensor v = new_tensor(u, {size.batch, size.outputs, size.dim});
  return with_compute_type(u, [&](auto zero) -> std::tuple<Tensor, Tensor, Tensor> {
    using T = decltype(zero);
    const Tensor s = new_sums<T>(u, {iterations, size.batch, size.outputs, size.dim});
    const Tensor log_sum_exp = over_inputs
                                   ? new_sums<T>(u, {iterations, size.batch, size.outputs, 2})
                                   : new_sums<T>(u, {0});
    const Saved<T> saved{data<T>(s), data<T>(log_sum_exp)};
    const Parameter<T> bias_values(bias);
    const Prior<T> prior_values(prior, size, over_inputs);
    if (small_batch<T>(size)) {
      Workspace<T> u_hat(u, size.batch * size.inputs * size.columns());
      predict_all<T>(size, u, weight, kStorage<T>, u_hat.get());
      const StoredRouting<T> routing(
          size, kStorage<T>, u_hat.get(), bias_values.get(), prior_values.get(), iterations,
          over_inputs);
      Workspace<T> v_values(u, v.numel());
      routing.forward(u, saved, v_values.get());
      routing.kernel.narrow(storage_of(v), v_values.get(), v.numel(), v.mutable_data_ptr());
    } else {
      const FusedRouting<T> routing(
          u, size, storage_of(u), u.const_data_ptr(), weight.const_data_ptr(), bias_values.get(),
          prior_values.get(), iterations, over_inputs);
      routing.forward(u, saved, v.mutable_data_ptr());
    }
    return {v, s, log_sum_exp};
  });
}

std::tuple<Tensor, Tensor, Tensor, Tensor> routed_capsules_backward(
    const Tensor& grad_any, const Tensor& u_any, const Tensor& weight_any,
    const std::optional<Tensor>& bias, const std::optional<Tensor>& prior, const Tensor& s_any,
    const Tensor& log_sum_exp_any, int64_t iterations, bool over_inputs, bool detach, bool,
    bool need_u, bool need_weight) {
  const Tensor grad = torch::stable::contiguous(grad_any);
  const Tensor u = torch::stable::contiguous(u_any), weight = torch::stable::contiguous(weight_any);
  const Tensor s = torch::stable::contiguous(s_any);
  const Tensor log_sum_exp = torch::stable::contiguous(log_sum_exp_any);
  const Sizes size = sizes_of(u, weight);
  check_options(size, u, bias, prior, iterations);
  check_shape("grad", grad, {size.batch, size.outputs, size.dim});
  check_like("grad", grad, u);
  const Tensor grad_u = need_u ? torch::stable::empty_like(u) : new_tensor(u, {0});
  const Tensor grad_weight =
      need_weight ? torch::stable::empty_like(weight) : new_tensor(weight, {0});
  const Tensor grad_bias = bias ? new_tensor(u, {size.outputs, size.dim}) : new_tensor(u, {0});
  const Tensor grad_prior = prior ? new_tensor(u, {size.inputs, size.outputs}) : new_tensor(u, {0});
  void* grad_u_data = need_u ? grad_u.mutable_data_ptr() : nullptr;
  void* grad_weight_data = need_weight ? grad_weight.mutable_data_ptr() : nullptr;
  with_compute_type(u, [&](auto zero) {
    using T = decltype(zero);
    check_saved<T>(s, log_sum_exp, u, size, iterations, over_inputs);
    const Saved<T> saved{data<T>(s), data<T>(log_sum_exp)};
    const Parameter<T> bias_values(bias);
    const Prior<T> prior_values(prior, size, over_inputs);
    std::vector<T> bias_sums(grad_bias.numel()), prior_sums(grad_prior.numel());
    T* bias_target = bias ? bias_sums.data() : nullptr;
    T* prior_target = prior ? prior_sums.data() : nullptr;
    const Kernels<T>& kernel = kernels<T>(size.batch);
    if (small_batch<T>(size)) {
      const int64_t count = size.batch * size.inputs * size.columns();
      Workspace<T> u_hat(u, count), grad_u_hat(u, count), grad_v(u, grad.numel());
      predict_all<T>(size, u, weight, kStorage<T>, u_hat.get());
      const StoredRouting<T> routing(
          size, kStorage<T>, u_hat.get(), bias_values.get(), prior_values.get(), iterations,
          over_inputs);
      kernel.widen(storage_of(grad), grad.const_data_ptr(), grad.numel(), grad_v.get());
      routing.backward(
          u, saved, detach, grad_v.get(), kStorage<T>, grad_u_hat.get(), bias_target, prior_target);
      predict_all_gradient<T>(
          size, u, weight, kStorage<T>, grad_u_hat.get(), grad_u_data, grad_weight_data);
    } else {
      const FusedRouting<T> routing(
          u, size, storage_of(u), u.const_data_ptr(), weight.const_data_ptr(), bias_values.get(),
          prior_values.get(), iterations, over_inputs);
      routing.backward(
          u, saved, detach, grad.const_data_ptr(), grad_u_data, grad_weight_data, bias_target,
          prior_target);
    }
    kernel.narrow(
        storage_of(grad_bias), bias_sums.data(), grad_bias.numel(), grad_bias.mutable_data_ptr());
    kernel.narrow(
        storage_of(grad_prior), prior_sums.data(), grad_prior.numel(),
        grad_prior.mutable_data_ptr());
  });
  return {grad_u, grad_weight, grad_bias, grad_prior};
}

}  // namespace fastcaps
