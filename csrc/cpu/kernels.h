// The work items that the instruction sets implement, as plain functions on plain memory.
//
// Two layouts share the arithmetic. Fused routing puts samples side by side in the lanes of a
// register ("sample tiles" of L samples); routing of stored prediction vectors puts input
// capsules of one sample there. Sums over input capsules are cut into slices, whose partial
// results are combined in fixed order, so that results depend neither on threads nor on timing.
#pragma once

#include <stdint.h>

#include "../sizes.h"
#include "../storage.h"

namespace fastcaps {

// ---- Fused: lanes are samples -------------------------------------------------------------

template <class T>
struct FusedProblem {
  Sizes size;
  Storage storage;     // of u, weight and their gradients
  const void* u;       // [B][I][K]
  const void* weight;  // [I][K][J][D]
  const T* prior;      // [I][J] or null
  bool over_inputs;
  int64_t block;     // input capsules predicted at a time
  int64_t slice;     // input capsules per partial sum, a multiple of block
  int64_t tiles;     // divide_up(B, lanes)
  int64_t together;  // tiles of one work item, at most
  const T* u_lanes;  // [tiles][I][K][L]: u packed for all passes, or null to pack it every time
  uint8_t* misfits;  // [slices] or null: 1 where numbers in the first pass need the fallback

  FASTCAPS_ALWAYS_INLINE int64_t blocks() const { return divide_up(size.inputs, block); }
  FASTCAPS_ALWAYS_INLINE int64_t slices() const { return divide_up(size.inputs, slice); }
};

// One pass over the input capsules. Tiles [tiles][J][D][L] unless said otherwise.
template <class T>
struct FusedPass {
  const T* agreement;  // V of this iteration
  T* sums;             // [slices][tiles][J][D][L]: of c u_hat, or in the backward pass of dl u_hat
  T* largest;          // [slices][tiles][J][L], forward over inputs
  T* total;            // [slices][tiles][J][L], forward over inputs
  const T* log_sum_exp;  // [tiles][J][2][L], over inputs where it is known
  const T* grad_s;       // ds of this iteration, backward
  const T* mean;         // sum of c u_hat, which is s without bias; backward over inputs
  T* coefficients;       // [blocks][tiles][J][block][L] or null: c, kept for the last pass
  T* logit_grads;        // the same of dl
};

// The last backward pass: du_hat = base + sum of terms coefficient * vector.
template <class T>
struct FusedGradients {
  int64_t first_iteration, last_iteration;  // with coefficients that are not uniform
  bool with_logits;                         // false where routing is detached
  const FusedPass<T>* passes;               // by iteration - first_iteration
  const T* base;                            // [tiles][J][D][L] or null: uniform coefficients
  void* grad_u;                             // [B][I][K] or null
  void* grad_weight;                        // [I][K][J][D] or null
  T* grad_prior;                            // [I][J] or null
};

// ---- Stored: lanes are input capsules of one sample ------------------------------------------

template <class T>
struct StoredProblem {
  Sizes size;  // in_dim unused
  Storage storage;
  const void* u_hat;  // [B][I][J][D]
  const T* prior;     // [I][J] or null
  bool over_inputs;
  int64_t slice;  // input capsules per partial sum

  FASTCAPS_ALWAYS_INLINE int64_t slices() const { return divide_up(size.inputs, slice); }
};

// As FusedPass, with one number per sample instead of lanes.
template <class T>
struct StoredPass {
  const T* agreement;    // [B][J][D]; null where coefficients are uniform
  T* sums;               // [slices][B][J][D]
  T* largest;            // [slices][B][J]
  T* total;              // [slices][B][J]
  const T* log_sum_exp;  // [B][J][2]
  const T* grad_s;       // [B][J][D]
  const T* mean;         // [B][J][D]
};

template <class T>
struct StoredGradients {
  int64_t first_iteration, last_iteration;
  bool with_logits;
  const StoredPass<T>* passes;
  const T* base;  // [B][J][D] or null
  Storage grad_storage;
  void* grad_u_hat;  // [B][I][J][D]
  T* grad_prior;     // [I][J] or null; set where an item covers the whole batch
};

// ---- The table ------------------------------------------------------------------------------

template <class T>
struct Kernels {
  int lanes;
  // The kernels for numbers that these cannot take in forward passes, or null if there are none.
  const Kernels* fallback;

  void (*widen)(Storage, const void* source, int64_t count, T* target);
  void (*narrow)(Storage, const T* source, int64_t count, void* target);
  void (*to_lanes)(
      Storage, const void* source, int64_t row_stride, int64_t rows, int64_t columns, T* tile);
  void (*from_lanes)(
      Storage, const T* tile, int64_t rows, int64_t columns, void* target, int64_t row_stride);

  // Tiles [D][L].
  void (*squash)(const T* s, int64_t dim, T* v);
  void (*squash_gradient)(const T* s, const T* grad_v, int64_t dim, T* grad_s);

  // Partial results of slices; see isa/combine.h.
  void (*combine_sums)(
      const T* partial, int64_t slices, int64_t slice_stride, int64_t count, T* target);
  void (*combine_online)(
      const T* partial, const T* largest, const T* total, int64_t slices, int64_t slice_stride,
      int64_t head_stride, int64_t dim, T* target, T* log_sum_exp);

  // Rows of one input capsule, u [samples][K] in T; scratch holds K * J * D numbers.
  void (*predict_capsule)(
      Storage, const T* u, const void* weight, Sizes, Storage out_storage, void* out,
      int64_t out_stride, T* scratch);
  // Gradients of one input capsule from grad [B] rows of J * D, grad_stride apart.
  int64_t (*predict_gradient_scratch)(Sizes);
  void (*predict_gradient)(
      Storage, const void* u, int64_t u_stride, const void* weight, Sizes, Storage grad_storage,
      const void* grad, int64_t grad_stride, void* grad_u, void* grad_weight, T* scratch);

  int64_t (*fused_scratch)(const FusedProblem<T>&, int64_t passes);
  void (*fused_pack)(const FusedProblem<T>&, int64_t tile, T* u_lanes);
  void (*fused_uniform)(
      const FusedProblem<T>&, T* sums, int64_t slice, int64_t tile, int64_t last_tile, T* scratch);
  void (*fused_forward)(
      const FusedProblem<T>&, const FusedPass<T>&, int64_t slice, int64_t tile, int64_t last_tile,
      T* scratch);
  void (*fused_coefficients)(
      const FusedProblem<T>&, const FusedPass<T>&, int64_t slice, int64_t tile, int64_t last_tile,
      void* coefficients, T* scratch);
  void (*fused_backward)(
      const FusedProblem<T>&, const FusedPass<T>&, int64_t slice, int64_t tile, int64_t last_tile,
      T* scratch);
  void (*fused_gradients)(
      const FusedProblem<T>&, const FusedGradients<T>&, int64_t block, T* scratch);

  int64_t (*stored_scratch)(const StoredProblem<T>&);
  void (*stored_forward)(
      const StoredProblem<T>&, const StoredPass<T>&, int64_t sample, int64_t slice, T* scratch);
  void (*stored_coefficients)(
      const StoredProblem<T>&, const StoredPass<T>&, int64_t sample, int64_t slice,
      Storage out_storage, void* coefficients, T* scratch);
  void (*stored_backward)(
      const StoredProblem<T>&, const StoredPass<T>&, int64_t sample, int64_t slice, T* scratch);
  void (*stored_gradients)(
      const StoredProblem<T>&, const StoredGradients<T>&, int64_t sample, int64_t last_sample,
      int64_t slice, T* scratch);
};

// The table of the best instruction set this machine has, for tiles out of `rows` rows.
template <class T>
const Kernels<T>& kernels(int64_t rows);

// "amx", "avx512", "avx2" or "portable": what kernels() uses on this machine.
const char* instruction_set();

}  // namespace fastcaps
