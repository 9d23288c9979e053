// From logits to coupling coefficients, and from slopes a_ij = u_hat_ij . ds_j to the gradients of
// logits, dl_ij = c_ij (a_ij - mean of a_i or a_j), in place. They lie in memory as [I][J][B].
#pragma once

#include "../rows.cuh"

namespace fastcaps::cuda::any_sizes {

template <class T>
struct CouplingsProblem {
  Sizes size;
  T* coefficients;  // logits, which become coefficients; or coefficients where slopes are given
  T* slopes;        // become gradients of logits; or null
  T* log_sum_exp;   // [B][J][2]: largest logit, log of the sum relative to it; written, or null
};

constexpr int kCouplingThreads = 256;
constexpr int kCouplingLanes = 32;
constexpr int kCouplingParts = kCouplingThreads / kCouplingLanes;
// One sum goes over so many input capsules: float32 loses accuracy with them.
constexpr int kLongestCouplingSum = 64;
template <class T>
constexpr int64_t kCouplingSharedBytes = int64_t{kCouplingThreads} * sizeof(T);

// Exactly 0 for an input or output that takes all: slope and mean are equal but for rounding, which
// huge prediction vectors would multiply.
template <class T>
__device__ __forceinline__ T logit_gradient(T c, T slope, T mean) {
  return c == 1 ? T(0) : c * (slope - mean);
}

template <class T>
__device__ __forceinline__ T larger(T a, T b) {
  return a > b ? a : b;
}

inline int64_t blocks_over_outputs(const Sizes& size) {
  return divide_up(size.inputs * size.batch, kCouplingThreads);
}

// A thread has an input capsule of a sample.
template <class T>
__global__ void __launch_bounds__(kCouplingThreads, 1)
    couple_outputs_kernel(const CouplingsProblem<T> p) {
  const int64_t n = int64_t{blockIdx.x} * kCouplingThreads + threadIdx.x;
  if (n >= p.size.inputs * p.size.batch) return;
  const int64_t stride = p.size.batch, count = p.size.outputs * stride;
  const int64_t first = n / p.size.batch * count + n % p.size.batch;
  T* c = p.coefficients + first;
  if (p.slopes) {
    T *slopes = p.slopes + first, mean = 0;
    for (int64_t j = 0; j < count; j += stride) mean += c[j] * slopes[j];
    for (int64_t j = 0; j < count; j += stride) slopes[j] = logit_gradient(c[j], slopes[j], mean);
    return;
  }
  T largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < count; j += stride) largest = larger(c[j], largest);
  for (int64_t j = 0; j < count; j += stride) sum += c[j] = exp(c[j] - largest);
  const T scale = 1 / sum;
  for (int64_t j = 0; j < count; j += stride) c[j] *= scale;
}

inline int64_t blocks_over_inputs(const Sizes& size) {
  return divide_up(size.outputs * size.batch, kCouplingLanes);
}

// A lane has an output capsule of a sample, and every warp some of its input capsules.
template <class T>
class InputCouplings {
 public:
  __device__ __forceinline__ explicit InputCouplings(const CouplingsProblem<T>& problem)
      : p_(problem),
        lane_(static_cast<int>(threadIdx.x) % kCouplingLanes),
        part_(static_cast<int>(threadIdx.x) / kCouplingLanes),
        columns_(problem.size.outputs * problem.size.batch),
        column_(int64_t{blockIdx.x} * kCouplingLanes + lane_),
        end_(column_ < columns_ ? problem.size.inputs * columns_ : 0) {}

  __device__ __forceinline__ void run() const {
    p_.slopes ? find_gradients() : find_coefficients();
  }

 private:
  // Calls f with the place of each number of this thread.
  template <class F>
  __device__ __forceinline__ void each(const F& f) const {
#pragma unroll 4
    for (int64_t at = part_ * columns_ + column_; at < end_; at += kCouplingParts * columns_) {
      f(at);
    }
  }

  // The sum of f(place) over this thread's numbers.
  template <class F>
  __device__ __forceinline__ T sum_of_each(const F& f) const {
    const int64_t step = kCouplingParts * columns_;
    T sum = 0;
    for (int64_t first = part_ * columns_ + column_; first < end_;
         first += kLongestCouplingSum * step) {
      T some = 0;
      int64_t at = first;
#pragma unroll 4
      for (int n = 0; n < kLongestCouplingSum && at < end_; n++, at += step) some += f(at);
      sum += some;
    }
    return sum;
  }

  // The warps' numbers of this lane's column, put together in order.
  template <class F>
  __device__ __forceinline__ T of_all(T value, const F& together) const {
    T* numbers = reinterpret_cast<T*>(shared_numbers()) + lane_;
    __syncthreads();  // what was there is not needed any more
    numbers[part_ * kCouplingLanes] = value;
    __syncthreads();
    T result = numbers[0];
    for (int part = 1; part < kCouplingParts; part++) {
      result = together(result, numbers[part * kCouplingLanes]);
    }
    return result;
  }

  // The same over all of this lane's column.
  template <class F>
  __device__ __forceinline__ T sum_of_all(const F& f) const {
    return of_all(sum_of_each(f), [](T a, T b) { return a + b; });
  }

  __device__ __forceinline__ void find_coefficients() const {
    T* c = p_.coefficients;
    T some = -INFINITY;
    each([&](int64_t at) { some = larger(c[at], some); });
    const T largest = of_all(some, [](T a, T b) { return larger(a, b); });
    const auto weigh = [&](int64_t at) { return c[at] = exp(c[at] - largest); };
    const T total = sum_of_all(weigh), scale = 1 / total;
    each([&](int64_t at) { c[at] *= scale; });
    if (p_.log_sum_exp && part_ == 0 && end_ > 0) {
      const int64_t j = column_ / p_.size.batch, sample = column_ % p_.size.batch;
      T* place = p_.log_sum_exp + 2 * (sample * p_.size.outputs + j);
      place[0] = largest;
      place[1] = log(total);
    }
  }

  __device__ __forceinline__ void find_gradients() const {
    const T* c = p_.coefficients;
    T* slopes = p_.slopes;
    const T mean = sum_of_all([&](int64_t at) { return c[at] * slopes[at]; });
    each([&](int64_t at) { slopes[at] = logit_gradient(c[at], slopes[at], mean); });
  }

  const CouplingsProblem<T>& p_;
  const int lane_, part_;
  const int64_t columns_, column_, end_;
};

template <class T>
__global__ void __launch_bounds__(kCouplingThreads, 1)
    couple_inputs_kernel(const CouplingsProblem<T> problem) {
  InputCouplings<T>(problem).run();
}

}  // namespace fastcaps::cuda::any_sizes
