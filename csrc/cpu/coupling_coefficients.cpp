// The coupling coefficients of the last iteration as an operator.
#include "fused_routing.h"
#include "operators.h"
#include "prediction_vectors.h"

namespace fastcaps {

Tensor coupling_coefficients(
    const Tensor& u_any, const Tensor& weight_any, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations, bool over_inputs, bool allow_tf32) {
  const Tensor u = torch::stable::contiguous(u_any), weight = torch::stable::contiguous(weight_any);
  const auto [v, s, log_sum_exp] =
      routed_capsules(u, weight, bias, prior, iterations, over_inputs, false, allow_tf32);
  const Sizes size = sizes_of(u, weight);
  const Tensor c = new_tensor(u, {size.batch, size.inputs, size.outputs});
  with_compute_type(u, [&, &s = s, &log_sum_exp = log_sum_exp](auto zero) {
    using T = decltype(zero);
    const Saved<T> saved{data<T>(s), data<T>(log_sum_exp)};
    const Parameter<T> bias_values(bias);
    const Prior<T> prior_values(prior, size, over_inputs);
    if (small_batch<T>(size)) {
      Workspace<T> u_hat(u, size.batch * size.inputs * size.columns());
      predict_all<T>(size, u, weight, kStorage<T>, u_hat.get());
      const StoredRouting<T> routing(
          size, kStorage<T>, u_hat.get(), bias_values.get(), prior_values.get(), iterations,
          over_inputs);
      routing.coefficients(u, saved, storage_of(c), c.mutable_data_ptr());
    } else {
      const FusedRouting<T> routing(
          u, size, storage_of(u), u.const_data_ptr(), weight.const_data_ptr(), bias_values.get(),
          prior_values.get(), iterations, over_inputs);
      routing.coefficients(u, saved, c.mutable_data_ptr());
    }
  });
  return c;
}

}  // namespace fastcaps
