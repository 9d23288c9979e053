// Prediction vectors summed up with coefficients: sum_i c_ij u_hat_ij = (c u)_ik W_ik,j. For an
// output capsule that is a product of matrices, samples by d.
#pragma once

#include "layer.cuh"

namespace fastcaps::cuda::any_sizes {

template <class S>
struct CoupledSumsProblem {
  Layer<S> layer;
  OfPairs<Compute<S>> coefficients;
  int64_t slice;        // input capsules per partial sum
  Compute<S>* partial;  // [slices][B][J][D], written
};

// A block of threads has one output capsule, 64 samples, COLUMNS numbers of a vector, and a slice.
template <class S, int COLUMNS>
class CoupledSums {
  typedef Compute<S> T;
  typedef TileProduct<T, COLUMNS> Product;

 public:
  static constexpr int kThreads = Product::kThreads;
  static constexpr int64_t kSharedBytes = Product::kSharedBytes;

  FASTCAPS_ALWAYS_INLINE static int64_t tiles(const Sizes& size) {
    return divide_up(size.batch, kTileRows) * divide_up(size.dim, COLUMNS);
  }

  __device__ __forceinline__ explicit CoupledSums(const CoupledSumsProblem<S>& problem)
      : p_(problem), place_(tiles(problem.layer.size), problem.layer.size.outputs) {}

  __device__ __forceinline__ void run() {
    const Layer<S>& layer = p_.layer;
    const Sizes& size = layer.size;
    const int64_t of_samples = divide_up(size.batch, kTileRows);
    const int64_t first_sample = place_.inner % of_samples * kTileRows;
    const int64_t first_d = place_.inner / of_samples * COLUMNS;
    const int64_t first_input = place_.outer * p_.slice, left = size.inputs - first_input;
    const int64_t first_row = first_input * size.in_dim;
    typename Product::Sums sums = {};
    product_.template add_long<true, false>(
        static_cast<int>((left < p_.slice ? left : p_.slice) * size.in_dim),
        [&](int n) { return inputs(first_row + n, first_sample); },
        [&](int column) { return layer.weights(place_.output, first_d + column).from(first_row); },
        sums);
    store(first_sample, first_d, sums);
  }

 private:
  // c u of a row.
  __device__ __forceinline__ WeighedInputs<S> inputs(int64_t row, int64_t first_sample) const {
    const Layer<S>& layer = p_.layer;
    return {
        layer.inputs(row).from(first_sample),
        p_.coefficients.of(layer, row, place_.output).from(first_sample)};
  }

  __device__ __forceinline__ void store(
      int64_t first_sample, int64_t first_d, const typename Product::Sums& sums) const {
    const Sizes& size = p_.layer.size;
#pragma unroll
    for (int m = 0; m < kNear; m++) {
      const int64_t sample = first_sample + product_.row + m;
      if (sample >= size.batch) continue;
      const int64_t vector = (place_.outer * size.batch + sample) * size.outputs + place_.output;
#pragma unroll
      for (int n = 0; n < kNear; n++) {
        const int64_t d = first_d + product_.column + n;
        if (d < size.dim) p_.partial[vector * size.dim + d] = sums[m][n];
      }
    }
  }

  const CoupledSumsProblem<S>& p_;
  const BlockPlace place_;
  Product product_;
};

template <class S, int COLUMNS>
__global__ void __launch_bounds__(CoupledSums<S, COLUMNS>::kThreads, 1)
    coupled_sums_kernel(const CoupledSumsProblem<S> problem) {
  CoupledSums<S, COLUMNS>(problem).run();
}

}  // namespace fastcaps::cuda::any_sizes
