// Gradients that are sums over samples:
//
//     dW_ij = sum_bt u_bi (x) (c ds_j + dl V_j)    dprior_ij = sum_bt dl_bij
//
// For an output capsule the first is a product of matrices, (i, k) by d: of c u or dl u, and
// vectors.
#pragma once

#include "iterations.cuh"

namespace fastcaps::cuda::any_sizes {

// A gradient that parts of the batch add to, one after the other. The last one stores it.
template <class S>
struct SumOfParts {
  typedef Compute<S> T;

  T* sums;    // of the parts before; not used where there is only one
  S* target;  // may be the same
  bool is_first, is_last;

  __device__ __forceinline__ void add(int64_t at, T more) const {
    const T sum = is_first ? more : sums[at] + more;
    if (is_last) return narrow(sum, target[at]);
    sums[at] = sum;
  }
};

template <class S>
struct WeightGradientsProblem {
  Layer<S> layer;
  Iterations<Compute<S>> iterations;
  SumOfParts<S> grad_weight;  // [I][K][J][D]
};

// A block of threads has one output capsule, 64 rows (i, k), and COLUMNS numbers of a vector.
template <class S, int COLUMNS>
class WeightGradients {
  typedef Compute<S> T;
  typedef TileProduct<T, COLUMNS> Product;

 public:
  static constexpr int kThreads = Product::kThreads;
  static constexpr int64_t kSharedBytes = Product::kSharedBytes;

  static int64_t blocks(const Layer<S>& layer) {
    return divide_up(layer.size.dim, COLUMNS) * layer.size.outputs *
           divide_up(layer.rows(), kTileRows);
  }

  __device__ __forceinline__ explicit WeightGradients(const WeightGradientsProblem<S>& problem)
      : p_(problem),
        place_(divide_up(problem.layer.size.dim, COLUMNS), problem.layer.size.outputs),
        first_row_(place_.outer * kTileRows),
        first_d_(place_.inner * COLUMNS) {}

  __device__ __forceinline__ void run() {
    const Layer<S>& layer = p_.layer;
    typename Product::Sums sums = {};
    p_.iterations.each(layer.size, [&](const Share<T>& share) {
      product_.template add_long<false, false>(
          layer.samples(),
          [&](int row) {
            return WeighedInputs<S>{
                layer.inputs(first_row_ + row),
                share.weights.of(layer, first_row_ + row, place_.output)};
          },
          [&](int column) {
            return layer.vectors(share.vectors, place_.output, first_d_ + column);
          },
          sums);
    });
    store(sums);
  }

 private:
  __device__ __forceinline__ void store(const typename Product::Sums& sums) const {
    const Sizes& size = p_.layer.size;
#pragma unroll
    for (int m = 0; m < kNear; m++) {
      const int64_t row = first_row_ + product_.row + m;
      if (row >= p_.layer.rows()) continue;
#pragma unroll
      for (int n = 0; n < kNear; n++) {
        const int64_t d = first_d_ + product_.column + n;
        if (d >= size.dim) continue;
        p_.grad_weight.add(row * size.columns() + place_.output * size.dim + d, sums[m][n]);
      }
    }
  }

  const WeightGradientsProblem<S>& p_;
  const BlockPlace place_;
  const int64_t first_row_, first_d_;
  Product product_;
};

template <class S, int COLUMNS>
__global__ void __launch_bounds__(WeightGradients<S, COLUMNS>::kThreads, 1)
    weight_gradients_kernel(const WeightGradientsProblem<S> problem) {
  WeightGradients<S, COLUMNS>(problem).run();
}

template <class S>
struct PriorGradientsProblem {
  Sizes size;
  int64_t iterations;
  const Compute<S>* logit_gradients;  // [R][I][J][B]
  SumOfParts<S> grad_prior;           // [I][J]
};

constexpr int kPriorThreads = 256;

inline int64_t prior_blocks(const Sizes& size) {
  return divide_up(size.inputs * size.outputs * 32, kPriorThreads);
}

// A warp has a pair (i, j).
template <class S>
__global__ void __launch_bounds__(kPriorThreads, 1)
    prior_gradients_kernel(const PriorGradientsProblem<S> p) {
  typedef Compute<S> T;
  const int64_t pairs = p.size.inputs * p.size.outputs;
  const int64_t pair = (int64_t{blockIdx.x} * kPriorThreads + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  T sum = 0;
  for (int64_t t = 0; pair < pairs && t < p.iterations; t++) {
    const T* numbers = p.logit_gradients + (t * pairs + pair) * p.size.batch;
    for (int64_t sample = lane; sample < p.size.batch; sample += 32) sum += numbers[sample];
  }
  sum = sum_of_row(sum, 32);
  if (pair < pairs && lane == 0) p.grad_prior.add(pair, sum);
}

}  // namespace fastcaps::cuda::any_sizes
