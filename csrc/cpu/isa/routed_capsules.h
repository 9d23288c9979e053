// Fused routing, lanes are samples: one call handles a slice of input capsules for some tiles.
#pragma once

#include "../kernels.h"
#include "agreement.h"
#include "coupling.h"
#include "gradients.h"
#include "storage_dispatch.h"

namespace fastcaps::FASTCAPS_ISA {

// coefficient * vector, the coefficients [J][block][L] and the vector [J][D][L].
template <class T>
struct Term {
  const T *coefficients, *vector;
};

// How one thread's scratch is divided.
template <class T, int NV>
struct FusedScratch {
  T *u, *weight, *tile, *dots, *grad_u, *grad_weight, *grad, *grad_rows, *coefficients;
  Term<T>* terms;
  const T** logit_grads;

  static constexpr int64_t lanes = NV * kWidth<T>;
  static constexpr int64_t kGroup = 4;  // capsules whose du_hat is formed together

  static int64_t padded_columns(const Sizes& size) {
    return divide_up(size.columns(), kWidth<T>) * kWidth<T>;
  }

  // Output capsules handled together in the last pass: whole vectors of columns, about 32.
  static int64_t chunk(const Sizes& size) {
    int64_t whole = 1;
    while (whole * size.dim % kWidth<T> != 0) whole++;
    const int64_t about = divide_up(32, whole * size.dim) * whole;
    return about < size.outputs ? about : size.outputs;
  }

  FusedScratch(const FusedProblem<T>& p, int64_t passes, T* memory) {
    total = 0;
    const Sizes& size = p.size;
    const int64_t chunk_columns = divide_up(chunk(size) * size.dim, kWidth<T>) * kWidth<T>;
    u = take(memory, p.block * size.in_dim * lanes);
    weight = take(
        memory, p.storage == Storage::kFloat32 || sizeof(T) == 8
                    ? 0
                    : p.block * size.in_dim * size.columns());
    tile = take(memory, size.columns() * p.block * lanes);
    dots = take(memory, 2 * size.outputs * p.block * lanes);
    grad_u = take(memory, p.block * size.in_dim * lanes);
    grad_weight = take(memory, passes ? p.block * size.in_dim * padded_columns(size) : 0);
    grad = take(memory, passes ? kGroup * chunk_columns * lanes : 0);
    grad_rows = take(memory, passes ? chunk_columns * lanes : 0);
    coefficients = take(memory, 2 * passes * size.outputs * p.block * lanes);
    terms = reinterpret_cast<Term<T>*>(take(memory, numbers(2 * passes * sizeof(Term<T>))));
    logit_grads = reinterpret_cast<const T**>(take(memory, numbers(passes * sizeof(T*))));
  }

  static int64_t numbers(int64_t bytes) { return divide_up(bytes, sizeof(T)); }

  T* take(T* memory, int64_t count) {
    T* start = memory ? memory + total : nullptr;
    total += divide_up(count, 64) * 64;
    return start;
  }

  int64_t total;
};

template <class T, int NV>
int64_t fused_scratch(const FusedProblem<T>& problem, int64_t passes) {
  return FusedScratch<T, NV>(problem, passes, nullptr).total;
}

// A block of input capsules of one slice, with its weights at hand.
template <class T>
struct Block {
  int64_t first, count;
  const T* weight;
};

template <class T, int NV>
FASTCAPS_INLINE Block<T> take_block(
    const FusedProblem<T>& p, int64_t first, const FusedScratch<T, NV>& scratch) {
  const int64_t left = p.size.inputs - first, count = left < p.block ? left : p.block;
  const int64_t per_capsule = p.size.in_dim * p.size.columns();
  return {
      first, count,
      widened<T>(p.storage, p.weight, first * per_capsule, count * per_capsule, scratch.weight)};
}

template <class T, int NV>
FASTCAPS_INLINE int64_t samples_in_tile(const FusedProblem<T>& p, int64_t tile) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const int64_t left = p.size.batch - tile * lanes;
  return left < lanes ? left : lanes;
}

// The block's u as lanes [count * K][L]: packed for the whole call, or now, into scratch.
template <class T, int NV>
FASTCAPS_INLINE const T* u_of(const FusedProblem<T>& p, const Block<T>& block, int64_t tile, T* u) {
  constexpr int64_t lanes = NV * kWidth<T>;
  if (p.u_lanes) return p.u_lanes + (tile * p.size.inputs + block.first) * p.size.in_dim * lanes;
  const int64_t row = p.size.inputs * p.size.in_dim;
  const int64_t first = tile * lanes * row + block.first * p.size.in_dim;
  to_lanes_storage<T, NV>(
      p.storage, element<T>(p.storage, p.u, first), row, samples_in_tile<T, NV>(p, tile),
      block.count * p.size.in_dim, u);
  return u;
}

// This tile's share of the weights of the next block, where it is whole.
template <class T>
FASTCAPS_INLINE Prefetch
prefetch_for(const FusedProblem<T>& p, const Block<T>& block, int64_t part, int64_t parts) {
  if (block.first + 2 * p.block > p.size.inputs) return {nullptr, 0};
  const int64_t count = p.block * p.size.in_dim * p.size.columns();
  const auto* next = static_cast<const char*>(
      element<T>(p.storage, p.weight, (block.first + p.block) * (count / p.block)));
  const auto* end = static_cast<const char*>(
      element<T>(p.storage, p.weight, (block.first + 2 * p.block) * (count / p.block)));
  const int64_t lines = (end - next) / 64, share = divide_up(lines, parts);
  const int64_t first = part * share;
  return {next + first * 64, lines - first < share ? lines - first : share};
}

// Logits of output capsules [first, last) into dots[0], with ds also a = u_hat . ds into dots[1].
// KEEP leaves the prediction vectors in the tile.
template <class T, int NV, int DOTS, bool KEEP, bool CENTERED = false>
FASTCAPS_INLINE void agree_block(
    const FusedProblem<T>& p, const Block<T>& block, int64_t first, int64_t last, const T* u,
    const T* const* vectors, Prefetch prefetch, T* tile, T* const* dots) {
  const Sizes& size = p.size;
  const auto run = [&](auto in_dim) {
    predict_block<T, NV, decltype(in_dim)::value, DOTS, KEEP, CENTERED>(
        u, block.weight, block.count, p.block, size.in_dim, size.outputs, size.dim, first, last,
        vectors, prefetch, tile, dots);
  };
  if (size.in_dim == 8) {
    run(Constant<8>());
  } else if (size.in_dim == 4) {
    run(Constant<4>());
  } else {
    run(Constant<0>());
  }
  if (!p.prior) return;
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = first; j < last; j++) {
    for (int64_t i = 0; i < block.count; i++) {
      const Vec<T> prior = broadcast(p.prior[(block.first + i) * size.outputs + j]);
      for (int v = 0; v < NV; v++) {
        T* logit = dots[0] + (j * p.block + i) * lanes + v * width;
        store(logit, load(logit) + prior);
      }
    }
  }
}

// c into dots[0] and dl into dots[1] of output capsules [first, last), where all of the pass is
// known. SUM adds dl u_hat to `sums`.
template <class T, int NV, bool SUM>
FASTCAPS_INLINE void couple_outputs(
    const FusedProblem<T>& p, const FusedPass<T>& pass, const Block<T>& block, int64_t first,
    int64_t last, const T* u, int64_t tile, bool with_logits, Prefetch prefetch, T* u_hat,
    T* const* dots, T* sums) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const Sizes& size = p.size;
  const int64_t at = tile * size.columns() * lanes, count = block.count, outputs = last - first;
  const int64_t from = first * p.block * lanes;
  T *c = dots[0] + from, *dl = dots[1] + from;
  if (!with_logits) {
    const T* vectors[1] = {pass.agreement + at};
    agree_block<T, NV, 1, false>(p, block, first, last, u, vectors, prefetch, u_hat, dots);
  } else if (p.over_inputs) {
    const T* vectors[3] = {pass.agreement + at, pass.grad_s + at, pass.mean + at};
    agree_block<T, NV, 2, SUM, true>(p, block, first, last, u, vectors, prefetch, u_hat, dots);
  } else {
    const T* vectors[2] = {pass.agreement + at, pass.grad_s + at};
    agree_block<T, NV, 2, SUM>(p, block, first, last, u, vectors, prefetch, u_hat, dots);
  }
  if (p.over_inputs) {
    const T* log_sum_exp = pass.log_sum_exp + 2 * (tile * size.outputs + first) * lanes;
    softmax_over_inputs<T, NV>(c, count, p.block, outputs, log_sum_exp);
    if (with_logits) logit_gradients_over_inputs<T, NV>(c, dl, count, p.block, outputs);
  } else {
    softmax_over_outputs<T, NV>(c, count, p.block, outputs);
    if (with_logits) logit_gradients_over_outputs<T, NV>(c, dl, count, p.block, outputs);
  }
  if constexpr (SUM) {
    T* target = sums + first * size.dim * lanes;
    weighted_sum<T, NV>(u_hat, dl, count, p.block, outputs, size.dim, target);
  }
}

// The same of all output capsules. Over inputs they do not compete, so they are taken one at a
// time, whose tile stays in the nearest cache.
template <class T, int NV, bool SUM>
void couple_block(
    const FusedProblem<T>& p, const FusedPass<T>& pass, const Block<T>& block, const T* u,
    int64_t tile, bool with_logits, Prefetch prefetch, T* u_hat, T* const* dots, T* sums) {
  const int64_t step = p.over_inputs ? 1 : p.size.outputs;
  for (int64_t j = 0; j < p.size.outputs; j += step) {
    couple_outputs<T, NV, SUM>(
        p, pass, block, j, j + step, u, tile, with_logits, prefetch, u_hat, dots, sums);
  }
}

template <class T>
FASTCAPS_INLINE void fill(T* target, int64_t count, T value) {
  for (int64_t n = 0; n < count; n++) target[n] = value;
}

// Calls visit(block, u, tile, prefetch) for every block of a slice and every tile, blocks
// outermost.
template <class T, int NV, class F>
FASTCAPS_INLINE void for_blocks(
    const FusedProblem<T>& p, int64_t slice, int64_t tile, int64_t last_tile,
    const FusedScratch<T, NV>& scratch, F visit) {
  const int64_t end = (slice + 1) * p.slice < p.size.inputs ? (slice + 1) * p.slice : p.size.inputs;
  for (int64_t first = slice * p.slice; first < end; first += p.block) {
    const Block<T> block = take_block<T, NV>(p, first, scratch);
    for (int64_t t = tile; t < last_tile; t++) {
      visit(
          block, u_of<T, NV>(p, block, t, scratch.u), t,
          prefetch_for(p, block, t - tile, last_tile - tile));
    }
  }
}

// u_lanes of one tile.
template <class T, int NV>
void fused_pack(const FusedProblem<T>& p, int64_t tile, T* u_lanes) {
  const int64_t row = p.size.inputs * p.size.in_dim, lanes = NV * kWidth<T>;
  to_lanes_storage<T, NV>(
      p.storage, element<T>(p.storage, p.u, tile * lanes * row), row,
      samples_in_tile<T, NV>(p, tile), row, u_lanes + tile * row * lanes);
}

template <class T, int NV>
void fused_uniform(
    const FusedProblem<T>& p, T* sums, int64_t slice, int64_t tile, int64_t last_tile, T* memory) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const FusedScratch<T, NV> scratch(p, 0, memory);
  const int64_t tile_size = p.size.columns() * lanes;
  sums += slice * p.tiles * tile_size;
  fill(sums + tile * tile_size, (last_tile - tile) * tile_size, T(0));
  for_blocks<T, NV>(
      p, slice, tile, last_tile, scratch,
      [&](const Block<T>& block, const T* u, int64_t t, Prefetch prefetch) {
        predict_sum<T, NV>(
            u, block.weight, block.count * p.size.in_dim, p.size.columns(), prefetch,
            sums + t * tile_size);
      });
}

template <class T, int NV>
void fused_forward(
    const FusedProblem<T>& p, const FusedPass<T>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, T* memory) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const FusedScratch<T, NV> scratch(p, 0, memory);
  const Sizes& size = p.size;
  const int64_t tile_size = size.columns() * lanes, heads = size.outputs * lanes;
  T* sums = pass.sums + slice * p.tiles * tile_size;
  fill(sums + tile * tile_size, (last_tile - tile) * tile_size, T(0));
  T *largest = nullptr, *total = nullptr;
  if (p.over_inputs) {
    largest = pass.largest + slice * p.tiles * heads;
    total = pass.total + slice * p.tiles * heads;
    fill(largest + tile * heads, (last_tile - tile) * heads, kLowest<T>);
    fill(total + tile * heads, (last_tile - tile) * heads, T(0));
  }
  T* dots[1] = {scratch.dots};
  for_blocks<T, NV>(
      p, slice, tile, last_tile, scratch,
      [&](const Block<T>& block, const T* u, int64_t t, Prefetch prefetch) {
        const T* vectors[1] = {pass.agreement + t * tile_size};
        T* target = sums + t * tile_size;
        if (!p.over_inputs) {
          agree_block<T, NV, 1, true>(
              p, block, 0, size.outputs, u, vectors, prefetch, scratch.tile, dots);
          softmax_over_outputs<T, NV>(dots[0], block.count, p.block, size.outputs);
          weighted_sum<T, NV>(
              scratch.tile, dots[0], block.count, p.block, size.outputs, size.dim, target);
          return;
        }
        // Output capsules do not compete: one at a time, whose tile stays in the nearest cache.
        for (int64_t j = 0; j < size.outputs; j++) {
          T* logits = dots[0] + j * p.block * lanes;
          T* target_j = target + j * size.dim * lanes;
          agree_block<T, NV, 1, true>(p, block, j, j + 1, u, vectors, prefetch, scratch.tile, dots);
          online_softmax_over_inputs<T, NV>(
              logits, block.count, size.dim, lanes, largest + t * heads + j * lanes,
              total + t * heads + j * lanes, target_j);
          weighted_sum<T, NV>(scratch.tile, logits, block.count, p.block, 1, size.dim, target_j);
        }
      });
}

// c [B][I][J] in the storage of the problem.
template <class T, int NV>
void fused_coefficients(
    const FusedProblem<T>& p, const FusedPass<T>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, void* coefficients, T* memory) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const FusedScratch<T, NV> scratch(p, 0, memory);
  const Sizes& size = p.size;
  T* dots[2] = {scratch.dots, scratch.dots};
  for_blocks<T, NV>(
      p, slice, tile, last_tile, scratch,
      [&](const Block<T>& block, const T* u, int64_t t, Prefetch prefetch) {
        couple_block<T, NV, false>(
            p, pass, block, u, t, false, prefetch, scratch.tile, dots, nullptr);
        for (int64_t i = 0; i < block.count; i++) {
          // Gather this capsule's coefficients [J][L], then lay them out by sample.
          T* heads = scratch.tile;
          for (int64_t j = 0; j < size.outputs; j++) {
            for (int64_t lane = 0; lane < lanes; lane++) {
              heads[j * lanes + lane] = dots[0][(j * p.block + i) * lanes + lane];
            }
          }
          const int64_t row = size.inputs * size.outputs;
          const int64_t at = t * lanes * row + (block.first + i) * size.outputs;
          from_lanes_storage<T, NV>(
              p.storage, heads, samples_in_tile<T, NV>(p, t), size.outputs,
              element<T>(p.storage, coefficients, at), row);
        }
      });
}

// Where the coefficients of a block and tile are kept between passes.
template <class T>
FASTCAPS_INLINE int64_t
kept_at(const FusedProblem<T>& p, int64_t first, int64_t tile, int64_t lanes) {
  return (first / p.block * p.tiles + tile) * p.size.outputs * p.block * lanes;
}

template <class T, int NV>
void fused_backward(
    const FusedProblem<T>& p, const FusedPass<T>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, T* memory) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const FusedScratch<T, NV> scratch(p, 0, memory);
  const Sizes& size = p.size;
  const int64_t tile_size = size.columns() * lanes, kept = size.outputs * p.block * lanes;
  T* sums = pass.sums + slice * p.tiles * tile_size;
  fill(sums + tile * tile_size, (last_tile - tile) * tile_size, T(0));
  for_blocks<T, NV>(
      p, slice, tile, last_tile, scratch,
      [&](const Block<T>& block, const T* u, int64_t t, Prefetch prefetch) {
        const int64_t at = kept_at(p, block.first, t, lanes);
        T* dots[2] = {
            pass.coefficients ? pass.coefficients + at : scratch.dots,
            pass.logit_grads ? pass.logit_grads + at : scratch.dots + kept};
        couple_block<T, NV, true>(
            p, pass, block, u, t, true, prefetch, scratch.tile, dots, sums + t * tile_size);
      });
}

// The terms of du_hat for one block and tile; coefficients not kept are computed again.
template <class T, int NV>
FASTCAPS_INLINE int64_t block_terms(
    const FusedProblem<T>& p, const FusedGradients<T>& g, const Block<T>& block, int64_t tile,
    const T* u, const FusedScratch<T, NV>& scratch, Term<T>* terms, const T** logit_grads) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const int64_t kept = p.size.outputs * p.block * lanes;
  const int64_t at = tile * p.size.columns() * lanes;
  int64_t count = 0, recomputed = 0;
  for (int64_t t = g.first_iteration; t <= g.last_iteration; t++) {
    const FusedPass<T>& pass = g.passes[t - g.first_iteration];
    const int64_t from = kept_at(p, block.first, tile, lanes);
    T* dots[2];
    if (pass.coefficients) {
      dots[0] = pass.coefficients + from;
      dots[1] = pass.logit_grads + from;
    } else {
      for (int n = 0; n < 2; n++) dots[n] = scratch.coefficients + recomputed++ * kept;
      couple_block<T, NV, false>(
          p, pass, block, u, tile, g.with_logits, {}, scratch.tile, dots, nullptr);
    }
    terms[count++] = {dots[0], pass.grad_s + at};
    if (!g.with_logits) continue;
    logit_grads[t - g.first_iteration] = dots[1];
    if (t > 1) terms[count++] = {dots[1], pass.agreement + at};  // V is 0 in iteration 1
  }
  return count;
}

// grad [count][chunk columns][L] of `outputs` output capsules from j on.
template <class T, int NV>
FASTCAPS_INLINE void combine_chunk(
    const FusedProblem<T>& p, const T* base, const Term<T>* terms, int64_t term_count, int64_t j,
    int64_t outputs, int64_t first, int64_t count, T* grad) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const int64_t dim = p.size.dim, stride = outputs * dim * lanes;
  for (int64_t n = 0; n < outputs; n++) {
    const T* start = base ? base + (j + n) * dim * lanes : nullptr;
    T* target = grad + n * dim * lanes;
    bool onto = false;
    int64_t m = 0;
    do {
      const T *coefficients[4], *vectors[4];
      const int64_t now = term_count - m < 4 ? term_count - m : 4;
      for (int64_t k = 0; k < now; k++) {
        coefficients[k] = terms[m + k].coefficients + ((j + n) * p.block + first) * lanes;
        vectors[k] = terms[m + k].vector + (j + n) * dim * lanes;
      }
      const auto combine = [&](auto terms_at_once) {
        combine_terms<T, NV, decltype(terms_at_once)::value>(
            start, onto, coefficients, vectors, count, dim, stride, target);
      };
      if (now == 4) combine(Constant<4>());
      if (now == 3) combine(Constant<3>());
      if (now == 2) combine(Constant<2>());
      if (now == 1) combine(Constant<1>());
      if (now == 0) combine(Constant<0>());
      onto = true;
      m += 4;
    } while (m < term_count);
  }
}

template <class T, int NV>
FASTCAPS_INLINE void add_grad_prior(
    const FusedProblem<T>& p, const Block<T>& block, const T* logit_grads, T* grad_prior) {
  constexpr int64_t lanes = NV * kWidth<T>;
  for (int64_t i = 0; i < block.count; i++) {
    for (int64_t j = 0; j < p.size.outputs; j++) {
      const T* dl = logit_grads + (j * p.block + i) * lanes;
      for (int v = 0; v < NV; v++) {
        grad_prior[(block.first + i) * p.size.outputs + j] +=
            horizontal_sum<T>(load(dl + v * kWidth<T>));
      }
    }
  }
}

// All gradients of one block of input capsules, for the whole batch.
template <class T, int NV>
void fused_gradients(
    const FusedProblem<T>& p, const FusedGradients<T>& g, int64_t block_index, T* memory) {
  constexpr int64_t lanes = NV * kWidth<T>, kGroup = FusedScratch<T, NV>::kGroup;
  const Sizes& size = p.size;
  const int64_t passes = g.last_iteration - g.first_iteration + 1;
  const FusedScratch<T, NV> scratch(p, passes > 0 ? passes : 1, memory);
  const Block<T> block = take_block<T, NV>(p, block_index * p.block, scratch);
  const int64_t padded = scratch.padded_columns(size), chunk = scratch.chunk(size);
  const int64_t row = size.inputs * size.in_dim, u_at = block.first * size.in_dim;
  fill(scratch.grad_weight, block.count * size.in_dim * padded, T(0));
  Term<T>* terms = scratch.terms;
  const T** logit_grads = scratch.logit_grads;

  for (int64_t tile = 0; tile < p.tiles; tile++) {
    const int64_t samples = samples_in_tile<T, NV>(p, tile);
    const T* u = u_of<T, NV>(p, block, tile, scratch.u);
    fill(scratch.grad_u, block.count * size.in_dim * lanes, T(0));
    const int64_t term_count =
        block_terms<T, NV>(p, g, block, tile, u, scratch, terms, logit_grads);
    if (g.grad_prior && g.with_logits) {
      for (int64_t t = 0; t < passes; t++) {
        add_grad_prior<T, NV>(p, block, logit_grads[t], g.grad_prior);
      }
    }
    const T* base = g.base ? g.base + tile * size.columns() * lanes : nullptr;
    for (int64_t j = 0; j < size.outputs; j += chunk) {
      const int64_t outputs = size.outputs - j < chunk ? size.outputs - j : chunk;
      const int64_t columns = outputs * size.dim;
      const int64_t padded_chunk = divide_up(columns, kWidth<T>) * kWidth<T>;
      for (int64_t i = 0; i < block.count; i += kGroup) {
        const int64_t group = block.count - i < kGroup ? block.count - i : kGroup;
        combine_chunk<T, NV>(p, base, terms, term_count, j, outputs, i, group, scratch.grad);
        for (int64_t n = 0; n < group; n++) {
          const T* grad = scratch.grad + n * columns * lanes;
          const int64_t capsule = (i + n) * size.in_dim;
          if (g.grad_u) {
            accumulate_grad_u<T, NV>(
                grad, block.weight + capsule * size.columns() + j * size.dim, size.columns(),
                size.in_dim, columns, scratch.grad_u + capsule * lanes);
          }
          if (g.grad_weight) {
            from_lanes<T, NV>(grad, samples, columns, scratch.grad_rows, padded_chunk);
            accumulate_grad_weight<T, NV>(
                u + capsule * lanes, scratch.grad_rows, padded_chunk, samples, size.in_dim, columns,
                padded, scratch.grad_weight + capsule * padded + j * size.dim);
          }
        }
      }
    }
    if (g.grad_u) {
      from_lanes_storage<T, NV>(
          p.storage, scratch.grad_u, samples, block.count * size.in_dim,
          element<T>(p.storage, g.grad_u, tile * lanes * row + u_at), row);
    }
  }
  if (!g.grad_weight) return;
  for (int64_t k = 0; k < block.count * size.in_dim; k++) {
    narrow_storage<T>(
        p.storage, scratch.grad_weight + k * padded, size.columns(),
        element<T>(p.storage, g.grad_weight, (u_at + k) * size.columns()));
  }
}

}  // namespace fastcaps::FASTCAPS_ISA
