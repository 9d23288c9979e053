// Fused routing on plain memory: every pass predicts u_hat again, samples side by side in lanes.
#pragma once

#include <algorithm>

#include "stored_routing.h"

namespace fastcaps {

// What may be stored to save time stays within this, with all else that a call takes; the rest up
// to 64 MiB is left to the threads' scratch memory.
constexpr int64_t kWorkspaceBytes = 56 * 1024 * 1024;

template <class T>
struct FusedRouting {
  FusedProblem<T> problem;
  const T* bias;  // [J][D] or null
  int64_t iterations;
  const Kernels<T>& kernel;
  std::optional<Workspace<T>> packed;

  // Predicted tiles of a block stay below this, which leaves room for the rest in a private cache.
  static constexpr int64_t kTileBytes = 512 * 1024;
  // u is packed for all passes up to this, or up to a fiftieth of u_hat.
  static constexpr int64_t kPackedBytes = 16 * 1024 * 1024;
  // Partial sums stay below this, or below a 64th of u_hat.
  static constexpr int64_t kPartialBytes = 16 * 1024 * 1024;

  FusedRouting(
      const Tensor& like, const Sizes& size, Storage storage, const void* u, const void* weight,
      const T* bias, const T* prior, int64_t iterations, bool over_inputs)
      : problem{size, storage, u, weight, prior, over_inputs, 1, 1, 0, 1, nullptr, nullptr},
        bias(bias),
        iterations(iterations),
        kernel(kernels<T>(size.batch)) {
    const int64_t one = size.columns() * kernel.lanes * static_cast<int64_t>(sizeof(T));
    while (problem.block < 8 && 2 * problem.block * one <= kTileBytes) problem.block *= 2;
    problem.tiles = divide_up(size.batch, kernel.lanes);
    // Slices depend on the shape alone: up to 64 capsules, fewer where that leaves few work items,
    // more where their partial sums would take over 16 MiB.
    const int64_t wanted = std::min<int64_t>(64, size.inputs * problem.tiles / 32);
    const int64_t bytes = size.inputs * all_tiles() * static_cast<int64_t>(sizeof(T));
    const int64_t least = std::min(divide_up(bytes, kPartialBytes), int64_t{64});
    const int64_t slice = std::max({wanted, least, int64_t{1}});
    problem.slice = divide_up(slice, problem.block) * problem.block;
    problem.together = tiles_together(
        problem.tiles, problem.slices(), 2 * tile_size() * static_cast<int64_t>(sizeof(T)));
    pack_u(like);
  }

  // Packs u once where that takes little memory beside the prediction vectors.
  void pack_u(const Tensor& like) {
    const int64_t row = size().inputs * size().in_dim * lanes(), count = problem.tiles * row;
    const bool small = count * static_cast<int64_t>(sizeof(T)) <= kPackedBytes ||
                       size().in_dim * 50 <= size().columns();
    if (!small) return;
    packed.emplace(like, count);
    parallel_items<T>(problem.tiles, row, 0, [&](int64_t tile, T*) {
      kernel.fused_pack(problem, tile, packed->get());
    });
    problem.u_lanes = packed->get();
  }

  const Sizes& size() const { return problem.size; }
  int64_t lanes() const { return kernel.lanes; }
  int64_t tile_size() const { return size().columns() * lanes(); }
  int64_t head_size() const { return size().outputs * lanes(); }
  int64_t all_tiles() const { return problem.tiles * tile_size(); }
  int64_t all_heads() const { return problem.tiles * head_size(); }
  bool uniform(int64_t t) const { return t == 1 && !problem.prior; }
  T uniform_coefficient() const {
    return T(1) / static_cast<T>(problem.over_inputs ? size().inputs : size().outputs);
  }
  int64_t rows_of(int64_t tile) const { return std::min(lanes(), size().batch - tile * lanes()); }

  // Rows [B][J][D] of iteration t, from the first sample of a tile and output capsule j on.
  T* s_rows(const Saved<T>& saved, int64_t t, int64_t tile, int64_t j) const {
    const int64_t sample = (t - 1) * size().batch + tile * lanes();
    return saved.s + sample * size().columns() + j * size().dim;
  }

  // work(slice, first tile, last tile, scratch)
  template <class F>
  void for_slices(const F& work) const {
    const int64_t together = problem.together;
    const int64_t groups = divide_up(problem.tiles, std::max<int64_t>(together, 1));
    parallel_items<T>(
        problem.slices() * groups, together * problem.slice * size().in_dim * tile_size(),
        kernel.fused_scratch(problem, 0), [&](int64_t item, T* scratch) {
          const int64_t first = item % groups * together;
          work(item / groups, first, std::min(first + together, problem.tiles), scratch);
        });
  }

  // work(tile, output capsule, scratch of `tiles` tiles [D][L])
  template <class F>
  void for_heads(int64_t tiles, const F& work) const {
    const int64_t outputs = size().outputs;
    parallel_items<T>(
        problem.tiles * outputs, (problem.slices() + 4) * size().dim * lanes(),
        tiles * size().dim * lanes(),
        [&](int64_t item, T* scratch) { work(item / outputs, item % outputs, scratch); });
  }

  struct Partials {
    Workspace<T> sums, online;

    Partials(const FusedRouting& r, const Tensor& like, bool with_online)
        : sums(like, r.problem.slices() * r.all_tiles()),
          online(like, with_online ? 2 * r.problem.slices() * r.all_heads() : 0) {}
  };

  // The sums of iteration t. With `checked`, whether the kernels could take all numbers.
  bool forward_slices(
      const Kernels<T>& chosen, const FusedPass<T>& pass, int64_t t, bool checked) const {
    std::vector<uint8_t> misfits(checked ? problem.slices() : 0);
    FusedProblem<T> noted = problem;
    noted.misfits = checked ? misfits.data() : nullptr;
    for_slices([&](int64_t slice, int64_t tile, int64_t last, T* scratch) {
      if (uniform(t)) {
        chosen.fused_uniform(noted, pass.sums, slice, tile, last, scratch);
      } else {
        chosen.fused_forward(noted, pass, slice, tile, last, scratch);
      }
    });
    return std::find(misfits.begin(), misfits.end(), 1) == misfits.end();
  }

  // v [B][J][D] in the storage of the problem.
  void forward(const Tensor& like, const Saved<T>& saved, void* v) const {
    const Partials partials(*this, like, problem.over_inputs);
    Workspace<T> agreement(like, all_tiles());
    std::fill_n(agreement.get(), all_tiles(), T(0));
    FusedPass<T> pass{};
    pass.agreement = agreement.get();
    pass.sums = partials.sums.get();
    if (problem.over_inputs) {
      pass.largest = partials.online.get();
      pass.total = partials.online.get() + problem.slices() * all_heads();
    }
    const Kernels<T>* chosen = &kernel;
    for (int64_t t = 1; t <= iterations; t++) {
      const bool checked = t == 1 && kernel.fallback;
      if (checked && !forward_slices(kernel, pass, t, true)) chosen = kernel.fallback;
      if (!checked || chosen != &kernel) forward_slices(*chosen, pass, t, false);
      for_heads(2, [&](int64_t tile, int64_t j, T* s) {
        finish(pass, saved, t, tile, j, s, agreement.get(), t == iterations ? v : nullptr);
      });
    }
  }

  // Adds the slices up, keeps s, squashes s + bias and adds v to the agreement V.
  void finish(
      const FusedPass<T>& pass, const Saved<T>& saved, int64_t t, int64_t tile, int64_t j, T* s,
      T* agreement, void* v) const {
    const int64_t dim = size().dim, count = dim * lanes(), slices = problem.slices();
    const int64_t at = tile * tile_size() + j * count, head = tile * head_size() + j * lanes();
    std::vector<T> log_sum_exp(2 * lanes(), T(0));
    std::fill_n(log_sum_exp.data() + lanes(), lanes(), std::log(static_cast<T>(size().inputs)));
    if (problem.over_inputs && !uniform(t)) {
      kernel.combine_online(
          pass.sums + at, pass.largest + head, pass.total + head, slices, all_tiles(), all_heads(),
          dim, s, log_sum_exp.data());
    } else {
      kernel.combine_sums(pass.sums + at, slices, all_tiles(), count, s);
    }
    if (uniform(t)) {
      for (int64_t n = 0; n < count; n++) s[n] *= uniform_coefficient();
    }
    const int64_t rows = rows_of(tile), columns = size().columns();
    kernel.from_lanes(kStorage<T>, s, rows, dim, s_rows(saved, t, tile, j), columns);
    if (problem.over_inputs) {
      const int64_t first = (t - 1) * size().batch + tile * lanes();
      T* target = saved.log_sum_exp + 2 * (first * size().outputs + j);
      kernel.from_lanes(kStorage<T>, log_sum_exp.data(), rows, 2, target, 2 * size().outputs);
    }
    add_bias(j, s);
    T* squashed = s + count;
    kernel.squash(s, dim, squashed);
    for (int64_t n = 0; n < count; n++) agreement[at + n] += squashed[n];
    if (!v) return;
    const int64_t bytes = element_size(problem.storage);
    auto* target = static_cast<char*>(v) + (tile * lanes() * columns + j * dim) * bytes;
    kernel.from_lanes(problem.storage, squashed, rows, dim, target, columns);
  }

  // Adds the bias of output capsule j to a tile [D][L].
  void add_bias(int64_t j, T* s) const {
    if (!bias) return;
    for (int64_t n = 0; n < size().dim * lanes(); n++) s[n] += bias[j * size().dim + n / lanes()];
  }

  // Tiles of V^t, ds^t and, over inputs, of log-sum-exp and s, for every iteration.
  struct History {
    Workspace<T> agreement, grad_s, log_sum_exp, mean;

    History(const FusedRouting& r, const Tensor& like)
        : agreement(like, r.iterations * r.all_tiles()),
          grad_s(like, r.iterations * r.all_tiles()),
          log_sum_exp(like, r.problem.over_inputs ? 2 * r.iterations * r.all_heads() : 0),
          mean(like, r.problem.over_inputs ? r.iterations * r.all_tiles() : 0) {}
  };

  // The workspace of the backward pass, with so many numbers kept between its passes.
  int64_t backward_bytes(int64_t kept) const {
    const int64_t packed_u = packed ? problem.tiles * size().inputs * size().in_dim * lanes() : 0;
    const int64_t iteration = problem.over_inputs ? 3 * all_tiles() + 2 * all_heads()
                                                  : 2 * all_tiles();  // of the history
    const int64_t sums = (problem.slices() + 1) * all_tiles();
    return (packed_u + iterations * iteration + sums + kept) * static_cast<int64_t>(sizeof(T));
  }

  // V^1 .. V^R and the log-sum-exps, from what the forward pass saved.
  void recall(const Saved<T>& saved, const History& history) const {
    const int64_t dim = size().dim, count = dim * lanes();
    for_heads(1, [&](int64_t tile, int64_t j, T* v) {
      T* agreement = history.agreement.get() + tile * tile_size() + j * count;
      std::fill_n(agreement, count, T(0));
      for (int64_t t = 1; t < iterations; t++, agreement += all_tiles()) {
        const T* rows = s_rows(saved, t, tile, j);
        kernel.to_lanes(kStorage<T>, rows, size().columns(), rows_of(tile), dim, v);
        add_bias(j, v);
        kernel.squash(v, dim, v);
        for (int64_t n = 0; n < count; n++) agreement[all_tiles() + n] = agreement[n] + v[n];
      }
    });
    if (!problem.over_inputs) return;
    for (int64_t t = 0; t < iterations; t++) {
      for (int64_t tile = 0; tile < problem.tiles; tile++) {
        const int64_t sample = t * size().batch + tile * lanes();
        kernel.to_lanes(
            kStorage<T>, saved.log_sum_exp + 2 * sample * size().outputs, 2 * size().outputs,
            rows_of(tile), 2 * size().outputs,
            history.log_sum_exp.get() + 2 * (t * all_heads() + tile * head_size()));
      }
    }
  }

  // ds^t from the gradient of V^t or v, tiles [D][L] in `grad`.
  void squash_gradient(
      const Saved<T>& saved, const History& history, int64_t t, int64_t tile, int64_t j, T* s,
      const T* grad) const {
    const int64_t dim = size().dim, count = dim * lanes();
    const int64_t at = (t - 1) * all_tiles() + tile * tile_size() + j * count;
    kernel.to_lanes(
        kStorage<T>, s_rows(saved, t, tile, j), size().columns(), rows_of(tile), dim, s);
    if (problem.over_inputs) std::copy_n(s, count, history.mean.get() + at);
    add_bias(j, s);
    kernel.squash_gradient(s, grad, dim, history.grad_s.get() + at);
  }

  // Gradients from grad_v [B][J][D] in the storage of the problem; the targets may be null.
  void backward(
      const Tensor& like, const Saved<T>& saved, bool detach, const void* grad_v, void* grad_u,
      void* grad_weight, T* grad_bias, T* grad_prior) const {
    const History history(*this, like);
    recall(saved, history);
    const int64_t first = detach ? iterations : 1;
    const int64_t first_pass = uniform(first) ? first + 1 : first;
    const int64_t kept = problem.blocks() * problem.tiles * head_size() * problem.block;
    const int64_t kept_passes = detach ? 0 : iterations - first_pass + 1;
    // Coefficients are kept between the passes where there is room; else they are computed again.
    const bool keep = backward_bytes(2 * kept_passes * kept) <= kWorkspaceBytes;
    Workspace<T> coefficients(like, keep ? 2 * kept_passes * kept : 0);
    std::vector<FusedPass<T>> passes(iterations);
    for (int64_t t = 1; t <= iterations; t++) {
      FusedPass<T>& pass = passes[t - 1];
      pass.agreement = history.agreement.get() + (t - 1) * all_tiles();
      pass.grad_s = history.grad_s.get() + (t - 1) * all_tiles();
      if (problem.over_inputs) {
        pass.log_sum_exp = history.log_sum_exp.get() + 2 * (t - 1) * all_heads();
        pass.mean = history.mean.get() + (t - 1) * all_tiles();
      }
      if (keep && !detach && t >= first_pass) {
        pass.coefficients = coefficients.get() + 2 * (t - first_pass) * kept;
        pass.logit_grads = pass.coefficients + kept;
      }
    }
    agreement_gradients(like, saved, history, passes, first, grad_v);
    if (grad_bias) add_grad_bias(history, first, grad_bias);
    if (grad_u || grad_weight || grad_prior) {
      last_pass(like, history, passes, first, !detach, grad_u, grad_weight, grad_prior);
    }
  }

  // ds^R .. ds^first; passes over the input capsules give the gradients of V in between.
  void agreement_gradients(
      const Tensor& like, const Saved<T>& saved, const History& history,
      std::vector<FusedPass<T>>& passes, int64_t first, const void* grad_v) const {
    const int64_t dim = size().dim, count = dim * lanes(), columns = size().columns();
    const int64_t bytes = element_size(problem.storage);
    for_heads(2, [&](int64_t tile, int64_t j, T* s) {
      const auto* rows =
          static_cast<const char*>(grad_v) + (tile * lanes() * columns + j * dim) * bytes;
      kernel.to_lanes(problem.storage, rows, columns, rows_of(tile), dim, s + count);
      squash_gradient(saved, history, iterations, tile, j, s, s + count);
    });
    if (iterations == first && !passes[first - 1].coefficients) return;
    const Partials partials(*this, like, false);
    Workspace<T> grad_agreement(like, all_tiles());
    std::fill_n(grad_agreement.get(), all_tiles(), T(0));
    for (int64_t t = iterations; t >= first; t--) {
      FusedPass<T>& pass = passes[t - 1];
      if (t == first && !pass.coefficients) break;  // nothing before it, nothing to keep
      pass.sums = partials.sums.get();
      for_slices([&](int64_t slice, int64_t tile, int64_t last, T* scratch) {
        kernel.fused_backward(problem, pass, slice, tile, last, scratch);
      });
      if (t == first) break;
      for_heads(2, [&](int64_t tile, int64_t j, T* s) {
        const int64_t at = tile * tile_size() + j * count;
        T* grad = grad_agreement.get() + at;
        kernel.combine_sums(pass.sums + at, problem.slices(), all_tiles(), count, s);
        for (int64_t n = 0; n < count; n++) grad[n] += s[n];
        squash_gradient(saved, history, t - 1, tile, j, s, grad);
      });
    }
  }

  void add_grad_bias(const History& history, int64_t first, T* grad_bias) const {
    for (int64_t c = 0; c < size().columns(); c++) {
      T total = 0;
      for (int64_t n = (first - 1) * problem.tiles; n < iterations * problem.tiles; n++) {
        const T* grad_s = history.grad_s.get() + n * tile_size() + c * lanes();
        for (int64_t lane = 0; lane < lanes(); lane++) total += grad_s[lane];
      }
      grad_bias[c] = total;
    }
  }

  void last_pass(
      const Tensor& like, const History& history, const std::vector<FusedPass<T>>& passes,
      int64_t first, bool with_logits, void* grad_u, void* grad_weight, T* grad_prior) const {
    FusedGradients<T> gradients{};
    gradients.first_iteration = uniform(first) ? first + 1 : first;
    gradients.last_iteration = iterations;
    gradients.with_logits = with_logits;
    gradients.passes = passes.data() + gradients.first_iteration - 1;
    gradients.grad_u = grad_u;
    gradients.grad_weight = grad_weight;
    gradients.grad_prior = grad_prior;
    Workspace<T> base(like, uniform(first) ? all_tiles() : 0);
    if (uniform(first)) {
      for (int64_t n = 0; n < all_tiles(); n++) {
        base.get()[n] = history.grad_s.get()[n] * uniform_coefficient();
      }
      gradients.base = base.get();
    }
    if (grad_prior) std::fill_n(grad_prior, size().inputs * size().outputs, T(0));
    const int64_t last_passes =
        std::max<int64_t>(1, gradients.last_iteration - gradients.first_iteration + 1);
    parallel_items<T>(
        problem.blocks(), problem.block * size().in_dim * all_tiles(),
        kernel.fused_scratch(problem, last_passes), [&](int64_t block, T* scratch) {
          kernel.fused_gradients(problem, gradients, block, scratch);
        });
  }

  // c [B][I][J] of the last iteration, in the storage of the problem.
  void coefficients(const Tensor& like, const Saved<T>& saved, void* c) const {
    const History history(*this, like);
    recall(saved, history);
    FusedPass<T> pass{};
    pass.agreement = history.agreement.get() + (iterations - 1) * all_tiles();
    if (problem.over_inputs) {
      pass.log_sum_exp = history.log_sum_exp.get() + 2 * (iterations - 1) * all_heads();
    }
    for_slices([&](int64_t slice, int64_t tile, int64_t last, T* scratch) {
      kernel.fused_coefficients(problem, pass, slice, tile, last, c, scratch);
    });
  }
};

// Few samples would leave lanes empty: they are routed on stored prediction vectors, as long as
// those and their gradients fit into the workspace.
template <class T>
bool small_batch(const Sizes& size) {
  const int64_t bytes = size.batch * size.inputs * size.columns() * static_cast<int64_t>(sizeof(T));
  return size.batch > 0 && size.batch < 8 && 2 * bytes <= kWorkspaceBytes;
}

}  // namespace fastcaps
