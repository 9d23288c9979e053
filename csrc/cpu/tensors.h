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

 private:
  std::vector<T> values_;
};

// Calls work(item, scratch) for items [0, count) on torch's threads; every thread has its own
// scratch of `scratch_size` numbers.
template <class T, class F>
void parallel_items(int64_t count, int64_t scratch_size, const F& work) {
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
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
