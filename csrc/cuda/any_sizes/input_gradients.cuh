// du_i = sum_jt W_ij (c ds_j + dl V_j), over output capsules and iterations: W_ij ds_j and W_ij V_j
// are products of matrices, (i, k) by samples, which every pair and sample weighs with c and dl.
#pragma once

#include "iterations.cuh"

namespace fastcaps::cuda::any_sizes {

template <class S>
struct InputGradientsProblem {
  Layer<S> layer;
  Iterations<Compute<S>> iterations;
  S* grad_u;  // [B][I][K], written
};

// A block of threads has 64 rows (i, k) and COLUMNS samples.
template <class S, int COLUMNS>
class InputGradients {
  typedef Compute<S> T;
  typedef TileProduct<T, COLUMNS> Product;
  typedef typename Product::Sums Sums;

 public:
  static constexpr int kThreads = Product::kThreads;
  static constexpr int64_t kSharedBytes = Product::kSharedBytes;

  static int64_t blocks(const Layer<S>& layer) {
    return divide_up(layer.size.batch, COLUMNS) * divide_up(layer.rows(), kTileRows);
  }

  __device__ __forceinline__ explicit InputGradients(const InputGradientsProblem<S>& problem)
      : p_(problem),
        place_(divide_up(problem.layer.size.batch, COLUMNS), 1),
        first_sample_(place_.inner * COLUMNS),
        first_row_(place_.outer * kTileRows) {}

  __device__ __forceinline__ void run() {
    const Layer<S>& layer = p_.layer;
    Sums total = {};
    p_.iterations.each(layer.size, [&](const Share<T>& share) {
      for (int64_t j = 0; j < layer.size.outputs; j++) {
        Sums sums = {};
        product_.template add<true, true>(
            0, static_cast<int>(layer.size.dim),
            [&](int d) { return layer.weights(j, d).from(first_row_); },
            [&](int d) { return layer.vectors(share.vectors, j, d).from(first_sample_); }, sums);
        add(share, j, sums, total);
      }
    });
    store(total);
  }

 private:
  __device__ __forceinline__ void add(
      const Share<T>& share, int64_t output, const Sums& sums, Sums& total) const {
    T weights[kNear];  // of an input capsule, whose rows follow one another
#pragma unroll
    for (int m = 0; m < kNear; m++) {
      const int64_t row = first_row_ + product_.row + m;
      if (m == 0 || row % p_.layer.in_dim() == 0) {
        const OfPair<T> of_row = share.weights.of(p_.layer, row, output).from(first_sample_);
#pragma unroll
        for (int n = 0; n < kNear; n++) weights[n] = of_row(product_.column + n);
      }
#pragma unroll
      for (int n = 0; n < kNear; n++) total[m][n] += sums[m][n] * weights[n];
    }
  }

  __device__ __forceinline__ void store(const Sums& total) const {
    const int64_t rows = p_.layer.rows();
#pragma unroll
    for (int n = 0; n < kNear; n++) {
      const int64_t sample = first_sample_ + product_.column + n;
      if (sample >= p_.layer.size.batch) continue;
#pragma unroll
      for (int m = 0; m < kNear; m++) {
        const int64_t row = first_row_ + product_.row + m;
        if (row < rows) narrow(total[m][n], p_.grad_u[sample * rows + row]);
      }
    }
  }

  const InputGradientsProblem<S>& p_;
  const BlockPlace place_;
  const int64_t first_sample_, first_row_;
  Product product_;
};

template <class S, int COLUMNS>
__global__ void __launch_bounds__(InputGradients<S, COLUMNS>::kThreads, 1)
    input_gradients_kernel(const InputGradientsProblem<S> problem) {
  InputGradients<S, COLUMNS>(problem).run();
}

}  // namespace fastcaps::cuda::any_sizes
