// The CPU implementations of the operators, by the names of their schemas.
#pragma once

#include "tensors.h"

namespace fastcaps {

Tensor squash(const Tensor& s);
Tensor squash_backward(const Tensor& grad, const Tensor& s);

Tensor prediction_vectors(const Tensor& u, const Tensor& weight, bool allow_tf32);
std::tuple<Tensor, Tensor> prediction_vectors_backward(
    const Tensor& grad, const Tensor& u, const Tensor& weight, bool allow_tf32, bool need_u,
    bool need_weight);

std::tuple<Tensor, Tensor, Tensor> dynamic_routing(
    const Tensor& u_hat, const std::optional<Tensor>& bias, const std::optional<Tensor>& prior,
    int64_t iterations, bool softmax_over_inputs, bool detach_routing);
std::tuple<Tensor, Tensor, Tensor> dynamic_routing_backward(
    const Tensor& grad, const Tensor& u_hat, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Tensor& s, const Tensor& log_sum_exp,
    int64_t iterations, bool softmax_over_inputs, bool detach_routing);

std::tuple<Tensor, Tensor, Tensor> routed_capsules(
    const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations, bool softmax_over_inputs,
    bool detach_routing, bool allow_tf32);
std::tuple<Tensor, Tensor, Tensor, Tensor> routed_capsules_backward(
    const Tensor& grad, const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, const Tensor& s, const Tensor& log_sum_exp,
    int64_t iterations, bool softmax_over_inputs, bool detach_routing, bool allow_tf32, bool need_u,
    bool need_weight);

Tensor coupling_coefficients(
    const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations, bool softmax_over_inputs,
    bool allow_tf32);

}  // namespace fastcaps
