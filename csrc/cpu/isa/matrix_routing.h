// Sums of fused routing by matrix products, for batches that share packed weights.
//
// The prediction vectors are not formed. With rows (i, k) of the weight the sums are
// s = W^T (c u), and the logits sum_k u P with P = W V; lanes are samples. Splitting c u into three
// terms costs what the products save, so with coefficients this is for bfloat16 weights alone.
#pragma once

#include "../kernels.h"
#include "coupling.h"
#include "matrix_operands.h"
#include "storage_dispatch.h"

namespace fastcaps::FASTCAPS_ISA {

inline constexpr int64_t kBlockRows = 128;  // of a block, whose factors fit a private cache
inline constexpr int64_t kSamples = kMatrixRows;

// How one thread's scratch is divided.
struct MatrixScratch {
  float *u, *weight, *logits, *predicted;
  char *agreement_weight, *sum_weight, *vectors, *terms[2];
  int64_t total;

  MatrixScratch(const FusedProblem<float>& p, int64_t lanes, float* memory) {
    total = 0;
    const int64_t weights = kBlockRows * p.size.columns(), inputs = kBlockRows / p.size.in_dim;
    const bool routes = p.storage == Storage::kBFloat16;
    u = take(memory, p.u_lanes ? 0 : kBlockRows * lanes);
    weight = take(memory, p.storage == Storage::kFloat32 ? 0 : weights);
    logits = take(memory, p.size.outputs * inputs * kSamples);
    predicted = take(memory, 4 * kMatrixDepth * kSamples);
    agreement_weight = bytes(memory, routes ? 4 * weights : 0);
    sum_weight = bytes(memory, 6 * weights);
    vectors = bytes(memory, routes ? 4 * p.together * p.size.columns() * lanes : 0);
    for (char*& each : terms) each = bytes(memory, 6 * kBlockRows * kSamples);
  }

  float* take(float* memory, int64_t count) {
    float* start = memory ? memory + total : nullptr;
    total += divide_up(count, 64) * 64;
    return start;
  }
  char* bytes(float* memory, int64_t count) {
    return reinterpret_cast<char*>(take(memory, divide_up(count, 4)));
  }
};

// Input capsules of one slice, with rows filled up to whole steps of a matrix's depth.
struct MatrixBlock {
  int64_t first, count, rows;

  FASTCAPS_INLINE int64_t steps() const { return rows / kMatrixDepth; }
};

// One work item; TERMS of the weights.
template <int NV, int TERMS>
struct MatrixSums {
  static constexpr int64_t lanes = NV * kSamples;
  typedef Terms<TERMS> Sum;

  const FusedProblem<float>& p;
  const MatrixScratch& scratch;
  const Sizes& size = p.size;
  const int64_t inputs = kBlockRows / size.in_dim;  // of a whole block

  // The block from input capsule `first` on, at most up to `end`.
  MatrixBlock block_at(int64_t first, int64_t end) const {
    const int64_t count = end - first < inputs ? end - first : inputs;
    return {first, count, divide_up(count * size.in_dim, kMatrixDepth) * kMatrixDepth};
  }

  const float* weight_of(const MatrixBlock& block) const {
    const int64_t per_capsule = size.in_dim * size.columns();
    return widened<float>(
        p.storage, p.weight, block.first * per_capsule, block.count * per_capsule, scratch.weight);
  }

  // Packs the block's weights, and includes their magnitudes in `largest`.
  void pack(const MatrixBlock& block, const float* weight, Bits32& largest) const {
    pack_sum_weight<TERMS>(
        weight, block.count * size.in_dim, block.rows, size.outputs, size.dim, scratch.sum_weight,
        largest);
  }

  // The terms of c u, pairs [first, last) of the rows of one step; without coefficients of u.
  template <int K>
  FASTCAPS_INLINE void split_pairs(
      const MatrixBlock& block, int64_t step, int first, int last, const float* u,
      const float* coefficients, char* terms) const {
    const int64_t in_dim = K ? K : size.in_dim, used = block.count * in_dim;
    terms += step * Sum::kB * kMatrixBytes;
    FASTCAPS_UNROLL for (int n = first; n < last; n++) {
      const int64_t row = step * kMatrixDepth + 2 * n;
      Bits32 pairs[Sum::kB] = {};
      if (row < used) {
        Vec<float> low = load(u + row * lanes), high = load(u + (row + 1) * lanes);
        if (coefficients) {
          const Vec<float> c = load(coefficients + row / in_dim * kSamples);
          low *= c;
          high *= c;
        }
        split<Sum::kB>(low, high, pairs);
      }
      FASTCAPS_UNROLL for (int m = 0; m < Sum::kB; m++) {
        store_row(terms + m * kMatrixBytes, n, pairs[m]);
      }
    }
  }

  // Adds W^T (c u) for 16 PARTS components. Before the products of each step does
  // other(step, first, last) for portions [first, last) of its pairs of rows; vector work goes on
  // while matrices are multiplied.
  template <int PARTS, class F>
  FASTCAPS_INLINE void add_parts(
      const MatrixBlock& block, const char* weight, const char* terms, float* sums,
      const F& other) const {
    constexpr int kPairs = kMatrixDepth / 2;
    constexpr int64_t kPart = Sum::kA * kMatrixBytes, kRow = lanes * sizeof(float);
    load_matrix<0>(sums, kRow);
    if constexpr (PARTS == 2) load_matrix<1>(sums + kMatrixRows * lanes, kRow);
    for (int64_t step = 0; step < block.steps(); step++) {
      load_matrices<Sum::kB, kFirstB>(terms + step * Sum::kB * kMatrixBytes);
      other(step, 0, kPairs / PARTS);
      multiply_terms<Sum, 0>(weight);
      if constexpr (PARTS == 2) {
        other(step, kPairs / 2, kPairs);
        multiply_terms<Sum, 1>(weight + kPart);
      }
      weight += size.dim / kMatrixRows * kPart;
    }
    store_matrix<0>(sums, kRow);
    if constexpr (PARTS == 2) store_matrix<1>(sums + kMatrixRows * lanes, kRow);
  }

  // s of output capsule j += W^T (c u) with the terms of all steps, and other() along with it.
  template <class F>
  FASTCAPS_INLINE void add_output(
      const MatrixBlock& block, int64_t j, const char* terms, float* sums, const F& other) const {
    constexpr int64_t kPart = Sum::kA * kMatrixBytes;
    const int64_t parts = size.dim / kMatrixRows;
    const char* weight = scratch.sum_weight + j * block.steps() * parts * kPart;
    sums += j * size.dim * lanes;
    if (parts == 1) return add_parts<1>(block, weight, terms, sums, other);
    add_parts<2>(block, weight, terms, sums, other);
    for (int64_t part = 2; part < parts; part++) {
      add_parts<1>(
          block, weight + part * kPart, terms, sums + part * kMatrixRows * lanes,
          [](int64_t, int, int) {});
    }
  }

  // Sums with all coefficients 1.
  template <int K>
  void add_uniform(const MatrixBlock& block, const float* u, float* sums) const {
    for (int64_t step = 0; step < block.steps(); step++) {
      split_pairs<K>(block, step, 0, kMatrixDepth / 2, u, nullptr, scratch.terms[0]);
    }
    for (int64_t j = 0; j < size.outputs; j++) {
      add_output(block, j, scratch.terms[0], sums, [](int64_t, int, int) {});
    }
  }

  // Sums with coefficients [J][inputs][16]. The terms of an output capsule are split while those of
  // the one before are multiplied.
  template <int K>
  void add_weighted(const MatrixBlock& block, const float* u, float* sums) const {
    const auto split_some = [&](int64_t j, int64_t step, int first,
                                int last) FASTCAPS_LAMBDA_INLINE {
      const float* c = scratch.logits + j * inputs * kSamples;
      split_pairs<K>(block, step, first, last, u, c, scratch.terms[j & 1]);
    };
    for (int64_t step = 0; step < block.steps(); step++) split_some(0, step, 0, kMatrixDepth / 2);
    for (int64_t j = 0; j < size.outputs; j++) {
      add_output(
          block, j, scratch.terms[j & 1], sums,
          [&](int64_t step, int first, int last) FASTCAPS_LAMBDA_INLINE {
            if (j + 1 < size.outputs) split_some(j + 1, step, first, last);
          });
    }
  }
};

// One work item with coefficients.
template <int NV, bool WHOLE>
struct MatrixRouting : MatrixSums<NV, 1> {
  typedef MatrixSums<NV, 1> Sums;
  typedef Agreement<WHOLE> Dot;
  using Sums::inputs, Sums::lanes, Sums::p, Sums::scratch, Sums::size;

  void pack(const MatrixBlock& block, const float* weight, Bits32& largest) const {
    Sums::pack(block, weight, largest);
    pack_agreement_weight<WHOLE>(
        weight, block.count * size.in_dim, block.rows, size.outputs, size.dim,
        scratch.agreement_weight);
  }

  char* vectors_of(int64_t tile, int64_t v) const {
    const int64_t matrices = size.columns() / Dot::kColumns * Dot::kB;
    return scratch.vectors + (tile * NV + v) * matrices * kMatrixBytes;
  }

  // 16 rows of P of one output capsule, in register SUM.
  template <int SUM>
  FASTCAPS_INLINE void predict(const char* weight, const char* vectors) const {
    zero_matrix<SUM>();
    if (size.dim == Dot::kColumns) return multiply_terms<Dot, SUM>(weight);  // B is in registers
    for (int64_t d = 0; d < size.dim; d += Dot::kColumns, weight += kMatrixBytes) {
      load_matrices<Dot::kB, kFirstB>(vectors);
      multiply_terms<Dot, SUM>(weight);
      vectors += Dot::kB * kMatrixBytes;
    }
  }

  // The logit of input capsule i of the block and output capsule j from its rows of P.
  template <int K>
  FASTCAPS_INLINE void agree(
      const MatrixBlock& block, int64_t j, int64_t i, const float* u,
      const float* predicted) const {
    const int64_t in_dim = K ? K : size.in_dim;
    if (i >= block.count) return;
    Vec<float> logit{};
    FASTCAPS_UNROLL for (int64_t k = 0; k < in_dim; k++) {
      logit += load(u + (i * in_dim + k) * lanes) * load(predicted + k * kSamples);
    }
    if (p.prior) logit += broadcast(p.prior[(block.first + i) * size.outputs + j]);
    store(scratch.logits + (j * inputs + i) * kSamples, logit);
  }

  // All logits, step by step: while P of one step is multiplied, the logits of the second step
  // before are taken, and every matrix is stored while the next is multiplied. Neither then has
  // to wait for the other.
  template <int K>
  void agree_all(const MatrixBlock& block, const float* u, const char* vectors) const {
    constexpr int64_t kStep = kMatrixDepth * kSamples, kHalf = kStep / 2, kLag = 2;
    const int64_t in_dim = K ? K : size.in_dim, step_inputs = kMatrixDepth / in_dim;
    const int64_t depth = size.dim / Dot::kColumns, steps = block.steps();
    const int64_t all = size.outputs * steps, half = divide_up(step_inputs, 2);
    const char* weight = scratch.agreement_weight;
    const auto ring = [&](int64_t n)
                          FASTCAPS_LAMBDA_INLINE { return scratch.predicted + n % 4 * kStep; };
    int64_t before_j = 0, before_step = 0;
    const auto agree_before = [&](int64_t n, int64_t first, int64_t last) FASTCAPS_LAMBDA_INLINE {
      if (n < kLag) return;
      for (int64_t i = first; i < last; i++) {
        agree<K>(
            block, before_j, before_step * step_inputs + i, u,
            ring(n - kLag) + i * in_dim * kSamples);
      }
      if (last < step_inputs || ++before_step < steps) return;
      before_step = 0;
      before_j++;
    };
    for (int64_t n = 0; n < all; n++) {
      if (n % steps == 0) load_matrices<Dot::kB, kFirstB>(vectors);
      if (half < step_inputs) agree_before(n, 0, half);
      predict<0>(weight, vectors);
      store_matrix<1>(ring(n + 3) + kHalf);
      weight += depth * kMatrixBytes;
      agree_before(n, half < step_inputs ? half : 0, step_inputs);
      predict<1>(weight, vectors);
      store_matrix<0>(ring(n));
      weight += depth * kMatrixBytes;
      if ((n + 1) % steps == 0) vectors += depth * Dot::kB * kMatrixBytes;
    }
    store_matrix<1>(ring(all - 1) + kHalf);
    for (int64_t n = all; n < all + kLag; n++) agree_before(n, 0, step_inputs);
  }

  template <int K>
  void route(const MatrixBlock& block, const float* u, const char* vectors, float* sums) const {
    agree_all<K>(block, u, vectors);
    softmax_over_outputs<float, 1>(scratch.logits, block.count, inputs, size.outputs);
    this->template add_weighted<K>(block, u, sums);
  }
};

}  // namespace fastcaps::FASTCAPS_ISA
