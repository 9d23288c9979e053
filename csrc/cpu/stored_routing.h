// Routing of stored prediction vectors on plain memory: the operator dynamic_routing, and the
// small-batch path of routed_capsules. One sample at a time, so numbers per sample are few and
// handled plainly here; the passes over u_hat are in isa/dynamic_routing.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensors.h"

namespace fastcaps {

// s and log-sum-exp of every iteration, saved for the backward pass.
template <class T>
struct Saved {
  T* s;            // [R][B][J][D], without bias
  T* log_sum_exp;  // [R][B][J][2], over inputs: the largest logit and the rest
};

template <class T>
struct StoredRouting {
  StoredProblem<T> problem;
  const T* bias;  // [J][D] or null
  int64_t iterations;
  const Kernels<T>& kernel;

  StoredRouting(
      const Sizes& size, Storage storage, const void* u_hat, const T* bias, const T* prior,
      int64_t iterations, bool over_inputs)
      : problem{size, storage, u_hat, prior, over_inputs, 0},
        bias(bias),
        iterations(iterations),
        kernel(kernels<T>(1)) {  // narrow tiles: tile and sums of one sample fit the nearest cache
    // Up to 8 tiles a slice, fewer where that leaves few work items.
    const int64_t lanes = kernel.lanes, tiles = divide_up(size.inputs, lanes);
    const int64_t wanted = std::min<int64_t>(8, tiles * size.batch / 12);
    problem.slice = std::max<int64_t>(1, wanted) * lanes;
  }

  const Sizes& size() const { return problem.size; }
  bool uniform(int64_t t) const { return t == 1 && !problem.prior; }
  T uniform_coefficient() const {
    return T(1) / static_cast<T>(problem.over_inputs ? size().inputs : size().outputs);
  }
  T* s(const Saved<T>& saved, int64_t t, int64_t sample) const {
    return saved.s + ((t - 1) * size().batch + sample) * size().columns();
  }
  T* log_sum_exp(const Saved<T>& saved, int64_t t, int64_t sample) const {
    return saved.log_sum_exp + 2 * ((t - 1) * size().batch + sample) * size().outputs;
  }

  template <class F>
  void for_slices(const F& work) const {
    const int64_t slices = problem.slices();
    parallel_items<T>(
        size().batch * slices, 4 * problem.slice * size().columns(), kernel.stored_scratch(problem),
        [&](int64_t item, T* scratch) { work(item / slices, item % slices, scratch); });
  }

  // v [B][J][D] as T.
  void forward(const Tensor& like, const Saved<T>& saved, T* v) const {
    const int64_t partials = problem.slices() * size().batch, columns = size().columns();
    Workspace<T> sums(like, partials * columns), online(like, 2 * partials * size().outputs);
    Workspace<T> agreement(like, size().batch * columns);
    std::fill_n(agreement.get(), size().batch * columns, T(0));
    StoredPass<T> pass{};
    pass.sums = sums.get();
    pass.largest = online.get();
    pass.total = online.get() + partials * size().outputs;
    for (int64_t t = 1; t <= iterations; t++) {
      pass.agreement = uniform(t) ? nullptr : agreement.get();
      for_slices([&](int64_t sample, int64_t slice, T* scratch) {
        kernel.stored_forward(problem, pass, sample, slice, scratch);
      });
      const int64_t cost = (problem.slices() + 8) * columns;
      parallel_items<T>(size().batch, cost, size().dim * kernel.lanes, [&](int64_t b, T* tile) {
        finish(pass, saved, t, b, tile, v + b * columns);
        for (int64_t n = b * columns; n < (b + 1) * columns; n++) agreement.get()[n] += v[n];
      });
    }
  }

  // Adds the slices up, keeps s, and squashes s + bias into v.
  void finish(
      const StoredPass<T>& pass, const Saved<T>& saved, int64_t t, int64_t b, T* tile, T* v) const {
    const int64_t columns = size().columns(), outputs = size().outputs, dim = size().dim;
    const bool online = pass.agreement && problem.over_inputs;
    T* s_t = s(saved, t, b);
    for (int64_t j = 0; j < outputs; j++) {
      T largest = std::numeric_limits<T>::lowest(), total = 0, scale = uniform_coefficient();
      const auto partial = [&](int64_t slice) { return slice * size().batch + b; };
      if (online) {
        for (int64_t n = 0; n < problem.slices(); n++) {
          largest = std::max(largest, pass.largest[partial(n) * outputs + j]);
        }
      }
      T* s_j = s_t + j * dim;
      std::fill_n(s_j, dim, T(0));
      for (int64_t n = 0; n < problem.slices(); n++) {
        const int64_t at = partial(n) * outputs + j;
        const T weight = online ? std::exp(pass.largest[at] - largest) : T(1);
        if (online) total += weight * pass.total[at];
        const T* sums = pass.sums + partial(n) * columns + j * dim;
        for (int64_t d = 0; d < dim; d++) s_j[d] += weight * sums[d];
      }
      if (online) {
        scale = 1 / total;
      } else if (pass.agreement) {
        scale = 1;
      }
      for (int64_t d = 0; d < dim; d++) s_j[d] *= scale;
      if (problem.over_inputs) {
        T* target = log_sum_exp(saved, t, b) + 2 * j;
        target[0] = online ? largest : T(0);
        target[1] = std::log(online ? total : static_cast<T>(size().inputs));
      }
    }
    squash_sample(s_t, tile, v);
  }

  // Output capsules [j, j + count) of one sample, bias added, as a tile [D][L].
  void load_sample(const T* s, int64_t j, int64_t count, T* tile) const {
    const int64_t dim = size().dim;
    kernel.to_lanes(kStorage<T>, s + j * dim, dim, count, dim, tile);
    if (!bias) return;
    for (int64_t d = 0; d < dim; d++) {
      for (int64_t n = 0; n < count; n++) tile[d * kernel.lanes + n] += bias[(j + n) * dim + d];
    }
  }

  // v = squash(s + bias) of one sample, through a tile of D * L.
  void squash_sample(const T* s, T* tile, T* v) const {
    const int64_t dim = size().dim, lanes = kernel.lanes;
    for (int64_t j = 0; j < size().outputs; j += lanes) {
      const int64_t count = std::min(lanes, size().outputs - j);
      load_sample(s, j, count, tile);
      kernel.squash(tile, dim, tile);
      kernel.from_lanes(kStorage<T>, tile, count, dim, v + j * dim, dim);
    }
  }

  void squash_sample_gradient(const T* s, const T* grad, T* tiles, T* grad_s) const {
    const int64_t dim = size().dim, lanes = kernel.lanes;
    T* grad_tile = tiles + dim * lanes;
    for (int64_t j = 0; j < size().outputs; j += lanes) {
      const int64_t count = std::min(lanes, size().outputs - j);
      load_sample(s, j, count, tiles);
      kernel.to_lanes(kStorage<T>, grad + j * dim, dim, count, dim, grad_tile);
      kernel.squash_gradient(tiles, grad_tile, dim, grad_tile);
      kernel.from_lanes(kStorage<T>, grad_tile, count, dim, grad_s + j * dim, dim);
    }
  }

  // V^1 .. V^R [R][B][J][D] from the saved s.
  void agreements(const Saved<T>& saved, T* agreement) const {
    const int64_t all = size().batch * size().columns();
    const int64_t scratch_size = size().columns() + size().dim * kernel.lanes;
    const int64_t cost = 8 * iterations * size().columns();
    parallel_items<T>(size().batch, cost, scratch_size, [&](int64_t b, T* v) {
      T* at = agreement + b * size().columns();
      std::fill_n(at, size().columns(), T(0));
      for (int64_t t = 1; t < iterations; t++, at += all) {
        squash_sample(s(saved, t, b), v + size().columns(), v);
        for (int64_t n = 0; n < size().columns(); n++) at[all + n] = at[n] + v[n];
      }
    });
  }

  // Gradients from grad_v [B][J][D] as T. grad_bias [J][D] and grad_prior [I][J] may be null.
  void backward(
      const Tensor& like, const Saved<T>& saved, bool detach, const T* grad_v, Storage grad_storage,
      void* grad_u_hat, T* grad_bias, T* grad_prior) const {
    const int64_t batch = size().batch, columns = size().columns(), all = batch * columns;
    const int64_t R = iterations;
    Workspace<T> agreement(like, R * all), grad_s(like, R * all), grad_agreement(like, all);
    Workspace<T> sums(like, problem.slices() * all);
    agreements(saved, agreement.get());
    std::fill_n(grad_agreement.get(), all, T(0));
    std::vector<StoredPass<T>> passes(R);
    for (int64_t t = 1; t <= R; t++) {
      StoredPass<T>& pass = passes[t - 1];
      pass.agreement = agreement.get() + (t - 1) * all;
      pass.sums = sums.get();
      pass.log_sum_exp = problem.over_inputs ? log_sum_exp(saved, t, 0) : nullptr;
      pass.grad_s = grad_s.get() + (t - 1) * all;
      pass.mean = s(saved, t, 0);
    }
    const T* grad = grad_v;
    const int64_t first = detach ? R : 1;
    for (int64_t t = R; t >= first; t--) {
      T* grad_s_t = grad_s.get() + (t - 1) * all;
      parallel_items<T>(
          batch, 8 * columns, 2 * size().dim * kernel.lanes, [&](int64_t b, T* tiles) {
            squash_sample_gradient(
                s(saved, t, b), grad + b * columns, tiles, grad_s_t + b * columns);
          });
      if (t == first) break;
      for_slices([&](int64_t sample, int64_t slice, T* scratch) {
        kernel.stored_backward(problem, passes[t - 1], sample, slice, scratch);
      });
      for (int64_t n = 0; n < problem.slices(); n++) {
        for (int64_t m = 0; m < all; m++) grad_agreement.get()[m] += sums.get()[n * all + m];
      }
      grad = grad_agreement.get();
    }
    finish_backward(passes, detach, grad_s.get(), grad_storage, grad_u_hat, grad_bias, grad_prior);
  }

  void finish_backward(
      const std::vector<StoredPass<T>>& passes, bool detach, T* grad_s, Storage grad_storage,
      void* grad_u_hat, T* grad_bias, T* grad_prior) const {
    const int64_t batch = size().batch, columns = size().columns(), all = batch * columns;
    const int64_t first = detach ? iterations : 1;
    if (grad_bias) {
      std::fill_n(grad_bias, columns, T(0));
      for (int64_t n = (first - 1) * batch; n < iterations * batch; n++) {
        for (int64_t c = 0; c < columns; c++) grad_bias[c] += grad_s[n * columns + c];
      }
    }
    std::vector<T> base;
    if (uniform(first)) {
      base.assign(grad_s, grad_s + all);
      for (T& value : base) value *= uniform_coefficient();
    }
    StoredGradients<T> gradients{};
    gradients.first_iteration = uniform(first) ? first + 1 : first;
    gradients.last_iteration = iterations;
    gradients.with_logits = !detach;
    gradients.passes = passes.data() + gradients.first_iteration - 1;
    gradients.base = uniform(first) ? base.data() : nullptr;
    gradients.grad_storage = grad_storage;
    gradients.grad_u_hat = grad_u_hat;
    gradients.grad_prior = grad_prior;
    if (!grad_prior) {
      for_slices([&](int64_t sample, int64_t slice, T* scratch) {
        kernel.stored_gradients(problem, gradients, sample, sample + 1, slice, scratch);
      });
      return;
    }
    parallel_items<T>(
        problem.slices(), 4 * batch * problem.slice * columns, kernel.stored_scratch(problem),
        [&](int64_t slice, T* scratch) {
          kernel.stored_gradients(problem, gradients, 0, batch, slice, scratch);
        });
  }

  // c [B][I][J] of the last iteration.
  void coefficients(const Tensor& like, const Saved<T>& saved, Storage storage, void* c) const {
    Workspace<T> agreement(like, iterations * size().batch * size().columns());
    agreements(saved, agreement.get());
    StoredPass<T> pass{};
    pass.agreement = agreement.get() + (iterations - 1) * size().batch * size().columns();
    pass.log_sum_exp = problem.over_inputs ? log_sum_exp(saved, iterations, 0) : nullptr;
    for_slices([&](int64_t sample, int64_t slice, T* scratch) {
      kernel.stored_coefficients(problem, pass, sample, slice, storage, c, scratch);
    });
  }
};

}  // namespace fastcaps
