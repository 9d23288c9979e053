// What the operators of every device share: tensors in and out, their checks.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <tuple>
#include <vector>

#include "sizes.h"

namespace fastcaps {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline Storage storage_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float:
      return Storage::kFloat32;
    case ScalarType::Double:
      return Storage::kFloat64;
    case ScalarType::Half:
      return Storage::kFloat16;
    case ScalarType::BFloat16:
      return Storage::kBFloat16;
    default:
      STD_TORCH_CHECK(
          false, "fastcaps: expected float32, float64, float16 or bfloat16, got scalar type ",
          static_cast<int>(tensor.scalar_type()));
  }
}

template <class T>
constexpr Storage kStorage = sizeof(T) == 8 ? Storage::kFloat64 : Storage::kFloat32;

// Calls f with a number of the type to compute in.
template <class F>
auto with_compute_type(const Tensor& tensor, F f) {
  return storage_of(tensor) == Storage::kFloat64 ? f(double()) : f(float());
}

inline Tensor new_tensor(const Tensor& like, const std::vector<int64_t>& sizes) {
  return torch::stable::new_empty(like, sizes);
}

// A tensor of the type computed in.
template <class T>
Tensor new_sums(const Tensor& like, const std::vector<int64_t>& sizes) {
  return torch::stable::new_empty(
      like, sizes, sizeof(T) == 8 ? ScalarType::Double : ScalarType::Float);
}

template <class T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}
// Null where there is no tensor.
template <class T>
T* data(const std::optional<Tensor>& tensor) {
  return tensor ? data<T>(*tensor) : nullptr;
}

// Memory of one call, from torch's allocator.
template <class T>
class Workspace {
 public:
  Workspace(const Tensor& like, int64_t count)
      : tensor_(new_sums<T>(like, {count})), data_(data<T>(tensor_)) {}

  T* get() const { return data_; }

 private:
  Tensor tensor_;
  T* data_;
};

inline bool is_aligned(const Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

inline void check_shape(
    const char* name, const Tensor& tensor, const std::vector<int64_t>& expected) {
  bool same = tensor.dim() == static_cast<int64_t>(expected.size());
  for (size_t n = 0; same && n < expected.size(); n++) same = tensor.sizes()[n] == expected[n];
  STD_TORCH_CHECK(same, "fastcaps: ", name, " has the wrong shape");
}

inline void check_like(const char* name, const Tensor& tensor, const Tensor& like) {
  STD_TORCH_CHECK(
      tensor.scalar_type() == like.scalar_type(), "fastcaps: ", name, " has another dtype");
  STD_TORCH_CHECK(tensor.device() == like.device(), "fastcaps: ", name, " is on another device");
}

// The rows of a tensor [..., dim].
struct Rows {
  int64_t count, dim;

  explicit Rows(const Tensor& tensor) {
    STD_TORCH_CHECK(tensor.dim() >= 1, "fastcaps: s must have at least one dimension");
    dim = tensor.sizes()[tensor.dim() - 1];
    count = dim > 0 ? tensor.numel() / dim : 0;
  }
};

// Sizes of u [B, I, K] and weight [I, K, J, D], checked.
inline Sizes sizes_of(const Tensor& u, const Tensor& weight) {
  STD_TORCH_CHECK(
      u.dim() == 3 && weight.dim() == 4, "fastcaps: expected u [B, I, K] and weight [I, K, J, D]");
  const Sizes size{
      u.sizes()[0], weight.sizes()[0], weight.sizes()[1], weight.sizes()[2], weight.sizes()[3]};
  check_shape("u", u, {size.batch, size.inputs, size.in_dim});
  check_like("weight", weight, u);
  STD_TORCH_CHECK(
      size.inputs > 0 && size.in_dim > 0 && size.outputs > 0 && size.dim > 0,
      "fastcaps: sizes of weight must be at least 1");
  return size;
}

// s and log-sum-exp as the forward operators return them.
template <class T>
void check_saved(
    const Tensor& s, const Tensor& log_sum_exp, const Tensor& like, const Sizes& size,
    int64_t iterations, bool over_inputs) {
  check_shape("s", s, {iterations, size.batch, size.outputs, size.dim});
  check_shape(
      "log_sum_exp", log_sum_exp,
      over_inputs ? std::vector<int64_t>{iterations, size.batch, size.outputs, 2}
                  : std::vector<int64_t>{0});
  STD_TORCH_CHECK(
      s.device() == like.device() && log_sum_exp.device() == like.device(),
      "fastcaps: s and log_sum_exp must be on the device of the other tensors");
  STD_TORCH_CHECK(
      storage_of(s) == kStorage<T> && storage_of(log_sum_exp) == kStorage<T>,
      "fastcaps: s and log_sum_exp must have the dtype that the forward operator gave them");
}

inline void check_options(
    const Sizes& size, const Tensor& like, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& prior, int64_t iterations) {
  STD_TORCH_CHECK(iterations >= 1, "fastcaps: iterations must be at least 1");
  if (bias) {
    check_shape("bias", *bias, {size.outputs, size.dim});
    check_like("bias", *bias, like);
  }
  if (prior) {
    check_shape("prior", *prior, {size.inputs, size.outputs});
    check_like("prior", *prior, like);
  }
}

}  // namespace fastcaps
