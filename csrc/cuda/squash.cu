// Squash over the last dimension, and its gradient, on CUDA tensors.
#include "launch.cuh"
#include "squash.cuh"

namespace fastcaps::cuda {
namespace {

template <class S>
const S* read(const Tensor& tensor) {
  return static_cast<const S*>(tensor.const_data_ptr());
}

template <class S>
S* write(const Tensor& tensor) {
  return static_cast<S*>(tensor.mutable_data_ptr());
}

Tensor squash(const Tensor& s_any) {
  const Tensor s = torch::stable::contiguous(s_any);
  const Tensor v = torch::stable::empty_like(s);
  const Rows rows(s);
  if (rows.count == 0) return v;
  const DeviceGuard guard(s.get_device_index());
  const bool aligned = is_aligned(s) && is_aligned(v);
  const auto launch = [&](auto zero, const RowLaunch& plan, auto chunk, auto held) {
    using S = decltype(zero);
    squash_kernel<S, decltype(chunk)::value, decltype(held)::value>
        <<<plan.blocks, RowLaunch::kThreads, 0, stream_of(s)>>>(
            read<S>(s), write<S>(v), rows.count, rows.dim, plan.bits);
  };
  with_rows(storage_of(s), rows.count, rows.dim, aligned, launch);
  check_launch("squash_kernel", s);
  return v;
}

Tensor squash_backward(const Tensor& grad_any, const Tensor& s_any) {
  const Tensor grad = torch::stable::contiguous(grad_any), s = torch::stable::contiguous(s_any);
  check_shape("grad", grad, {s.sizes().begin(), s.sizes().end()});
  check_like("grad", grad, s);
  const Tensor grad_s = torch::stable::empty_like(s);
  const Rows rows(s);
  if (rows.count == 0) return grad_s;
  const DeviceGuard guard(s.get_device_index());
  const bool aligned = is_aligned(s) && is_aligned(grad) && is_aligned(grad_s);
  const auto launch = [&](auto zero, const RowLaunch& plan, auto chunk, auto held) {
    using S = decltype(zero);
    squash_gradient_kernel<S, decltype(chunk)::value, decltype(held)::value>
        <<<plan.blocks, RowLaunch::kThreads, 0, stream_of(s)>>>(
            read<S>(s), read<S>(grad), write<S>(grad_s), rows.count, rows.dim, plan.bits);
  };
  with_rows(storage_of(s), rows.count, rows.dim, aligned, launch);
  check_launch("squash_gradient_kernel", s);
  return grad_s;
}

}  // namespace
}  // namespace fastcaps::cuda

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CUDA, library) {
  library.impl("squash", TORCH_BOX(&fastcaps::cuda::squash));
  library.impl("squash_backward", TORCH_BOX(&fastcaps::cuda::squash_backward));
}
