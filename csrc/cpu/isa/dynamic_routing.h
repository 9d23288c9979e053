// Routing of stored prediction vectors, lanes are input capsules of one sample.
#pragma once

#include "../kernels.h"
#include "agreement.h"
#include "coupling.h"
#include "storage_dispatch.h"

namespace fastcaps::FASTCAPS_ISA {

template <class T, int NV>
struct StoredScratch {
  static constexpr int64_t lanes = NV * kWidth<T>;
  T *tile, *grad, *sums, *dots, *prior, *largest, *total, *grad_prior;

  static int64_t count(const Sizes& size) {
    return (3 * size.columns() + 6 * size.outputs) * lanes;
  }

  StoredScratch(const Sizes& size, T* memory) {
    const int64_t matrix = size.columns() * lanes, row = size.outputs * lanes;
    tile = memory;
    grad = tile + matrix;
    sums = grad + matrix;
    dots = sums + matrix;
    prior = dots + 2 * row;
    largest = prior + row;
    total = largest + row;
    grad_prior = total + row;
  }
};

template <class T, int NV>
int64_t stored_scratch(const StoredProblem<T>& problem) {
  return StoredScratch<T, NV>::count(problem.size);
}

// Up to L input capsules.
struct Capsules {
  int64_t first, count;
};

// Calls visit(capsules) for every tile of a slice.
template <class T, int NV, class F>
FASTCAPS_INLINE void for_capsules(const StoredProblem<T>& p, int64_t slice, F visit) {
  constexpr int64_t lanes = NV * kWidth<T>;
  const int64_t end = (slice + 1) * p.slice < p.size.inputs ? (slice + 1) * p.slice : p.size.inputs;
  for (int64_t first = slice * p.slice; first < end; first += lanes) {
    visit(Capsules{first, end - first < lanes ? end - first : lanes});
  }
}

template <class T, int NV>
FASTCAPS_INLINE void load_u_hat(
    const StoredProblem<T>& p, int64_t sample, Capsules capsules, T* tile) {
  const int64_t columns = p.size.columns();
  const int64_t at = (sample * p.size.inputs + capsules.first) * columns;
  to_lanes_storage<T, NV>(
      p.storage, element<T>(p.storage, p.u_hat, at), columns, capsules.count, columns, tile);
}

// Logits into dots[0]; with grad_s also a = u_hat . ds into dots[1].
template <class T, int NV>
FASTCAPS_INLINE void agree_with_prior(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, Capsules capsules,
    bool with_logits, const StoredScratch<T, NV>& scratch, T* const* dots) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  const Sizes& size = p.size;
  const int64_t at = sample * size.columns();
  if (with_logits && p.over_inputs) {
    const T* vectors[3] = {pass.agreement + at, pass.grad_s + at, pass.mean + at};
    agree<T, NV, 2, true>(scratch.tile, size.outputs, size.dim, vectors, dots);
  } else if (with_logits) {
    const T* vectors[2] = {pass.agreement + at, pass.grad_s + at};
    agree<T, NV, 2, false>(scratch.tile, size.outputs, size.dim, vectors, dots);
  } else {
    const T* vectors[1] = {pass.agreement + at};
    agree<T, NV, 1, false>(scratch.tile, size.outputs, size.dim, vectors, dots);
  }
  if (!p.prior) return;
  to_lanes<T, NV>(
      p.prior + capsules.first * size.outputs, size.outputs, capsules.count, size.outputs,
      scratch.prior);
  for (int64_t n = 0; n < size.outputs * lanes; n += width) {
    store(dots[0] + n, load(dots[0] + n) + load(scratch.prior + n));
  }
}

template <class T>
FASTCAPS_INLINE T add_lanes(const T* x, int lanes) {
  T total = 0;
  for (int lane = 0; lane < lanes; lane++) total += x[lane];
  return total;
}

// Sums of the lanes of [columns][L] into [columns].
template <class T, int NV>
FASTCAPS_INLINE void reduce_lanes(const T* tile, int64_t columns, T* target) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t c = 0; c < columns; c++) {
    Vec<T> total = load(tile + c * lanes);
    FASTCAPS_UNROLL for (int v = 1; v < NV; v++) total += load(tile + c * lanes + v * width);
    target[c] = horizontal_sum<T>(total);
  }
}

// Brings the lanes of an online softmax to one largest logit, and adds them up.
template <class T, int NV>
FASTCAPS_INLINE void reduce_online_lanes(
    const Sizes& size, const StoredScratch<T, NV>& scratch, T* largest, T* total, T* sums) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = 0; j < size.outputs; j++) {
    const T* lane_largest = scratch.largest + j * lanes;
    T overall = lane_largest[0];
    for (int lane = 1; lane < lanes; lane++) {
      overall = lane_largest[lane] > overall ? lane_largest[lane] : overall;
    }
    largest[j] = overall;
    T* z = scratch.total + j * lanes;
    for (int v = 0; v < NV; v++) {
      const Vec<T> scale = exp_nonpositive(load(lane_largest + v * width) - overall);
      store(z + v * width, load(z + v * width) * scale);
      for (int64_t d = 0; d < size.dim; d++) {
        T* s = scratch.sums + (j * size.dim + d) * lanes + v * width;
        store(s, load(s) * scale);
      }
    }
    total[j] = add_lanes(z, lanes);
  }
  reduce_lanes<T, NV>(scratch.sums, size.columns(), sums);
}

// sums [J][D] of a slice with all coefficients 1: rows are added as they lie.
template <class T>
void sum_rows(const StoredProblem<T>& p, int64_t sample, int64_t slice, T* sums) {
  constexpr int width = kWidth<T>;
  const int64_t columns = p.size.columns();
  const int64_t end = (slice + 1) * p.slice < p.size.inputs ? (slice + 1) * p.slice : p.size.inputs;
  for (int64_t c = 0; c < columns; c++) sums[c] = 0;
  with_storage<T>(p.storage, [&](auto s) {
    typedef typename decltype(s)::type S;
    const S* row =
        static_cast<const S*>(p.u_hat) + (sample * p.size.inputs + slice * p.slice) * columns;
    for (int64_t i = slice * p.slice; i < end; i++, row += columns) {
      int64_t c = 0;
      for (; c + width <= columns; c += width) {
        store(sums + c, load(sums + c) + widen(row + c));
      }
      for (; c < columns; c++) sums[c] += widen_one<T>(row + c);
    }
  });
}

template <class T, int NV>
void stored_forward(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, int64_t slice,
    T* memory) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  const Sizes& size = p.size;
  const int64_t partial = slice * size.batch + sample;
  T* sums = pass.sums + partial * size.columns();
  if (!pass.agreement) {
    sum_rows(p, sample, slice, sums);
    return;
  }
  const StoredScratch<T, NV> scratch(size, memory);
  const int64_t matrix = size.columns() * lanes, heads = size.outputs * lanes;
  for (int64_t n = 0; n < matrix; n++) scratch.sums[n] = 0;
  for (int64_t n = 0; n < heads; n++) scratch.largest[n] = kLowest<T>;
  for (int64_t n = 0; n < heads; n++) scratch.total[n] = 0;
  T* dots[1] = {scratch.dots};
  for_capsules<T, NV>(p, slice, [&](Capsules capsules) {
    load_u_hat<T, NV>(p, sample, capsules, scratch.tile);
    agree_with_prior<T, NV>(p, pass, sample, capsules, false, scratch, dots);
    if (p.over_inputs) {
      for (int64_t j = 0; j < size.outputs; j++) {
        online_softmax_over_inputs<T, NV>(
            dots[0] + j * lanes, 1, size.dim, capsules.count, scratch.largest + j * lanes,
            scratch.total + j * lanes, scratch.sums + j * size.dim * lanes);
      }
    } else {
      softmax_over_outputs<T, NV>(dots[0], 1, 1, size.outputs);
    }
    weighted_sum<T, NV>(scratch.tile, dots[0], 1, 1, size.outputs, size.dim, scratch.sums);
  });
  if (p.over_inputs) {
    reduce_online_lanes<T, NV>(
        size, scratch, pass.largest + partial * size.outputs, pass.total + partial * size.outputs,
        sums);
  } else {
    reduce_lanes<T, NV>(scratch.sums, size.columns(), sums);
  }
}

template <class T, int NV>
FASTCAPS_INLINE void softmax_of_sample(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, T* logits) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  if (!p.over_inputs) {
    softmax_over_outputs<T, NV>(logits, 1, 1, p.size.outputs);
    return;
  }
  for (int64_t j = 0; j < p.size.outputs; j++) {
    const T* log_sum_exp = pass.log_sum_exp + 2 * (sample * p.size.outputs + j);
    for (int v = 0; v < NV; v++) {
      T* l = logits + j * lanes + v * width;
      const Vec<T> x = (load(l) - log_sum_exp[0]) - log_sum_exp[1];
      store(l, exp_nonpositive(x > 0 ? Vec<T>{} : x));
    }
  }
}

// c [B][I][J].
template <class T, int NV>
void stored_coefficients(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, int64_t slice,
    Storage out_storage, void* coefficients, T* memory) {
  const Sizes& size = p.size;
  const StoredScratch<T, NV> scratch(size, memory);
  T* dots[1] = {scratch.dots};
  for_capsules<T, NV>(p, slice, [&](Capsules capsules) {
    load_u_hat<T, NV>(p, sample, capsules, scratch.tile);
    agree_with_prior<T, NV>(p, pass, sample, capsules, false, scratch, dots);
    softmax_of_sample<T, NV>(p, pass, sample, dots[0]);
    const int64_t at = (sample * size.inputs + capsules.first) * size.outputs;
    from_lanes_storage<T, NV>(
        out_storage, dots[0], capsules.count, size.outputs,
        element<T>(out_storage, coefficients, at), size.outputs);
  });
}

// c into dots[0], dl into dots[1].
template <class T, int NV>
FASTCAPS_INLINE void couple_capsules(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, Capsules capsules,
    bool with_logits, const StoredScratch<T, NV>& scratch, T* const* dots) {
  agree_with_prior<T, NV>(p, pass, sample, capsules, with_logits, scratch, dots);
  softmax_of_sample<T, NV>(p, pass, sample, dots[0]);
  if (!with_logits) return;
  if (!p.over_inputs) {
    logit_gradients_over_outputs<T, NV>(dots[0], dots[1], 1, 1, p.size.outputs);
    return;
  }
  logit_gradients_over_inputs<T, NV>(dots[0], dots[1], 1, 1, p.size.outputs);
}

template <class T, int NV>
void stored_backward(
    const StoredProblem<T>& p, const StoredPass<T>& pass, int64_t sample, int64_t slice,
    T* memory) {
  constexpr int lanes = NV * kWidth<T>;
  const Sizes& size = p.size;
  const StoredScratch<T, NV> scratch(size, memory);
  for (int64_t n = 0; n < size.columns() * lanes; n++) scratch.sums[n] = 0;
  T* dots[2] = {scratch.dots, scratch.dots + size.outputs * lanes};
  for_capsules<T, NV>(p, slice, [&](Capsules capsules) {
    load_u_hat<T, NV>(p, sample, capsules, scratch.tile);
    couple_capsules<T, NV>(p, pass, sample, capsules, true, scratch, dots);
    weighted_sum<T, NV>(scratch.tile, dots[1], 1, 1, size.outputs, size.dim, scratch.sums);
  });
  reduce_lanes<T, NV>(
      scratch.sums, size.columns(), pass.sums + (slice * size.batch + sample) * size.columns());
}

// grad [J][D][L] += coefficients [J][L] * vector [J][D].
template <class T, int NV>
FASTCAPS_INLINE void add_term(const Sizes& size, const T* coefficients, const T* vector, T* grad) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  for (int64_t j = 0; j < size.outputs; j++) {
    FASTCAPS_UNROLL for (int v = 0; v < NV; v++) {
      const Vec<T> c = load(coefficients + j * lanes + v * width);
      for (int64_t d = 0; d < size.dim; d++) {
        T* g = grad + (j * size.dim + d) * lanes + v * width;
        store(g, load(g) + c * vector[j * size.dim + d]);
      }
    }
  }
}

template <class T, int NV>
void stored_gradients(
    const StoredProblem<T>& p, const StoredGradients<T>& g, int64_t sample, int64_t last_sample,
    int64_t slice, T* memory) {
  constexpr int width = kWidth<T>, lanes = NV * width;
  const Sizes& size = p.size;
  const StoredScratch<T, NV> scratch(size, memory);
  const int64_t columns = size.columns(), heads = size.outputs * lanes;
  T* dots[2] = {scratch.dots, scratch.dots + heads};
  for_capsules<T, NV>(p, slice, [&](Capsules capsules) {
    for (int64_t n = 0; n < heads; n++) scratch.grad_prior[n] = 0;
    for (int64_t b = sample; b < last_sample; b++) {
      load_u_hat<T, NV>(p, b, capsules, scratch.tile);
      for (int64_t c = 0; c < columns; c++) {
        const Vec<T> start = broadcast(g.base ? g.base[b * columns + c] : T(0));
        for (int v = 0; v < NV; v++) store(scratch.grad + c * lanes + v * width, start);
      }
      for (int64_t t = g.first_iteration; t <= g.last_iteration; t++) {
        const StoredPass<T>& pass = g.passes[t - g.first_iteration];
        couple_capsules<T, NV>(p, pass, b, capsules, g.with_logits, scratch, dots);
        add_term<T, NV>(size, dots[0], pass.grad_s + b * columns, scratch.grad);
        if (!g.with_logits) continue;
        add_term<T, NV>(size, dots[1], pass.agreement + b * columns, scratch.grad);
        for (int64_t n = 0; n < heads; n += width) {
          store(scratch.grad_prior + n, load(scratch.grad_prior + n) + load(dots[1] + n));
        }
      }
      const int64_t at = (b * size.inputs + capsules.first) * columns;
      from_lanes_storage<T, NV>(
          g.grad_storage, scratch.grad, capsules.count, columns,
          element<T>(g.grad_storage, g.grad_u_hat, at), columns);
    }
    if (g.grad_prior) {
      from_lanes<T, NV>(
          scratch.grad_prior, capsules.count, size.outputs,
          g.grad_prior + capsules.first * size.outputs, size.outputs);
    }
  });
}

}  // namespace fastcaps::FASTCAPS_ISA
