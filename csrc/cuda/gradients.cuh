// What the passes for gradients share: with V of an iteration, ds = dL/ds and slopes
// a_ij = u_hat_ij . ds_j they need the couplings of a tile of samples, four input capsules and all
// output capsules,
//
//     c_ij    and    dl_ij = c_ij (a_ij - mean of a_i or a_j)
//
// A warp has one output capsule. Products W . V and W . ds have K numbers for a pair (i, j), which
// a lane has all of: of input capsule lane % 4 and samples lane / 4 and 8 more, of every 16.
#pragma once

#include "products.cuh"

namespace fastcaps::cuda {

constexpr int kGradientOutputs = 12;
constexpr int kGradientInputs = 4;
constexpr int kGradientThreads = 32 * kGradientOutputs;
constexpr int kGradientK = 8;

// Of a layer whose numbers are stored as S.
template <class S>
struct GradientProblem {
  Sizes size;
  const S* u;       // [B][I][K]
  const S* weight;  // [I][K][J][D]
  const S* prior;   // [I][J] or null
  bool detached;    // c is a constant: dl = 0
};

// Strides in shared memory, of what is stored as S in its numbers, and sizes of parts, in floats.
// Lanes that load weights, V or ds at a time meet in no bank; some that load inputs do.
template <class S, int D, int SAMPLES>
struct GradientShared {
  static constexpr int kColumns = kGradientOutputs * D;
  static constexpr int kRow = padded<S>(kColumns, kFitsTF32<S> ? 4 : 16);  // of the weight
  static constexpr int kCapsule = padded<S>(kGradientK * kRow, 8);         // of the weight
  static constexpr int kWeights = floats_of<S>(kGradientInputs * kCapsule);
  static constexpr int kVector = padded<float>(kColumns, 8);  // V or ds of a sample
  static constexpr int kVectors = SAMPLES * kVector;          // V or ds
  static constexpr int kNumbers = kGradientInputs * kGradientK;
  // u of a sample. Of 32 samples of half types the 16 bytes that lanes load at a time meet in no
  // bank without room between them; of 16 samples single numbers would.
  static constexpr int kInput = kNumbers + (kFitsTF32<S> && SAMPLES == 32 ? 0 : kWidestChunk<S>);
  static constexpr int kInputs = floats_of<S>(SAMPLES * kInput);
  static constexpr int kCouplings = padded<float>(kGradientOutputs * SAMPLES, 8);  // of a capsule
  static constexpr int kAllCouplings = 2 * kGradientInputs * kCouplings;           // c, then dl
};

template <class S, int D, int SAMPLES, bool EXACT>
class GradientTile {
 public:
  static constexpr int kRows = SAMPLES / 8;  // of a lane
  static constexpr int kHalves = SAMPLES / 16;
  static constexpr int kSteps = D / 8;
  static constexpr int kPairs = kGradientK / 2;  // of k
  static constexpr float kScale = EXACT ? 1 : kTruncated;
  typedef GradientShared<S, D, SAMPLES> Place;
  typedef float Products[kHalves][kPairs][4];  // (sample, k): (g, 0), (g, 1), (g + 8, 0), ...

  // `couplings` lie in shared memory.
  __device__ __forceinline__ GradientTile(const GradientProblem<S>& problem, float* couplings)
      : p_(problem),
        output(static_cast<int>(threadIdx.x) / 32),
        g(static_cast<int>(threadIdx.x) % 32 / 4),
        t(static_cast<int>(threadIdx.x) % 4),
        couplings_(couplings) {}

  __device__ __forceinline__ int outputs() const { return static_cast<int>(p_.size.outputs); }
  __device__ __forceinline__ bool has_output() const { return output < outputs(); }

  // A lane's sample of the tile.
  __device__ __forceinline__ int row(int n) const { return 8 * n + g; }

  // Starts to copy the weights of input capsules i to i + 4, 0 where there are none.
  __device__ __forceinline__ void fetch_weights(int i, S* target) const {
    copy_rows<kGradientInputs * kGradientK, kGradientK>(
        p_.weight + int64_t{i} * kGradientK * columns(), p_.size.inputs - i, target, Place::kRow,
        Place::kCapsule);
  }

  // Starts to copy vectors [B][J][D] of the samples from `first` on, 0 where there are none.
  __device__ __forceinline__ void fetch_vectors(
      const float* vectors, int64_t first, float* target) const {
    copy_rows<SAMPLES, 1>(
        vectors + first * columns(), p_.size.batch - first, target, 0, Place::kVector);
  }

  // Starts to copy u of those samples and capsules.
  __device__ __forceinline__ void fetch_inputs(int64_t first, int i, S* target) const {
    constexpr int kPiece = kWidestChunk<S>, kPieces = Place::kNumbers / kPiece;
    for (int n = threadIdx.x; n < SAMPLES * kPieces; n += kGradientThreads) {
      const int sample = n / kPieces, number = n % kPieces * kPiece;
      const int capsule = i + number / kGradientK;
      const bool exists = first + sample < p_.size.batch && capsule < p_.size.inputs;
      const S* source = p_.u + ((first + sample) * p_.size.inputs + i) * kGradientK + number;
      copy_async(target + sample * Place::kInput + number, source, exists);
    }
  }

  // products += W . vectors of this warp's output capsule.
  __device__ __forceinline__ void multiply_vectors(
      const float* vectors, const S* weights, Products& products) const {
    const float* mine = vectors + g * Place::kVector + output * D + 2 * t;
    const S* rows = weights + g / 2 * Place::kCapsule + g % 2 * Place::kRow + output * D + 2 * t;
#pragma unroll 1
    for (int step = 0; step < kSteps; step++) {
      float a[kHalves][4];
#pragma unroll
      for (int half = 0; half < kHalves; half++) {
        float upper[2], lower[2];
        load_numbers(mine + 16 * half * Place::kVector + 8 * step, upper);
        load_numbers(mine + (16 * half + 8) * Place::kVector + 8 * step, lower);
        a[half][0] = upper[0];
        a[half][1] = lower[0];
        a[half][2] = upper[1];
        a[half][3] = lower[1];
      }
#pragma unroll
      for (int pair = 0; pair < kPairs; pair++) {
        float b[2];
        load_numbers(rows + 2 * pair * Place::kRow + 8 * step, b);
#pragma unroll
        for (int half = 0; half < kHalves; half++) {
          multiply<S, EXACT>(products[half][pair], a[half], b);
        }
      }
    }
  }

  // u . products, of a lane's samples.
  __device__ __forceinline__ void sum_over_k(
      const S* inputs, const Products& products, float (&sums)[kRows]) const {
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      float u[kGradientK], sum = 0;
      load_numbers(inputs + row(n) * Place::kInput + t * kGradientK, u);
#pragma unroll
      for (int k = 0; k < kGradientK; k++) {
        sum += u[k] * products[n / 2][k / 2][n % 2 * 2 + k % 2];
      }
      sums[n] = sum * kScale;
    }
  }

  __device__ __forceinline__ float prior(int i) const {
    if (!p_.prior || i + t >= p_.size.inputs) return 0;
    return widen(p_.prior[int64_t{i + t} * outputs() + output]);
  }

  // In shared memory, of this warp's output capsule.
  __device__ __forceinline__ float* coefficient_at(int capsule, int sample) const {
    return couplings_ + capsule * Place::kCouplings + output * SAMPLES + sample;
  }
  __device__ __forceinline__ float* logit_gradient_at(int capsule, int sample) const {
    return coefficient_at(capsule, sample) + kGradientInputs * Place::kCouplings;
  }

  // Over outputs: leaves logits and slopes where softmax_over_outputs puts c and dl.
  __device__ __forceinline__ void leave(
      const float (&logits)[kRows], const float (&slopes)[kRows], float shift) const {
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      *coefficient_at(t, row(n)) = logits[n] + shift;
      *logit_gradient_at(t, row(n)) = slopes[n];
    }
  }

  // By all threads, between barriers.
  __device__ __forceinline__ void softmax_over_outputs() const {
    const int count = outputs();
    for (int pair = threadIdx.x; pair < kGradientInputs * SAMPLES; pair += kGradientThreads) {
      float* c = couplings_ + pair / SAMPLES * Place::kCouplings + pair % SAMPLES;
      float* dl = c + kGradientInputs * Place::kCouplings;
      float numbers[kGradientOutputs], slopes[kGradientOutputs];
      float largest = -INFINITY, sum = 0, mean = 0;
#pragma unroll
      for (int j = 0; j < kGradientOutputs; j++) {
        numbers[j] = j < count ? c[j * SAMPLES] : -INFINITY;
        slopes[j] = j < count ? dl[j * SAMPLES] : 0;
        largest = fmaxf(largest, numbers[j]);
      }
#pragma unroll
      for (int j = 0; j < kGradientOutputs; j++) {
        numbers[j] = expf(numbers[j] - largest);
        sum += numbers[j];
      }
      const float scale = 1 / sum;
#pragma unroll
      for (int j = 0; j < kGradientOutputs; j++) {
        numbers[j] *= scale;
        mean += numbers[j] * slopes[j];
      }
#pragma unroll
      for (int j = 0; j < kGradientOutputs; j++) {
        if (j >= count) continue;
        c[j * SAMPLES] = numbers[j];
        dl[j * SAMPLES] = logit_gradient(numbers[j], slopes[j], mean);
      }
    }
  }

  // What a softmax over inputs knows of a sample and this warp's output capsule, of an iteration's
  // log_sum_exp [B][J][2] and center [B][J], s . ds.
  struct Normalizer {
    float largest, rest, center;
  };
  __device__ __forceinline__ Normalizer
  load_normalizer(const float* log_sum_exp, const float* center, int64_t sample) const {
    if (sample >= p_.size.batch) return {0, 0, 0};
    const int64_t vector = sample * outputs() + output;
    return {log_sum_exp[2 * vector], log_sum_exp[2 * vector + 1], center[vector]};
  }

  // Over inputs: logits and slopes become c and dl.
  __device__ __forceinline__ void couple_inputs(
      const Normalizer& normalizer, float shift, float& logit, float& slope) const {
    // A logit that differs from the largest by rounding, its own, is the largest, made again.
    constexpr float kNoise = 1.0f / (1 << 18);
    float below = logit + shift - normalizer.largest;
    if (below > -kNoise * fabsf(logit)) below = 0;
    logit = expf(below - normalizer.rest);
    slope = logit_gradient(logit, slope, normalizer.center);
  }

 private:
  // Exactly 0 for an input or output that takes all: slope and mean are equal but for rounding,
  // which huge prediction vectors would multiply.
  __device__ __forceinline__ float logit_gradient(float c, float slope, float mean) const {
    return p_.detached || c == 1 ? 0 : c * (slope - mean);
  }

  __device__ __forceinline__ int columns() const { return outputs() * D; }

  // Copies ROWS rows of J * D numbers, in groups of GROUP, `groups` of which exist. A thread has
  // the same columns of some rows.
  template <int ROWS, int GROUP, class T>
  __device__ __forceinline__ void copy_rows(
      const T* source, int64_t groups, T* target, int row_stride, int group_stride) const {
    constexpr int kPiece = kWidestChunk<T>, kPieces = Place::kColumns / kPiece;
    constexpr int kRowsAtOnce = kGradientThreads / kPieces;
    static_assert(kGradientThreads % kPieces == 0 && ROWS % kRowsAtOnce == 0);
    const int column = static_cast<int>(threadIdx.x) % kPieces * kPiece;
    const int first = static_cast<int>(threadIdx.x) / kPieces;
    if (column >= columns()) return;
    source += int64_t{first} * columns() + column;
#pragma unroll
    for (int n = 0; n < ROWS; n += kRowsAtOnce) {
      const int row = n + first;
      T* place = target + row / GROUP * group_stride + row % GROUP * row_stride + column;
      copy_async(place, source, row / GROUP < groups);
      source += kRowsAtOnce * columns();
    }
  }

  const GradientProblem<S>& p_;

 public:
  const int output, g, t;  // lane = 4 g + t

 private:
  float* const couplings_;
};

}  // namespace fastcaps::cuda
