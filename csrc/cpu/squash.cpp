// Squash over the last dimension, and its gradient.
#include "operators.h"
#include "tensors.h"

namespace fastcaps {
namespace {

// Calls work(first row, rows, scratch of 2 tiles) for groups of rows.
template <class T, class F>
void for_rows(const Rows& rows, const Kernels<T>& k, const F& work) {
  const int64_t lanes = k.lanes, per_item = 16 * lanes;
  parallel_items<T>(
      divide_up(rows.count, per_item), 4 * per_item * rows.dim, 2 * rows.dim * lanes,
      [&](int64_t item, T* scratch) {
        const int64_t end = std::min(rows.count, (item + 1) * per_item);
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
  const Rows rows(s);
  const Storage storage = storage_of(s);
  with_compute_type(s, [&](auto zero) {
    using T = decltype(zero);
    const Kernels<T>& k = kernels<T>(rows.count);
    for_rows<T>(rows, k, [&](int64_t row, int64_t count, T* tile) {
      k.to_lanes(storage, at(s, row * rows.dim), rows.dim, count, rows.dim, tile);
      k.squash(tile, rows.dim, tile);
      k.from_lanes(storage, tile, count, rows.dim, mutable_at(v, row * rows.dim), rows.dim);
    });
  });
  return v;
}

Tensor squash_backward(const Tensor& grad_any, const Tensor& s_any) {
  const Tensor grad = torch::stable::contiguous(grad_any), s = torch::stable::contiguous(s_any);
  check_shape("grad", grad, {s.sizes().begin(), s.sizes().end()});
  check_like("grad", grad, s);
  const Tensor grad_s = torch::stable::empty_like(s);
  const Rows rows(s);
  const Storage storage = storage_of(s);
  with_compute_type(s, [&](auto zero) {
    using T = decltype(zero);
    const Kernels<T>& k = kernels<T>(rows.count);
    for_rows<T>(rows, k, [&](int64_t row, int64_t count, T* tile) {
      T* grad_tile = tile + rows.dim * k.lanes;
      k.to_lanes(storage, at(s, row * rows.dim), rows.dim, count, rows.dim, tile);
      k.to_lanes(storage, at(grad, row * rows.dim), rows.dim, count, rows.dim, grad_tile);
      k.squash_gradient(tile, grad_tile, rows.dim, grad_tile);
      k.from_lanes(
          storage, grad_tile, count, rows.dim, mutable_at(grad_s, row * rows.dim), rows.dim);
    });
  });
  return grad_s;
}

}  // namespace fastcaps
