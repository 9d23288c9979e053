// What the operators of the fused layer hand to one of two families of kernels: those on tensor
// cores, for some sizes, or those for any. Tensors are contiguous, and what is written is new.
#pragma once

#include "../tensors.h"

namespace fastcaps::cuda {

struct ForwardCall {
  const Tensor &u, &weight;
  const std::optional<Tensor>&bias, &prior;
  const Tensor &v, &s, &log_sum_exp;  // written; log_sum_exp over inputs
  Sizes size;
  int64_t iterations;
  bool over_inputs, allow_tf32;
};

struct BackwardCall {
  const Tensor &grad, &u, &weight;
  const std::optional<Tensor>&bias, &prior;
  const Tensor &s, &log_sum_exp;  // as the forward pass wrote them
  Sizes size;
  int64_t iterations;
  bool over_inputs, detached, allow_tf32;
  const Tensor& grad_s;                                           // [R][B][J][D], written
  const std::optional<Tensor>&grad_u, &grad_weight, &grad_prior;  // written, where there are any

  // The first of the iterations that count.
  int64_t first() const { return detached ? iterations - 1 : 0; }
};

void route_any_sizes(const ForwardCall& call);
void route_any_sizes_backward(const BackwardCall& call);

template <class S>
const S* numbers(const Tensor& tensor) {
  return static_cast<const S*>(tensor.const_data_ptr());
}
template <class S>
const S* numbers(const std::optional<Tensor>& tensor) {
  return tensor ? numbers<S>(*tensor) : nullptr;
}

}  // namespace fastcaps::cuda
