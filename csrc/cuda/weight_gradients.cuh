// The last pass of the gradients, of all iterations at once:
//
//     dW_ij = sum_bt u_bi (x) (c ds_j + dl V_j)    du_i = sum_jt W_ij (c ds_j + dl V_j)
//     dprior_ij = sum_bt dl_bij
//
// A block of threads has four input capsules with all their weights, and goes through the samples,
// 16 at a time, with every iteration. A warp has one output capsule.
#pragma once

#include "gradients.cuh"

namespace fastcaps::cuda {

constexpr int kWeightSamples = 16;

template <class S>
struct WeightGradientsProblem {
  GradientProblem<S> layer;
  const float* agreement;    // [R][B][J][D]: V of every iteration
  const float* grad_s;       // [R][B][J][D]
  const float* log_sum_exp;  // [R][B][J][2], over inputs
  const float* center;       // [R][B][J]: s . ds, over inputs
  int first, iterations;     // the iterations that count
  float even;                // the coefficient of iteration 0 where all are equal there, else 0
  S* grad_u;                 // [B][I][K], written, or null
  S* grad_weight;            // [I][K][J][D], written, or null
  S* grad_prior;             // [I][J], written, or null
};

template <class S, int D, bool OVER_INPUTS, bool EXACT>
class WeightGradients {
  typedef GradientTile<S, D, kWeightSamples, EXACT> Tile;
  typedef typename Tile::Place Place;
  static constexpr int kRows = Tile::kRows;
  static constexpr int kStage = 2 * Place::kVectors + Place::kInputs;  // V, ds, u
  static constexpr int kCouplings = Place::kWeights + 2 * kStage;
  static constexpr int kShares = kCouplings + Place::kAllCouplings;
  static constexpr int kShareOfSample = Place::kNumbers + 4;
  static constexpr int kShare = kWeightSamples * kShareOfSample;  // of du, of an output capsule

 public:
  static constexpr int64_t kSharedBytes = int64_t{4} * (kShares + kGradientOutputs * kShare);

  __device__ __forceinline__ explicit WeightGradients(const WeightGradientsProblem<S>& problem)
      : p_(problem),
        tile_(problem.layer, shared_numbers() + kCouplings),
        i_(static_cast<int>(blockIdx.x) * kGradientInputs) {}

  __device__ __forceinline__ void run() {
    const Sizes& size = p_.layer.size;
    const int64_t tiles = divide_up(size.batch, kWeightSamples);
    tile_.fetch_weights(i_, weights());
    fetch(0, p_.first, 0);
    int stage = 0;
    for (int64_t tile = 0; tile < tiles; tile++) {
      float du[kRows][kGradientK] = {};
      for (int iteration = p_.first; iteration < p_.iterations; iteration++) {
        wait_for_copies<0>();
        __syncthreads();  // what comes next is there, what came before is not needed any more
        const bool last = iteration + 1 == p_.iterations;
        if (last && tile + 1 < tiles) fetch(tile + 1, p_.first, 1 - stage);
        if (!last) fetch(tile, iteration + 1, 1 - stage);
        add_iteration(shared_numbers() + Place::kWeights + stage * kStage, tile, iteration, du);
        stage = 1 - stage;
      }
      if (p_.grad_u) store_input_gradients(tile * kWeightSamples, du);
    }
    if (!tile_.has_output()) return;
    if (p_.grad_weight) store_weight_gradients();
    if (p_.grad_prior) store_prior_gradients();
  }

 private:
  __device__ __forceinline__ static S* weights() { return reinterpret_cast<S*>(shared_numbers()); }

  __device__ __forceinline__ void fetch(int64_t tile, int iteration, int stage) const {
    const Sizes& size = p_.layer.size;
    const int64_t first = tile * kWeightSamples, stride = size.batch * size.columns();
    float* target = shared_numbers() + Place::kWeights + stage * kStage;
    tile_.fetch_vectors(p_.agreement + iteration * stride, first, target);
    tile_.fetch_vectors(p_.grad_s + iteration * stride, first, target + Place::kVectors);
    tile_.fetch_inputs(first, i_, reinterpret_cast<S*>(target + 2 * Place::kVectors));
    commit_copies();
  }

  // An iteration's part, of some samples.
  __device__ __forceinline__ void add_iteration(
      const float* v, int64_t tile, int iteration, float (&du)[kRows][kGradientK]) {
    const float* ds = v + Place::kVectors;
    const S* inputs = reinterpret_cast<const S*>(ds + Place::kVectors);
    const bool uniform = iteration == 0 && p_.even != 0;
    typename Tile::Products slopes = {}, agreements = {};
    if (tile_.has_output()) {
      tile_.multiply_vectors(ds, weights(), slopes);
      if (!uniform) tile_.multiply_vectors(v, weights(), agreements);
    }
    couple(inputs, tile, iteration, uniform, agreements, slopes);
    if (!tile_.has_output()) return;
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      const float c = *tile_.coefficient_at(tile_.t, tile_.row(n));
      const float dl = *tile_.logit_gradient_at(tile_.t, tile_.row(n));
#pragma unroll
      for (int k = 0; k < kGradientK; k++) {
        const int place = n % 2 * 2 + k % 2;
        du[n][k] += c * slopes[n / 2][k / 2][place] + dl * agreements[n / 2][k / 2][place];
      }
      prior_sum_ += dl;
    }
    if (!p_.grad_weight) return;
    add_weight_gradients<false>(ds, inputs);
    if (!uniform && !p_.layer.detached) add_weight_gradients<true>(v, inputs);
  }

  // Leaves c and dl in shared memory, where this warp finds those of its output capsule.
  __device__ __forceinline__ void couple(
      const S* inputs, int64_t tile, int iteration, bool uniform,
      const typename Tile::Products& agreements, const typename Tile::Products& slopes) const {
    float logits[kRows], means[kRows];
    if (tile_.has_output() && !uniform) {
      tile_.sum_over_k(inputs, agreements, logits);
      tile_.sum_over_k(inputs, slopes, means);
      const float shift = tile_.prior(i_);
      if constexpr (OVER_INPUTS) {
        couple_inputs(tile, iteration, shift, logits, means);
        tile_.leave(logits, means, 0);
      } else {
        tile_.leave(logits, means, shift);
      }
    }
    if (tile_.has_output() && uniform) {
#pragma unroll
      for (int n = 0; n < kRows; n++) logits[n] = p_.even, means[n] = 0;
      tile_.leave(logits, means, 0);
    }
    if (!OVER_INPUTS && !uniform) {
      __syncthreads();
      tile_.softmax_over_outputs();
      __syncthreads();
    } else {
      wait_for_warp();
    }
  }

  __device__ __forceinline__ void couple_inputs(
      int64_t tile, int iteration, float shift, float (&logits)[kRows],
      float (&slopes)[kRows]) const {
    const int64_t vectors = iteration * p_.layer.size.batch * p_.layer.size.outputs;
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      const auto normalizer = tile_.load_normalizer(
          p_.log_sum_exp + 2 * vectors, p_.center + vectors, tile * kWeightSamples + tile_.row(n));
      tile_.couple_inputs(normalizer, shift, logits[n], slopes[n]);
    }
  }

  // sums [D][I * K] += vectors^T (c u), or with dl.
  template <bool OF_LOGITS>
  __device__ __forceinline__ void add_weight_gradients(const float* vectors, const S* inputs) {
    const float* mine = vectors + tile_.output * D + tile_.g * kNear;
#pragma unroll 1
    for (int sample = 0; sample < kWeightSamples; sample += 8) {
      const int upper = sample + tile_.t, lower = upper + 4;
      float first[kNear], second[kNear];
      load_numbers(mine + upper * Place::kVector, first);
      load_numbers(mine + lower * Place::kVector, second);
#pragma unroll
      for (int block = 0; block < kBlocks; block++) {
        const int d = 2 * block;
        const float a[4] = {first[d], first[d + 1], second[d], second[d + 1]};
#pragma unroll
        for (int capsule = 0; capsule < kGradientInputs; capsule++) {
          const float* share =
              OF_LOGITS ? tile_.logit_gradient_at(capsule, 0) : tile_.coefficient_at(capsule, 0);
          const S* u = inputs + capsule * kGradientK + tile_.g;
          const float b[2] = {
              share[upper] * widen(u[upper * Place::kInput]),
              share[lower] * widen(u[lower * Place::kInput])};
          // Tensor cores truncate what they add up, so that the many samples are not left to them.
          float products[4] = {};
          multiply<float, EXACT>(products, a, b);
#pragma unroll
          for (int n = 0; n < 4; n++) sums_[block][capsule][n] += products[n];
        }
      }
    }
  }

  // All output capsules' shares of du, in order.
  __device__ __forceinline__ void store_input_gradients(
      int64_t first, const float (&du)[kRows][kGradientK]) const {
    float* shares = shared_numbers() + kShares;
    if (tile_.has_output()) {
#pragma unroll
      for (int n = 0; n < kRows; n++) {
        store_numbers(
            shares + tile_.output * kShare + tile_.row(n) * kShareOfSample + tile_.t * kGradientK,
            du[n]);
      }
    }
    __syncthreads();
    const Sizes& size = p_.layer.size;
    for (int n = threadIdx.x; n < kWeightSamples * Place::kNumbers; n += kGradientThreads) {
      const int64_t sample = first + n / Place::kNumbers;
      const int number = n % Place::kNumbers;
      if (sample >= size.batch || i_ + number / kGradientK >= size.inputs) continue;
      float sum = 0;
      for (int j = 0; j < tile_.outputs(); j++) {
        sum += shares[j * kShare + n / Place::kNumbers * kShareOfSample + number];
      }
      narrow(sum * Tile::kScale, p_.grad_u[(sample * size.inputs + i_) * kGradientK + number]);
    }
  }

  __device__ __forceinline__ void store_weight_gradients() const {
    const Sizes& size = p_.layer.size;
#pragma unroll
    for (int capsule = 0; capsule < kGradientInputs; capsule++) {
      if (i_ + capsule >= size.inputs) continue;
#pragma unroll
      for (int odd = 0; odd < 2; odd++) {
        const int64_t row = int64_t{i_ + capsule} * kGradientK + 2 * tile_.t + odd;
        float near[kNear];
#pragma unroll
        for (int n = 0; n < kNear; n++) {
          near[n] = sums_[n / 2][capsule][n % 2 * 2 + odd] * Tile::kScale;
        }
        store_numbers(
            p_.grad_weight + row * size.columns() + tile_.output * D + tile_.g * kNear, near);
      }
    }
  }

  // The sum over samples that eight lanes have.
  __device__ __forceinline__ void store_prior_gradients() const {
    float sum = prior_sum_;
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2) sum += lane_xor(sum, mask);
    if (tile_.g == 0 && i_ + tile_.t < p_.layer.size.inputs) {
      narrow(sum, p_.grad_prior[int64_t{i_ + tile_.t} * tile_.outputs() + tile_.output]);
    }
  }

  static constexpr int kNear = D / 8;        // neighbouring d of a lane
  static constexpr int kBlocks = kNear / 2;  // of 16 d, two of a lane

  const WeightGradientsProblem<S>& p_;
  const Tile tile_;
  const int i_;
  float prior_sum_ = 0;
  float sums_[kBlocks][kGradientInputs][4] = {};
};

template <class S, int D, bool OVER_INPUTS, bool EXACT>
__global__ void __launch_bounds__(kGradientThreads)
    weight_gradients_kernel(const WeightGradientsProblem<S> problem) {
  WeightGradients<S, D, OVER_INPUTS, EXACT>(problem).run();
}

}  // namespace fastcaps::cuda
