// Squash over the last dimension, and its gradient.
#include "operators.h"
#include "tensors.h"

namespace fastcaps {
namespace {

Sizes rows_of(const Tensor& s) {
  STD_TORCH_CHECK(s.dim() >= 1, "fastcaps: s must have at least one dimension");
  const int64_t dim = s.sizes()[s.dim() - 1];
  return {dim > 0 ? s.numel() / dim : 0, 1, 1, 1, dim};
}

// Calls work(first row, rows, scratch of 2 tiles) for groups of rows.
template <class T, class F>
void for_rows(const Sizes& size, const Kernels<T>& k, const F& work) {
  const int64_t lanes = k.lanes, per_item = 16 * lanes;
  parallel_items<T>(
      divide_up(size.batch, per_item), 4 * per_item * size.dim, 2 * size.dim * lanes,
      [&](int64_t item, T* scratch) {
        const int64_t end = std::min(size.batch, (item + 1) * per_item);
        for (int64_t row = item * per_item; row < end; row += lanes) {
          work(row, std::min<int64_t>(lanes, end - row), scratch);
        }
      });
}

const char* at(const Tensor& tensor, int64_t element) {
  return static_cast<const char*>(tensor.const_data_ptr()) + element * tensor.element_size();
}

char* mutable_at(const Tensor& tensor, int64_t element) {
  return static_cast<char*>(tensor.mutable_data_ptr()) + element * tensor.element_size();
}

}  // namespace

Tensor squash(const Tensor& s_any) {
  const Tensor s = torch::stable::contiguous(s_any);
  const Tensor v = torch::stable::empty_like(s);
  const Sizes size = rows_of(s);
  const Storage storage = storage_of(s);
  with_compute_type(s, [&](auto zero) {
    using T = decltype(zero);
    const Kernels<T>& k = kernels<T>(size.batch);
    for_rows<T>(size, k, [&](int64_t row, int64_t rows, T* tile) {
      k.to_lanes(storage, at(s, row * size.dim), size.dim, rows, size.dim, tile);
      k.squash(tile, size.dim, tile);
      k.from_lanes(storage, tile, rows, size.dim, mutable_at(v, row * size.dim), size.dim);
    });
  });
  return v;
}

Tensor squash_backward(const Tensor& grad_any, const Tensor& s_any) {
  const Tensor grad = torch::stable::contiguous(grad_any), s = torch::stable::contiguous(s_any);
  check_shape("grad", grad, {s.sizes().begin(), s.sizes().end()});
  check_like("grad", grad, s);
  const Tensor grad_s = torch::stable::empty_like(s);
  const Sizes size = rows_of(s);
  const Storage storage = storage_of(s);
  with_compute_type(s, [&](auto zero) {
    using T = decltype(zero);
    const Kernels<T>& k = kernels<T>(size.batch);
    for_rows<T>(size, k, [&](int64_t row, int64_t rows, T* tile) {
      T* grad_tile = tile + size.dim * k.lanes;
      k.to_lanes(storage, at(s, row * size.dim), size.dim, rows, size.dim, tile);
      k.to_lanes(storage, at(grad, row * size.dim), size.dim, rows, size.dim, grad_tile);
      k.squash_gradient(tile, grad_tile, size.dim, grad_tile);
      k.from_lanes(
          storage, grad_tile, rows, size.dim, mutable_at(grad_s, row * size.dim), size.dim);
    });
  });
  return grad_s;
}

}  // namespace fastcaps
