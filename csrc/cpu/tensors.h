// What the operators share: tensors in and out, workspaces, threads.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <vector>

#include "kernels.h"

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

// An optional [J, D] or [I, J] parameter as T, or null.
template <class T>
class Parameter {
 public:
  explicit Parameter(const std::optional<Tensor>& tensor) {
    if (!tensor) return;
    const Tensor contiguous = torch::stable::contiguous(*tensor);
    values_.resize(contiguous.numel());
    kernels<T>(1).widen(
        storage_of(contiguous), contiguous.const_data_ptr(), contiguous.numel(), values_.data());
  }

  const T* get() const { return values_.empty() ? nullptr : values_.data(); }

 protected:
  std::vector<T> values_;
};

// The initial logits. Softmax over inputs takes no notice of a shift per output capsule, so each
// column is shifted to the maximum 0: large priors then cost no precision.
template <class T>
class Prior : public Parameter<T> {
 public:
  Prior(const std::optional<Tensor>& tensor, const Sizes& size, bool over_inputs)
      : Parameter<T>(tensor) {
    if (!tensor || !over_inputs) return;
    for (int64_t j = 0; j < size.outputs; j++) {
      T* column = this->values_.data() + j;
      T largest = column[0];
      for (int64_t i = 1; i < size.inputs; i++) {
        largest = std::max(largest, column[i * size.outputs]);
      }
      for (int64_t i = 0; i < size.inputs; i++) column[i * size.outputs] -= largest;
    }
  }
};

// Calls work(item, scratch) for items [0, count) on torch's threads; every thread has its own
// scratch of `scratch_size` numbers. `cost` is roughly how many operations an item takes: small
// work stays on one thread, where it ends before another would have started.
template <class T, class F>
void parallel_items(int64_t count, int64_t cost, int64_t scratch_size, const F& work) {
  constexpr int64_t kWorthAThread = 1 << 16;
  const int64_t grain = divide_up(kWorthAThread, std::max<int64_t>(cost, 1));
  torch::stable::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    const size_t bytes = divide_up(scratch_size * sizeof(T) + 64, 64) * 64;
    std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(64, bytes), &std::free);
    if (!memory) throw std::bad_alloc();
    for (int64_t item = begin; item < end; item++) work(item, static_cast<T*>(memory.get()));
  });
}

// Tiles per work item. Tiles of one item share the weights in cache, so they are many, as long as
// every thread still has several items and the sums of all tiles stay in a private cache.
inline int64_t tiles_together(int64_t tiles, int64_t slices, int64_t bytes_per_tile) {
  constexpr int64_t kPrivateCache = 512 * 1024;
  const int64_t wanted = 4 * static_cast<int64_t>(torch::stable::get_num_threads());
  int64_t together = std::min(tiles, std::max<int64_t>(1, kPrivateCache / bytes_per_tile));
  while (together > 1 && slices * divide_up(tiles, together) < wanted) {
    together = divide_up(together, 2);
  }
  return together;
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
}

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
    const Tensor& s, const Tensor& log_sum_exp, const Sizes& size, int64_t iterations,
    bool over_inputs) {
  check_shape("s", s, {iterations, size.batch, size.outputs, size.dim});
  check_shape(
      "log_sum_exp", log_sum_exp,
      over_inputs ? std::vector<int64_t>{iterations, size.batch, size.outputs, 2}
                  : std::vector<int64_t>{0});
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
