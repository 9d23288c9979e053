// The gradients of a layer of any sizes, in the order that kernels are launched in: from the last
// iteration to the first for dL/ds, then what adds up over iterations.
#pragma once

#include "forward.cuh"
#include "input_gradients.cuh"
#include "parameter_gradients.cuh"

namespace fastcaps::cuda::any_sizes {

template <class S>
struct Backward {
  typedef Compute<S> T;

  Sizes size;
  const S *u, *weight;    // [B][I][K], [I][K][J][D]
  const S *bias, *prior;  // [J][D], [I][J], or null
  const S* grad;          // [B][J][D]: dL/dv
  const T* s;             // [R][B][J][D], as saved
  int64_t iterations;
  bool over_inputs, detached;
  T* grad_s;       // [R][B][J][D]: of the iterations that count, written
  S* grad_u;       // [B][I][K], written, or null
  S* grad_weight;  // [I][K][J][D], written, or null
  S* grad_prior;   // [I][J], written, or null

  T* agreement;  // [R][B][J][D]
  // Sums of gradients over parts of the batch, of their sizes; where there is more than one part.
  // Where T is S, that may be the gradients themselves.
  T *weight_sums, *prior_sums;
  // Memory for a part of the batch.
  T* grad_agreement;   // [part][J][D]
  T* coefficients;     // [kept][I][J][part]
  T* logit_gradients;  // [kept][I][J][part]; none are needed where `detached`
  T* partial;          // [slices][part][J][D]

  CountedIterations counted() const { return count_iterations(iterations, detached, prior); }
  bool wants_more_than_grad_s() const { return grad_u || grad_weight || grad_prior; }
};

// Bytes that are kept of a pair of capsules and a sample.
template <class S>
int64_t backward_bytes(const CountedIterations& counted) {
  return (counted.detached ? 1 : 2) * counted.kept() * static_cast<int64_t>(sizeof(Compute<S>));
}

// Samples `first` to `first + size.batch` of a call.
template <class S, class Launch>
class PartOfGradients {
  typedef Compute<S> T;

 public:
  PartOfGradients(
      const Backward<S>& call, const Plan& plan, int64_t first, int64_t count, const Launch& launch)
      : call_(call),
        plan_(plan),
        launch_(launch),
        counted_(call.counted()),
        size_{count, call.size.inputs, call.size.in_dim, call.size.outputs, call.size.dim},
        layer_{size_, call.u + first * size_.inputs * size_.in_dim, call.weight},
        first_sample_(first),
        first_number_(first * size_.columns()),
        stride_(call.size.batch * size_.columns()) {}

  void run() const {
    const ReplayProblem<S> replay{
        size_,
        call_.iterations,
        stride_,
        call_.s + first_number_,
        call_.bias,
        call_.grad + first_number_,
        call_.agreement + first_number_,
        call_.grad_s + first_number_};
    launch_("replay_kernel", replay_kernel<S>, vector_blocks(size_), kVectorThreads, 0, replay);
    for (int64_t t = counted_.end - 1; t >= counted_.first; t--) {
      const bool is_last = t == counted_.first;
      if (t >= counted_.first_kept() && (!is_last || call_.wants_more_than_grad_s())) {
        find_couplings(t);
      }
      if (!is_last) step_back(t);
    }
    if (call_.grad_u) find_input_gradients();
    if (call_.grad_weight) find_weight_gradients();
    if (call_.grad_prior) find_prior_gradients();
  }

 private:
  // Where the numbers of pairs of an iteration are.
  int64_t kept_at(int64_t t) const {
    return (t - counted_.first_kept()) * layer_.pairs() * size_.batch;
  }
  T* coefficients(int64_t t) const { return call_.coefficients + kept_at(t); }
  T* logit_gradients(int64_t t) const { return call_.logit_gradients + kept_at(t); }
  const T* agreement(int64_t t) const { return call_.agreement + first_number_ + t * stride_; }
  T* grad_s(int64_t t) const { return call_.grad_s + first_number_ + t * stride_; }

  // Coefficients and gradients of logits of an iteration.
  void find_couplings(int64_t t) const {
    const T* v = t ? agreement(t) : nullptr;  // all 0 there
    find_agreements<S>({layer_, v, call_.prior, coefficients(t)}, launch_);
    couple<T>({size_, coefficients(t), nullptr, nullptr}, call_.over_inputs, launch_);
    if (call_.detached) return;
    find_agreements<S>({layer_, grad_s(t), nullptr, logit_gradients(t)}, launch_);
    couple<T>({size_, coefficients(t), logit_gradients(t), nullptr}, call_.over_inputs, launch_);
  }

  // From an iteration's gradients of logits to ds of the one before.
  void step_back(int64_t t) const {
    sum_coupled<S>(
        {layer_, {logit_gradients(t), 0}, plan_.slice, call_.partial}, plan_.slices, launch_);
    const CombineGradientsProblem<S> combine{
        size_,         plan_.slices,
        call_.partial, call_.s + first_number_ + (t - 1) * stride_,
        call_.bias,    call_.grad_agreement,
        grad_s(t - 1), t == call_.iterations - 1};
    launch_(
        "combine_gradients_kernel", combine_gradients_kernel<S>, vector_blocks(size_),
        kVectorThreads, 0, combine);
  }

  Iterations<T> iterations() const {
    const T even = T(1) / static_cast<T>(call_.over_inputs ? size_.inputs : size_.outputs);
    return {counted_,
            even,
            stride_,
            agreement(0),
            grad_s(0),
            call_.coefficients,
            call_.logit_gradients};
  }

  SumOfParts<S> sum_of_parts(T* sums, S* gradient) const {
    const bool is_last = first_sample_ + size_.batch == call_.size.batch;
    return {sums, gradient, first_sample_ == 0, is_last};
  }

  void find_input_gradients() const {
    const InputGradientsProblem<S> problem{
        layer_, iterations(), call_.grad_u + first_sample_ * layer_.rows()};
    with_tile_columns(size_.batch, [&](auto columns) {
      typedef InputGradients<S, decltype(columns)::value> Block;
      launch_(
          "input_gradients_kernel", input_gradients_kernel<S, decltype(columns)::value>,
          Block::blocks(layer_), Block::kThreads, Block::kSharedBytes, problem);
    });
  }

  void find_weight_gradients() const {
    const WeightGradientsProblem<S> problem{
        layer_, iterations(), sum_of_parts(call_.weight_sums, call_.grad_weight)};
    with_tile_columns(size_.dim, [&](auto columns) {
      typedef WeightGradients<S, decltype(columns)::value> Block;
      launch_(
          "weight_gradients_kernel", weight_gradients_kernel<S, decltype(columns)::value>,
          Block::blocks(layer_), Block::kThreads, Block::kSharedBytes, problem);
    });
  }

  void find_prior_gradients() const {
    const PriorGradientsProblem<S> problem{
        size_, call_.iterations, call_.logit_gradients,
        sum_of_parts(call_.prior_sums, call_.grad_prior)};
    launch_(
        "prior_gradients_kernel", prior_gradients_kernel<S>, prior_blocks(size_), kPriorThreads, 0,
        problem);
  }

  const Backward<S>& call_;
  const Plan& plan_;
  const Launch& launch_;
  const CountedIterations counted_;
  const Sizes size_;
  const Layer<S> layer_;
  const int64_t first_sample_, first_number_, stride_;
};

template <class S, class Launch>
void route_backward(const Backward<S>& call, const Plan& plan, const Launch& launch) {
  for (int64_t first = 0; first < call.size.batch; first += plan.part) {
    const int64_t count = std::min(plan.part, call.size.batch - first);
    PartOfGradients<S, Launch>(call, plan, first, count, launch).run();
  }
}

}  // namespace fastcaps::cuda::any_sizes
