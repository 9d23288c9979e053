// How much prediction vectors agree with vectors V: u_hat_ij . V_j = sum_k u_ik (W_ik,j . V_j). For
// an output capsule the brackets are a product of matrices, (i, k) by samples.
#pragma once

#include "layer.cuh"

namespace fastcaps::cuda::any_sizes {

template <class S>
struct AgreementsProblem {
  Layer<S> layer;
  const Compute<S>* vectors;  // [B][J][D], or null for 0
  const S* prior;             // [I][J], added; or null
  Compute<S>* agreements;     // [I][J][B], written
};

// A block of threads has one output capsule, COLUMNS samples, and as many input capsules as a tile
// has rows for; or one that has more than a tile.
template <class S, int COLUMNS>
class Agreements {
  typedef Compute<S> T;
  typedef TileProduct<T, COLUMNS> Product;
  static constexpr int kProductRow = COLUMNS + kNear;
  static constexpr int kProductNumbers = kTileRows * kProductRow;

 public:
  static constexpr int kThreads = Product::kThreads;
  static constexpr int64_t kSharedBytes =
      static_cast<int64_t>(sizeof(T)) *
      (kProductNumbers > Product::kSharedNumbers ? kProductNumbers : Product::kSharedNumbers);

  FASTCAPS_ALWAYS_INLINE static int64_t capsules_of_tile(int64_t in_dim) {
    return in_dim < kTileRows ? kTileRows / in_dim : 1;
  }
  static int64_t blocks(const Sizes& size) {
    return divide_up(size.batch, COLUMNS) * size.outputs *
           divide_up(size.inputs, capsules_of_tile(size.in_dim));
  }

  __device__ __forceinline__ explicit Agreements(const AgreementsProblem<S>& problem)
      : p_(problem),
        place_(divide_up(problem.layer.size.batch, COLUMNS), problem.layer.size.outputs),
        first_sample_(place_.inner * COLUMNS),
        first_input_(static_cast<int>(place_.outer * capsules_of_tile(problem.layer.size.in_dim))) {
  }

  __device__ __forceinline__ void run() {
    const int in_dim = p_.layer.in_dim();
    for (int first_k = 0; first_k < in_dim; first_k += kTileRows) {
      const int left = in_dim - first_k;
      multiply(first_input_ * in_dim + first_k);
      sum_over_k(first_k, left < kTileRows ? left : kTileRows);
    }
  }

 private:
  // Leaves the brackets of a tile of rows in shared memory.
  __device__ __forceinline__ void multiply(int first_row) {
    const Layer<S>& layer = p_.layer;
    typename Product::Sums sums = {};
    product_.template add<true, true>(
        0, p_.vectors ? static_cast<int>(layer.size.dim) : 0,
        [&](int d) { return layer.weights(place_.output, d).from(first_row); },
        [&](int d) { return layer.vectors(p_.vectors, place_.output, d).from(first_sample_); },
        sums);
    __syncthreads();  // the product's own numbers are not needed any more
#pragma unroll
    for (int m = 0; m < kNear; m++) {
      store_numbers(products() + (product_.row + m) * kProductRow + product_.column, sums[m]);
    }
    __syncthreads();
  }

  // With u from k = `first_k` on: there is something of the input capsule already, unless that is
  // 0.
  __device__ __forceinline__ void sum_over_k(int first_k, int rows_of_capsule) const {
    const Layer<S>& layer = p_.layer;
    const Sizes& size = layer.size;
    const int capsules = static_cast<int>(capsules_of_tile(size.in_dim));
#pragma unroll 1  // more would take a third more registers
    for (int n = threadIdx.x; n < capsules * COLUMNS; n += kThreads) {
      const int capsule = n / COLUMNS, column = n % COLUMNS;
      const int64_t i = first_input_ + capsule, sample = first_sample_ + column;
      if (i >= size.inputs || sample >= size.batch) continue;
      const int64_t pair = i * size.outputs + place_.output;
      T& agreement = p_.agreements[pair * size.batch + sample];
      const S* u = layer.u + sample * layer.rows() + i * size.in_dim + first_k;
      const T* rows = products() + capsule * rows_of_capsule * kProductRow + column;
      T sum = 0;
      for (int k = 0; k < rows_of_capsule; k++) sum += rows[k * kProductRow] * widen(u[k]);
      agreement = sum + (first_k ? agreement : p_.prior ? widen(p_.prior[pair]) : T(0));
    }
  }

  __device__ __forceinline__ static T* products() { return Product::numbers(); }

  const AgreementsProblem<S>& p_;
  const BlockPlace place_;
  const int64_t first_sample_;
  const int first_input_;
  Product product_;
};

template <class S, int COLUMNS>
__global__ void __launch_bounds__(Agreements<S, COLUMNS>::kThreads, 1)
    agreements_kernel(const AgreementsProblem<S> problem) {
  Agreements<S, COLUMNS>(problem).run();
}

}  // namespace fastcaps::cuda::any_sizes
