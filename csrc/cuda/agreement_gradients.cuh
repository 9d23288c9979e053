// A pass over the input capsules for dL/dV_j = sum_i dl_ij u_hat_ij = (dl u)_ik W_ik,j. A block of
// threads does 32 samples, all output capsules and a slice of the input capsules, four at a time.
#pragma once

#include "gradients.cuh"

namespace fastcaps::cuda {

constexpr int kAgreementSamples = 32;

template <class S>
struct AgreementGradientsProblem {
  GradientProblem<S> layer;
  const float* agreement;    // [B][J][D]: V of this iteration
  const float* grad_s;       // [B][J][D], of this iteration
  const float* log_sum_exp;  // [B][J][2] of this iteration, over inputs
  const float* center;       // [B][J] of this iteration: s . ds, over inputs
  int slice;                 // input capsules per partial sum, a multiple of kGradientInputs
  float* partial;            // [slices][B][J][D], written
};

template <class S, int D, bool OVER_INPUTS, bool EXACT>
class AgreementGradients {
  typedef GradientTile<S, D, kAgreementSamples, EXACT> Tile;
  typedef typename Tile::Place Place;

 public:
  static constexpr int64_t kSharedBytes =
      int64_t{4} * (2 * Place::kVectors + 2 * (Place::kWeights + Place::kInputs) +
                    (OVER_INPUTS ? 0 : Place::kAllCouplings));

  __device__ __forceinline__ explicit AgreementGradients(
      const AgreementGradientsProblem<S>& problem)
      : p_(problem),
        tile_(problem.layer, shared_numbers() + kStages + 2 * kStage),
        first_sample_(static_cast<int64_t>(blockIdx.x) * kAgreementSamples) {}

  __device__ __forceinline__ void run() {
    const int first = static_cast<int>(blockIdx.y) * p_.slice;
    const int left = static_cast<int>(p_.layer.size.inputs) - first;
    const int end = first + (left < p_.slice ? left : p_.slice);
    tile_.fetch_vectors(p_.agreement, first_sample_, shared_numbers());
    tile_.fetch_vectors(p_.grad_s, first_sample_, shared_numbers() + Place::kVectors);
    fetch(first, end, 0);
    if constexpr (OVER_INPUTS) load_normalizers();
    int stage = 0;
    for (int i = first; i < end; i += kGradientInputs) {
      wait_for_copies<0>();
      __syncthreads();  // what comes with i is there, and what came before is not needed any more
      fetch(i + kGradientInputs, end, 1 - stage);
      add_capsules(weights(stage), inputs(stage), i);
      stage = 1 - stage;
    }
    if (tile_.has_output()) store();
  }

 private:
  // Shared memory: V, ds, two stages of weights and inputs, couplings.
  static constexpr int kStages = 2 * Place::kVectors;
  static constexpr int kStage = Place::kWeights + Place::kInputs;

  // Weights, and the inputs behind them.
  __device__ __forceinline__ static S* weights(int stage) {
    return reinterpret_cast<S*>(shared_numbers() + kStages + stage * kStage);
  }
  __device__ __forceinline__ static S* inputs(int stage) {
    return reinterpret_cast<S*>(shared_numbers() + kStages + stage * kStage + Place::kWeights);
  }

  __device__ __forceinline__ void fetch(int i, int end, int stage) const {
    if (i < end) {
      tile_.fetch_weights(i, weights(stage));
      tile_.fetch_inputs(first_sample_, i, inputs(stage));
    }
    commit_copies();
  }

  __device__ __forceinline__ void load_normalizers() {
    if (!tile_.has_output()) return;
#pragma unroll
    for (int n = 0; n < Tile::kRows; n++) {
      normalizers_[n] =
          tile_.load_normalizer(p_.log_sum_exp, p_.center, first_sample_ + tile_.row(n));
    }
  }

  __device__ __forceinline__ void add_capsules(const S* weights, const S* inputs, int i) {
    float logits[Tile::kRows], slopes[Tile::kRows];
    if (tile_.has_output()) {
      agree(shared_numbers(), weights, inputs, logits);
      agree(shared_numbers() + Place::kVectors, weights, inputs, slopes);
      const float shift = tile_.prior(i);
      if constexpr (OVER_INPUTS) {
#pragma unroll
        for (int n = 0; n < Tile::kRows; n++) {
          tile_.couple_inputs(normalizers_[n], shift, logits[n], slopes[n]);
        }
      } else {
        tile_.leave(logits, slopes, shift);
      }
    }
    if constexpr (!OVER_INPUTS) {
      __syncthreads();
      tile_.softmax_over_outputs();
      __syncthreads();
      if (tile_.has_output()) {
#pragma unroll
        for (int n = 0; n < Tile::kRows; n++) {
          slopes[n] = *tile_.logit_gradient_at(tile_.t, tile_.row(n));
        }
      }
    }
    if (tile_.has_output()) add(weights, inputs, slopes);
  }

  __device__ __forceinline__ void agree(
      const float* vectors, const S* weights, const S* inputs,
      float (&numbers)[Tile::kRows]) const {
    typename Tile::Products products = {};
    tile_.multiply_vectors(vectors, weights, products);
    tile_.sum_over_k(inputs, products, numbers);
  }

  // sums += (dl u) W of the four input capsules.
  __device__ __forceinline__ void add(
      const S* weights, const S* inputs, const float (&dl)[Tile::kRows]) {
    const S* columns =
        weights + tile_.t * Place::kCapsule + tile_.output * D + tile_.g * Tile::kSteps;
#pragma unroll 1
    for (int k = 0; k < kGradientK; k += 2) {
      float w[2][Tile::kSteps];
      load_numbers(columns + k * Place::kRow, w[0]);
      load_numbers(columns + (k + 1) * Place::kRow, w[1]);
#pragma unroll
      for (int half = 0; half < Tile::kHalves; half++) {
        const S* place = inputs + tile_.row(2 * half) * Place::kInput + tile_.t * kGradientK + k;
        float upper[2], lower[2];
        load_numbers(place, upper);
        load_numbers(place + 8 * Place::kInput, lower);
        const float a[4] = {
            dl[2 * half] * upper[0], dl[2 * half + 1] * lower[0], dl[2 * half] * upper[1],
            dl[2 * half + 1] * lower[1]};
#pragma unroll
        for (int step = 0; step < Tile::kSteps; step++) {
          const float b[2] = {w[0][step], w[1][step]};
          multiply<S, EXACT>(sums_[half][step], a, b);
        }
      }
    }
  }

  __device__ __forceinline__ void store() const {
    const Sizes& size = p_.layer.size;
#pragma unroll
    for (int n = 0; n < Tile::kRows; n++) {
      const int64_t sample = first_sample_ + tile_.row(n);
      if (sample >= size.batch) continue;
      const int64_t vector = (blockIdx.y * size.batch + sample) * size.outputs + tile_.output;
      float near[D / 4];
#pragma unroll
      for (int step = 0; step < Tile::kSteps; step++) {
        const float* sums = sums_[n / 2][step] + n % 2 * 2;
        near[step] = sums[0] * Tile::kScale;
        near[Tile::kSteps + step] = sums[1] * Tile::kScale;
      }
      store_numbers(p_.partial + vector * D + tile_.t * (D / 4), near);
    }
  }

  const AgreementGradientsProblem<S>& p_;
  const Tile tile_;
  const int64_t first_sample_;
  typename Tile::Normalizer normalizers_[Tile::kRows] = {};
  // Of d = t D / 4 + step, and kSteps further.
  float sums_[Tile::kHalves][Tile::kSteps][4] = {};
};

template <class S, int D, bool OVER_INPUTS, bool EXACT>
__global__ void __launch_bounds__(kGradientThreads)
    agreement_gradients_kernel(const AgreementGradientsProblem<S> problem) {
  AgreementGradients<S, D, OVER_INPUTS, EXACT>(problem).run();
}

}  // namespace fastcaps::cuda
