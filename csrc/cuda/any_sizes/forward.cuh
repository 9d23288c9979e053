// All iterations of a layer of any sizes, in the order that kernels are launched in. What launches
// them is asked for, so that the tests run the same on the host:
//
//     launch(name, kernel, blocks, threads, bytes of shared memory, problem)
#pragma once

#include "agreements.cuh"
#include "coupled_sums.cuh"
#include "couplings.cuh"
#include "plan.cuh"
#include "vectors.cuh"

namespace fastcaps::cuda::any_sizes {

// Agreements with vectors, of the layer's samples.
template <class S, class Launch>
void find_agreements(const AgreementsProblem<S>& problem, const Launch& launch) {
  with_tile_columns(problem.layer.size.batch, [&](auto columns) {
    typedef Agreements<S, decltype(columns)::value> Block;
    launch(
        "agreements_kernel", agreements_kernel<S, decltype(columns)::value>,
        Block::blocks(problem.layer.size), Block::kThreads, Block::kSharedBytes, problem);
  });
}

// Logits become coefficients, or slopes gradients of logits.
template <class T, class Launch>
void couple(const CouplingsProblem<T>& problem, bool over_inputs, const Launch& launch) {
  over_inputs
      ? launch(
            "couple_inputs_kernel", couple_inputs_kernel<T>, blocks_over_inputs(problem.size),
            kCouplingThreads, kCouplingSharedBytes<T>, problem)
      : launch(
            "couple_outputs_kernel", couple_outputs_kernel<T>, blocks_over_outputs(problem.size),
            kCouplingThreads, 0, problem);
}

template <class S, class Launch>
void sum_coupled(const CoupledSumsProblem<S>& problem, int64_t slices, const Launch& launch) {
  const Sizes& size = problem.layer.size;
  with_tile_columns(size.dim, [&](auto columns) {
    typedef CoupledSums<S, decltype(columns)::value> Block;
    launch(
        "coupled_sums_kernel", coupled_sums_kernel<S, decltype(columns)::value>,
        Block::tiles(size) * size.outputs * slices, Block::kThreads, Block::kSharedBytes, problem);
  });
}

template <class S>
struct Forward {
  typedef Compute<S> T;

  Sizes size;
  const S *u, *weight;    // [B][I][K], [I][K][J][D]
  const S *bias, *prior;  // [J][D], [I][J], or null
  int64_t iterations;
  bool over_inputs;
  S* v;            // [B][J][D], written
  T* s;            // [R][B][J][D], written
  T* log_sum_exp;  // [R][B][J][2], over inputs, written

  // Memory for a part of the batch.
  T* agreement;     // [part][J][D]
  T* coefficients;  // [I][J][part]
  T* partial;       // [slices][part][J][D]
};

template <class S, class Launch>
void route_part(
    const Forward<S>& call, const Plan& plan, int64_t first, int64_t count, const Launch& launch) {
  typedef Compute<S> T;
  const Sizes& whole = call.size;
  const Sizes size{count, whole.inputs, whole.in_dim, whole.outputs, whole.dim};
  const Layer<S> layer{size, call.u + first * whole.inputs * whole.in_dim, call.weight};
  const T even = T(1) / static_cast<T>(call.over_inputs ? size.inputs : size.outputs);
  for (int64_t t = 0; t < call.iterations; t++) {
    const bool uniform = t == 0 && !call.prior, last = t == call.iterations - 1;
    const int64_t vector = (t * whole.batch + first) * whole.outputs;
    T* log_sum_exp = call.over_inputs ? call.log_sum_exp + 2 * vector : nullptr;
    if (!uniform) {
      find_agreements<S>(
          {layer, t ? call.agreement : nullptr, call.prior, call.coefficients}, launch);
      couple<T>({size, call.coefficients, nullptr, log_sum_exp}, call.over_inputs, launch);
    }
    sum_coupled<S>(
        {layer,
         {uniform ? nullptr : call.coefficients, uniform ? even : 0},
         plan.slice,
         call.partial},
        plan.slices, launch);
    const CombineProblem<S> combine{
        size,
        plan.slices,
        call.partial,
        call.bias,
        call.s + vector * size.dim,
        t ? call.agreement : nullptr,
        call.agreement,
        last ? call.v + first * whole.columns() : nullptr,
        uniform ? log_sum_exp : nullptr};
    launch("combine_kernel", combine_kernel<S>, vector_blocks(size), kVectorThreads, 0, combine);
  }
}

template <class S, class Launch>
void route(const Forward<S>& call, const Plan& plan, const Launch& launch) {
  for (int64_t first = 0; first < call.size.batch; first += plan.part) {
    route_part(call, plan, first, std::min(plan.part, call.size.batch - first), launch);
  }
}

}  // namespace fastcaps::cuda::any_sizes
