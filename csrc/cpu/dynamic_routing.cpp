// Routing of given prediction vectors as an operator, and its gradients.
#include <algorithm>

#include "operators.h"
#include "stored_routing.h"

namespace fastcaps {
namespace {

Sizes sizes_of_u_hat(const Tensor& u_hat) {
  STD_TORCH_CHECK(u_hat.dim() == 4, "fastcaps: expected u_hat [B, I, J, D]");
  const Sizes size{u_hat.sizes()[0], u_hat.sizes()[1], 1, u_hat.sizes()[2], u_hat.sizes()[3]};
  STD_TORCH_CHECK(
      size.inputs > 0 && size.outputs > 0 && size.dim > 0,
      "fastcaps: sizes of u_hat but the batch must be at least 1");
  return size;
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> dynamic_routing(
    const Tensor& u_hat_any, const std::optional<Tensor>& bias, const std::optional<Tensor>& prior,
    int64_t iterations, bool over_inputs, bool) {
  const Tensor u_hat = torch::stable::contiguous(u_hat_any);
  const Sizes size = sizes_of_u_hat(u_hat);
  check_options(size, u_hat, bias, prior, iterations);
  const Tensor v = new_tensor(u_hat, {size.batch, size.outputs, size.dim});
  return with_compute_type(u_hat, [&](auto zero) -> std::tuple<Tensor, Tensor, Tensor> {
    using T = decltype(zero);
    const Tensor s = new_sums<T>(u_hat, {iterations, size.batch, size.outputs, size.dim});
    const Tensor log_sum_exp = over_inputs
                                   ? new_sums<T>(u_hat, {iterations, size.batch, size.outputs, 2})
                                   : new_sums<T>(u_hat, {0});
    const Parameter<T> bias_values(bias);
    const Prior<T> prior_values(prior, size, over_inputs);
    const StoredRouting<T> routing(
        size, storage_of(u_hat), u_hat.const_data_ptr(), bias_values.get(), prior_values.get(),
        iterations, over_inputs);
    Workspace<T> v_values(u_hat, v.numel());
    routing.forward(u_hat, {data<T>(s), data<T>(log_sum_exp)}, v_values.get());
    routing.kernel.narrow(storage_of(v), v_values.get(), v.numel(), v.mutable_data_ptr());
    return {v, s, log_sum_exp};
  });
}

std::tuple<Tensor, Tensor, Tensor> dynamic_routing_backward(
    const Tensor& grad_any, const Tensor& u_hat_any, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Tensor& s_any, const Tensor& log_sum_exp_any,
    int64_t iterations, bool over_inputs, bool detach) {
  const Tensor grad = torch::stable::contiguous(grad_any);
  const Tensor u_hat = torch::stable::contiguous(u_hat_any);
  const Tensor s = torch::stable::contiguous(s_any);
  const Tensor log_sum_exp = torch::stable::contiguous(log_sum_exp_any);
  const Sizes size = sizes_of_u_hat(u_hat);
  check_options(size, u_hat, bias, prior, iterations);
  check_shape("grad", grad, {size.batch, size.outputs, size.dim});
  check_like("grad", grad, u_hat);
  const Tensor grad_u_hat = torch::stable::empty_like(u_hat);
  const Tensor grad_bias =
      bias ? new_tensor(u_hat, {size.outputs, size.dim}) : new_tensor(u_hat, {0});
  const Tensor grad_prior =
      prior ? new_tensor(u_hat, {size.inputs, size.outputs}) : new_tensor(u_hat, {0});
  with_compute_type(u_hat, [&](auto zero) {
    using T = decltype(zero);
    check_saved<T>(s, log_sum_exp, u_hat, size, iterations, over_inputs);
    const Parameter<T> bias_values(bias);
    const Prior<T> prior_values(prior, size, over_inputs);
    const StoredRouting<T> routing(
        size, storage_of(u_hat), u_hat.const_data_ptr(), bias_values.get(), prior_values.get(),
        iterations, over_inputs);
    Workspace<T> grad_v(u_hat, grad.numel());
    routing.kernel.widen(storage_of(grad), grad.const_data_ptr(), grad.numel(), grad_v.get());
    std::vector<T> bias_sums(grad_bias.numel()), prior_sums(grad_prior.numel());
    routing.backward(
        u_hat, {data<T>(s), data<T>(log_sum_exp)}, detach, grad_v.get(), storage_of(u_hat),
        grad_u_hat.mutable_data_ptr(), bias ? bias_sums.data() : nullptr,
        prior ? prior_sums.data() : nullptr);
    routing.kernel.narrow(
        storage_of(grad_bias), bias_sums.data(), grad_bias.numel(), grad_bias.mutable_data_ptr());
    routing.kernel.narrow(
        storage_of(grad_prior), prior_sums.data(), grad_prior.numel(),
        grad_prior.mutable_data_ptr());
  });
  return {grad_u_hat, grad_bias, grad_prior};
}

}  // namespace fastcaps
