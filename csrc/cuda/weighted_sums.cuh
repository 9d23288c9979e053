// One pass over the input capsules of the fused layer: s_j = sum_i c_ij u_hat_ij on tensor cores.
//
// No prediction vector is formed. For one output capsule, with rows (i, k) of the weight,
//
//     u_hat_ij . V_j = sum_k u_ik (W_ik,j . V_j)    and    sum_i c_ij u_hat_ij = (c u)_ik W_ik,j
//
// are two matrix products, and what lies between them has K numbers for a pair (i, j), not D. A
// block of threads does 64 samples, all output capsules and a slice of the input capsules, four
// at a time, whose weights wait in shared memory. Two warps share an output capsule, 32 samples
// each; a softmax over outputs meets there, too.
//
// A product leaves it open in which order it sums, and which of its columns is which d. Both are
// taken so that a lane has all k of one input capsule (lane % 4 of the four) and D / 4 neighbouring
// d of an output capsule: of what it multiplies nothing has to move between lanes, and neighbours
// move together.
//
// Numbers of half types wait in shared memory as they are stored. TF32 holds them whole, so that
// a product with them is exact in two parts instead of three.
#pragma once

#include "products.cuh"

namespace fastcaps::cuda {

constexpr int kPassSamples = 64;
constexpr int kPassInputs = 4;
constexpr int kWarpSamples = 32;
constexpr int kPassThreadsPerGroup = kPassSamples;  // a warp for every 32 samples

enum class Coupling { kUniform, kOverOutputs, kOverInputs };

// Of a layer whose numbers are stored as S.
template <class S>
struct PassProblem {
  Sizes size;
  const S* u;              // [B][I][K]
  const S* weight;         // [I][K][J][D]
  const S* prior;          // [I][J] or null
  const float* agreement;  // [B][J][D]: V, or null for 0
  float even;              // the coefficient where all are equal
  // Input capsules per partial sum, a multiple of kPassInputs. Not many: tensor cores truncate what
  // they add up.
  int slice;
  float* partial;  // [slices][B][J][D], written
  float* largest;  // [slices][B][J], over inputs, written
  float* total;    // [slices][B][J], over inputs, written
};

// Columns J * D of the weight that a block holds, at most; with two stages they fit a GPU that
// grants 227 KiB of shared memory to a block.
template <int D>
constexpr int kPassColumns = D == 32 ? 384 : 192;

// Where the parts of shared memory lie, in floats; strides of what is stored as S are in its
// numbers. They are such that no two lanes that load at a time meet in a bank.
template <class S, int K, int D>
struct PassShared {
  static constexpr int kPiece = kWidestChunk<S>;  // numbers that a thread copies or loads at once
  static_assert(D == 8 || D == 16 || D == 32);
  static_assert(K == 4 || K == 8 || K == 16, "a power of two, or input_at leaves its sample");
  static_assert(K % kPiece == 0);
  static constexpr int kColumns = kPassColumns<D>;
  static_assert(kColumns % 64 == 0);

  static constexpr int kBytes = D * static_cast<int>(sizeof(S));  // of an output capsule in a row
  static constexpr int kRow = padded<S>(kColumns, kBytes == 128 || kBytes == 16 ? 4 : 16);
  static constexpr int kCapsule = padded<S>(K * kRow, 8);
  // Behind the weights of a stage.
  static constexpr int kInputs = floats_of<S>(kPassInputs * kCapsule);
  static constexpr int kStage = kInputs + floats_of<S>(kPassSamples * kPassInputs * K);
  static constexpr int kLogits = padded<float>(kColumns / D * kPassSamples, 8);  // of a capsule
  static constexpr int kAgreement = kPassSamples * kColumns;

  // Where the piece lies, among the inputs, that has k of a capsule of the four, of one sample.
  __device__ static int input_at(int sample, int capsule, int k) {
    constexpr int kPieces = K / kPiece;
    const int piece = (capsule * kPieces + k / kPiece) ^ (sample % kPieces);
    return (sample * kPassInputs * kPieces + piece) * kPiece;
  }

  // Where V of two samples lies, of rows 8 apart in a matrix of 16: the four numbers that a product
  // takes from them, of columns `2 * pair` and the next, as (first, second, first, second).
  __device__ static int agreement_at(int rows, int pair) {
    const int odd = rows % 2;
    const int place = D == 32   ? pair ^ pair / 8 % 2 ^ odd * 2
                      : D == 16 ? pair ^ odd
                                : pair ^ odd * 4;
    return rows * 2 * kColumns + place * 4;
  }

  // The stages come first, then what a coupling needs.
  __host__ __device__ static constexpr int logits_of(int stages) { return stages * kStage; }
  __host__ __device__ static constexpr int agreement_of(int stages, Coupling coupling) {
    return logits_of(stages) + (coupling == Coupling::kOverOutputs ? kPassInputs : 2) * kLogits;
  }
  static constexpr int64_t bytes(int stages, Coupling coupling) {
    return 4 * int64_t{
                   coupling == Coupling::kUniform ? logits_of(stages)
                                                  : agreement_of(stages, coupling) + kAgreement};
  }
};

// Output capsules of a pair of warps: few, so that there are many warps to wait for one another.
template <int D>
constexpr int kOutputsOfGroup = D == 8 ? 4 : 2;

// Threads of a block, whatever the number of output capsules.
template <int D>
constexpr int kPassThreads = kPassColumns<D> / D / kOutputsOfGroup<D> * kPassThreadsPerGroup;

// One block of threads.
template <class S, int K, int D, Coupling COUPLING, bool EXACT, int STAGES>
class WeightedSums {
  static_assert(STAGES >= 2);

 public:
  __device__ __forceinline__ explicit WeightedSums(const PassProblem<S>& problem)
      : p_(problem),
        g_(static_cast<int>(threadIdx.x) % 32 / 4),
        t_(static_cast<int>(threadIdx.x) % 4),
        first_output_(static_cast<int>(threadIdx.x) / kPassThreadsPerGroup * kOutputs) {}

  __device__ __forceinline__ void run() {
    const int first = static_cast<int>(blockIdx.y) * p_.slice;
    const int left = static_cast<int>(p_.size.inputs) - first;
    const int end = first + (left < p_.slice ? left : p_.slice);
    if constexpr (COUPLING == Coupling::kOverInputs) start_softmax();
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
      fetch(first + stage * kPassInputs, end, stage);
    }
    if constexpr (COUPLING != Coupling::kUniform) store_agreement();
    int stage = 0;
    for (int i = first; i < end; i += kPassInputs) {
      wait_for_copies<STAGES - 2>();
      __syncthreads();  // the weights of i are there, and those before are not needed any more
      fetch(i + (STAGES - 1) * kPassInputs, end, stage == 0 ? STAGES - 1 : stage - 1);
      const float* staged = shared_numbers() + stage * Place::kStage;
      if constexpr (COUPLING == Coupling::kUniform) {
        if (has_outputs()) add_uniform(staged, i + t_ < end);
      } else if constexpr (COUPLING == Coupling::kOverOutputs) {
        couple_outputs(staged, i);
      } else {
        if (has_outputs()) couple_inputs(staged, i + t_, i + t_ < end);
      }
      stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
    store_sums();
  }

 private:
  typedef PassShared<S, K, D> Place;
  static constexpr int kPiece = Place::kPiece;
  typedef Chunk<S, kPiece> Piece;
  static constexpr int kThreads = kPassThreads<D>;
  static constexpr int kOutputs = kOutputsOfGroup<D>;
  static constexpr int kNear = D / 4;   // neighbouring d of a lane
  static constexpr int kSteps = D / 8;  // of a product over d; matrices of 8 d in one over (i, k)
  static constexpr int kTogether = D == 8 ? 1 : 2;  // matrices whose columns alternate
  static constexpr int kRows = 4;                   // samples g, g + 8, g + 16, g + 24 of the warp
  // Of which agreements are found at a time: as many as registers hold V of.
  static constexpr int kRowsAtOnce = D == 32 ? 2 : kRows;
  static constexpr int kLoopsAtOnce = D == 32 ? 1 : K / 4;  // over four k
  static constexpr float kLeast = -3.4028235e38f;           // unlike -inf it can be subtracted

  // The first sample of the block, and which of its samples is this lane's first.
  __device__ __forceinline__ static int64_t first_sample() {
    return static_cast<int64_t>(blockIdx.x) * kPassSamples;
  }
  __device__ __forceinline__ int row_in_block() const {
    return static_cast<int>(threadIdx.x) / 32 % 2 * kWarpSamples + g_;
  }
  __device__ __forceinline__ int64_t sample(int row) const {
    return first_sample() + row_in_block() + 8 * row;
  }
  __device__ __forceinline__ bool has_sample(int row) const { return sample(row) < p_.size.batch; }
  __device__ __forceinline__ int outputs() const { return static_cast<int>(p_.size.outputs); }
  __device__ __forceinline__ bool has_outputs() const { return first_output_ < outputs(); }

  // The number of a sample's output capsule in [B][J].
  __device__ __forceinline__ int64_t vector_at(int row, int output) const {
    return sample(row) * outputs() + first_output_ + output;
  }

  // V of this block's samples, to shared memory.
  __device__ __forceinline__ void store_agreement() const {
    constexpr int kPieces = Place::kColumns / 4;
    const int columns = outputs() * D;
    const int column = static_cast<int>(threadIdx.x) % kPieces * 4;
    if (column >= columns) return;
#pragma unroll 4
    for (int rows = static_cast<int>(threadIdx.x) / kPieces; rows < kPassSamples / 2;
         rows += kThreads / kPieces) {
      float first[4] = {}, second[4] = {};
      load_vector(rows / 8 * 16 + rows % 8, column, first);
      load_vector(rows / 8 * 16 + rows % 8 + 8, column, second);
#pragma unroll
      for (int m = 0; m < 4; m += 2) {
        const float pair[4] = {first[m], second[m], first[m + 1], second[m + 1]};
        store_numbers(agreement() + Place::agreement_at(rows, (column + m) / 2), pair);
      }
    }
  }

  // Four numbers of V of a sample of this block, if there are any.
  __device__ __forceinline__ void load_vector(int row, int column, float (&v)[4]) const {
    const int64_t sample = first_sample() + row;
    if (p_.agreement && sample < p_.size.batch) {
      load_numbers(p_.agreement + sample * outputs() * D + column, v);
    }
  }

  __device__ __forceinline__ static float* agreement() {
    return shared_numbers() + Place::agreement_of(STAGES, COUPLING);
  }

  // The thread's number. Where sums take most registers, there is none for what follows from it.
  __device__ __forceinline__ static int copying_thread() {
    if constexpr (D == 32 && COUPLING != Coupling::kUniform) return thread_again();
    return static_cast<int>(threadIdx.x);
  }

  // Starts to copy input capsules i to i + 4 and their weights, if there are any; those from `end`
  // on become 0. A group of copies either way.
  __device__ __forceinline__ void fetch(int i, int end, int stage) const {
    float* target = shared_numbers() + stage * Place::kStage;
    if (i < end) {
      fetch_weights(i, end, reinterpret_cast<S*>(target));
      fetch_inputs(i, end, reinterpret_cast<S*>(target + Place::kInputs));
    }
    commit_copies();
  }

  __device__ __forceinline__ void fetch_inputs(int i, int end, S* target) const {
    constexpr int kPiecesOfInput = K / kPiece;
    constexpr int kCount = kPassSamples * kPassInputs * kPiecesOfInput;
    const int thread = copying_thread();
#pragma unroll 1
    for (int done = 0; done < kCount; done += kThreads) {
      const int n = done + thread;
      if (n >= kCount) break;
      const int sample = n / (kPassInputs * kPiecesOfInput);
      const int capsule = n / kPiecesOfInput % kPassInputs, k = n % kPiecesOfInput * kPiece;
      const bool exists = first_sample() + sample < p_.size.batch && i + capsule < end;
      const int64_t at = ((first_sample() + sample) * p_.size.inputs + i + capsule) * K + k;
      copy_async(target + Place::input_at(sample, capsule, k), p_.u + at, exists);
    }
  }

  // A thread copies the same columns of some rows. Where there is no input capsule it reads none.
  __device__ __forceinline__ void fetch_weights(int i, int end, S* target) const {
    constexpr int kPieces = Place::kColumns / kPiece, kRowsOfThreads = kThreads / kPieces;
    static_assert(kThreads % kPieces == 0 && kPassInputs * K % kRowsOfThreads == 0);
    static_assert(K % kRowsOfThreads == 0 || kRowsOfThreads % K == 0);
    const int columns = outputs() * D;
    const int thread = copying_thread(), column = thread % kPieces * kPiece,
              first = thread / kPieces;
    if (column >= columns) return;
    const S* source = p_.weight + (int64_t{i} * K + first) * columns + column;
    const int ahead = kRowsOfThreads > K ? first / K : 0;  // input capsules
    target += ahead * Place::kCapsule + (first - ahead * K) * Place::kRow + column;
    end -= ahead;
#pragma unroll
    for (int row = 0; row < kPassInputs * K; row += kRowsOfThreads) {
      copy_async(
          target + row / K * Place::kCapsule + row % K * Place::kRow, source, i + row / K < end);
      source += kRowsOfThreads * columns;
    }
  }

  // The piece from k on of this lane's input capsule, of its samples from row `first` on.
  template <int ROWS>
  __device__ __forceinline__ void load_inputs(
      const float* stage, int k, int first, Piece (&u)[ROWS]) const {
    const S* inputs = reinterpret_cast<const S*>(stage + Place::kInputs);
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      const int at = Place::input_at(row_in_block() + 8 * (first + row), t_, k);
      u[row] = *reinterpret_cast<const Piece*>(inputs + at);
    }
  }

  // Moves what follows the first four numbers of pieces to their beginning.
  template <int ROWS>
  __device__ __forceinline__ static void drop_four(Piece (&u)[ROWS]) {
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
#pragma unroll
      for (int n = 4; n < kPiece; n++) u[row].values[n - 4] = u[row].values[n];
    }
  }

  // The weights of an output capsule of this group. Of one that does not exist they are whatever
  // is there, and reach only what is not stored.
  __device__ __forceinline__ const S* columns_of(const float* stage, int output) const {
    return reinterpret_cast<const S*>(stage) + (first_output_ + output) * D;
  }

  // Logits of this lane's input capsule and an output capsule, without the prior.
  __device__ __forceinline__ void agree(
      const float* stage, int output, float (&logits)[kRows]) const {
#pragma unroll
    for (int first = 0; first < kRows; first += kRowsAtOnce) {
      float some[kRowsAtOnce] = {};
      agree(stage, output, first, some);
#pragma unroll
      for (int row = 0; row < kRowsAtOnce; row++) {
        logits[first + row] = some[row] * (EXACT ? 1 : kTruncated);
      }
    }
  }

  // The same of kRowsAtOnce samples, added to what is there.
  __device__ __forceinline__ void agree(
      const float* stage, int output, int first, float (&logits)[kRowsAtOnce]) const {
    const S* columns =
        columns_of(stage, output) + g_ / 2 * Place::kCapsule + g_ % 2 * Place::kRow + t_ * kNear;
    float v[kSteps][kRowsAtOnce / 2][4];
    load_agreement(output, first, v);
#pragma unroll kLoopsAtOnce
    for (int k = 0; k < K; k += kPiece) {
      Piece u[kRowsAtOnce];
      load_inputs(stage, k, first, u);
#pragma unroll kLoopsAtOnce
      for (int part = 0; part < kPiece; part += 4) {
#pragma unroll
        for (int pair = 0; pair < 4; pair += 2) {
          float w[kNear], products[kRowsAtOnce / 2][4] = {};
          load_numbers(columns + (k + part + pair) * Place::kRow, w);
#pragma unroll
          for (int step = 0; step < kSteps; step++) {
            const float b[2] = {w[2 * step], w[2 * step + 1]};
#pragma unroll
            for (int half = 0; half < kRowsAtOnce / 2; half++) {
              multiply<S, EXACT>(products[half], v[step][half], b);
            }
          }
#pragma unroll
          for (int row = 0; row < kRowsAtOnce; row++) {
            const float* product = products[row / 2] + row % 2 * 2;
            const S* numbers = u[row].values + pair;
            logits[row] += product[0] * widen(numbers[0]) + product[1] * widen(numbers[1]);
          }
        }
        drop_four(u);
      }
    }
  }

  // V of an output capsule as this lane multiplies it, of its samples from row `first` on.
  __device__ __forceinline__ void load_agreement(
      int output, int first, float (&v)[kSteps][kRowsAtOnce / 2][4]) const {
    const int warp = static_cast<int>(threadIdx.x) / 32 % 2;
    const int pair = ((first_output_ + output) * D + t_ * kNear) / 2;
#pragma unroll
    for (int half = 0; half < kRowsAtOnce / 2; half++) {
      const int rows = (2 * warp + first / 2 + half) * 8 + g_;
#pragma unroll
      for (int step = 0; step < kSteps; step++) {
        load_numbers(agreement() + Place::agreement_at(rows, pair + step), v[step][half]);
      }
    }
  }

  // s of an output capsule += sum over the four input capsules of c u W.
  __device__ __forceinline__ void add(
      const float* stage, int output, const float (&coefficients)[kRows]) {
    const S* columns = columns_of(stage, output) + t_ * Place::kCapsule + g_ * kTogether;
#pragma unroll 1
    for (int k = 0; k < K; k += kPiece) {
      Piece u[kRows];
      load_inputs(stage, k, 0, u);
#pragma unroll 1
      for (int part = 0; part < kPiece; part += 4) {
#pragma unroll
        for (int pair = 0; pair < 4; pair += 2) {
          float a[2][4];
#pragma unroll
          for (int row = 0; row < kRows; row++) {
            const S* numbers = u[row].values + pair;
            a[row / 2][row % 2] = coefficients[row] * widen(numbers[0]);
            a[row / 2][row % 2 + 2] = coefficients[row] * widen(numbers[1]);
          }
          add_pair(columns + (k + part + pair) * Place::kRow, a, sums_[output]);
        }
        drop_four(u);
      }
    }
  }

  // The part of two k of the four input capsules, whose weights are two rows.
  __device__ __forceinline__ void add_pair(
      const S* row, const float (&a)[2][4], float (&sums)[2][kSteps][4]) const {
#pragma unroll
    for (int step = 0; step < kSteps; step += kTogether) {
      float w[2][kTogether];
      load_numbers(row + 8 * step, w[0]);
      load_numbers(row + 8 * step + Place::kRow, w[1]);
#pragma unroll
      for (int n = 0; n < kTogether; n++) {
        const float b[2] = {w[0][n], w[1][n]};
#pragma unroll
        for (int half = 0; half < 2; half++) {
          multiply<S, EXACT>(sums[half][step + n], a[half], b);
        }
      }
    }
  }

  __device__ __forceinline__ void add_uniform(const float* stage, bool exists) {
    const float c = exists ? p_.even : 0.0f;
    const float coefficients[kRows] = {c, c, c, c};
#pragma unroll
    for (int j = 0; j < kOutputs; j++) add(stage, j, coefficients);
  }

  __device__ __forceinline__ float prior(int i, int output) const {
    const int j = first_output_ + output;
    if (!p_.prior || i >= p_.size.inputs || j >= outputs()) return 0;
    return widen(p_.prior[int64_t{i} * outputs() + j]);
  }

  // Of the samples of this block, in shared memory: [kPassInputs][J][kPassSamples].
  __device__ __forceinline__ float* logits_at(int capsule, int output) const {
    return shared_numbers() + Place::logits_of(STAGES) + capsule * Place::kLogits +
           output * kPassSamples;
  }

  __device__ __forceinline__ void couple_outputs(const float* stage, int i) {
#pragma unroll
    for (int j = 0; j < kOutputs; j++) {
      if (first_output_ + j >= outputs()) continue;
      float logits[kRows];
      agree(stage, j, logits);
      float* target = logits_at(t_, first_output_ + j) + row_in_block();
      const float shift = prior(i + t_, j);
#pragma unroll
      for (int row = 0; row < kRows; row++) target[8 * row] = logits[row] + shift;
    }
    __syncthreads();
    for (int n = threadIdx.x; n < kPassInputs * kPassSamples; n += kThreads) {
      softmax_over_outputs(logits_at(n / kPassSamples, 0) + n % kPassSamples);
    }
    __syncthreads();
    if (!has_outputs()) return;
#pragma unroll
    for (int j = 0; j < kOutputs; j++) {
      const float* c = logits_at(t_, first_output_ + j) + row_in_block();
      const float coefficients[kRows] = {c[0], c[8], c[16], c[24]};
      add(stage, j, coefficients);
    }
  }

  // In place, of one sample and input capsule. Unrolled, so that loads and exponentials overlap.
  __device__ __forceinline__ void softmax_over_outputs(float* logits) const {
    constexpr int kMost = Place::kColumns / D;
    const int count = outputs();
    float numbers[kMost], largest = -INFINITY, sum = 0;
#pragma unroll
    for (int j = 0; j < kMost; j++) {
      numbers[j] = j < count ? logits[j * kPassSamples] : -INFINITY;
    }
#pragma unroll
    for (int j = 0; j < kMost; j++) largest = fmaxf(largest, numbers[j]);
#pragma unroll
    for (int j = 0; j < kMost; j++) {
      numbers[j] = expf(numbers[j] - largest);
      sum += numbers[j];
    }
    const float scale = 1 / sum;
#pragma unroll
    for (int j = 0; j < kMost; j++) {
      if (j < count) logits[j * kPassSamples] = numbers[j] * scale;
    }
  }

  // Of a softmax over inputs so far: the largest logit and the total weight relative to it, of an
  // output capsule and a sample; in shared memory, where the logits over outputs would be.
  __device__ __forceinline__ float* largest_at(int output, int row) const {
    return logits_at(0, first_output_ + output) + row_in_block() + 8 * row;
  }
  __device__ __forceinline__ float* total_at(int output, int row) const {
    return largest_at(output, row) + Place::kLogits;
  }

  // Lane 4 g of the four that share a sample.
  __device__ __forceinline__ void start_softmax() const {
    if (t_ != 0) return;
    for (int j = 0; j < kOutputs; j++) {
      for (int row = 0; row < kRows; row++) {
        *largest_at(j, row) = kLeast;
        *total_at(j, row) = 0;
      }
    }
  }

  // Sums and their total weight are relative to the largest logit so far.
  __device__ __forceinline__ void couple_inputs(const float* stage, int i, bool exists) {
#pragma unroll
    for (int j = 0; j < kOutputs; j++) {
      float numbers[kRows];  // logits, then coefficients
      agree(stage, j, numbers);
      const float shift = prior(i, j);
#pragma unroll
      for (int row = 0; row < kRows; row++) {
        const float logit = exists ? numbers[row] + shift : -INFINITY;
        float* const known_largest = largest_at(j, row);
        float* const known_total = known_largest + Place::kLogits;
        const float before = *known_largest;
        float largest = fmaxf(before, logit);
        largest = fmaxf(largest, lane_xor(largest, 1));
        largest = fmaxf(largest, lane_xor(largest, 2));
        const float decay = expf(before - largest), c = expf(logit - largest);
        float added = c + lane_xor(c, 1);
        added += lane_xor(added, 2);
        wait_for_warp();  // all four lanes have read what this one writes
        if (t_ == 0) {
          *known_largest = largest;
          *known_total = *known_total * decay + added;
        }
        numbers[row] = c;
#pragma unroll
        for (int step = 0; step < kSteps; step++) {
          float* sums = sums_[j][row / 2][step] + row % 2 * 2;
          sums[0] *= decay;
          sums[1] *= decay;
        }
      }
      add(stage, j, numbers);
    }
  }

  __device__ __forceinline__ void store_sums() {
    constexpr float kScale = EXACT ? 1 : kTruncated;
    const int64_t first = blockIdx.y * p_.size.batch * outputs();
#pragma unroll
    for (int j = 0; j < kOutputs; j++) {
#pragma unroll
      for (int row = 0; row < kRows; row++) {
        if (!has_sample(row) || first_output_ + j >= outputs()) continue;
        const int64_t vector = first + vector_at(row, j);
#pragma unroll
        for (int step = 0; step < kSteps; step += kTogether) {
          float* place = p_.partial + vector * D + 8 * step + 2 * kTogether * t_;
#pragma unroll
          for (int column = 0; column < 2; column++) {
            float near[kTogether];
#pragma unroll
            for (int n = 0; n < kTogether; n++) {
              near[n] = sums_[j][row / 2][step + n][row % 2 * 2 + column] * kScale;
            }
            store_numbers(place + column * kTogether, near);
          }
        }
        if (COUPLING == Coupling::kOverInputs && t_ == 0) {
          p_.largest[vector] = *largest_at(j, row);
          p_.total[vector] = *total_at(j, row);
        }
      }
    }
  }

  const PassProblem<S>& p_;
  const int g_, t_;  // lane = 4 g + t
  const int first_output_;
  // Of step and n < kTogether: d = 8 step + 2 t kTogether + n, and kTogether further.
  float sums_[kOutputs][2][kSteps][4] = {};
};

template <class S, int K, int D, Coupling COUPLING, bool EXACT, int STAGES>
__global__ void __launch_bounds__(kPassThreads<D>)
    weighted_sums_kernel(const PassProblem<S> problem) {
  WeightedSums<S, K, D, COUPLING, EXACT, STAGES>(problem).run();
}

}  // namespace fastcaps::cuda
