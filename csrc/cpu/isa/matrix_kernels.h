// The kernels that matrix products replace. They leave to those of AVX-512 what has a shape that
// does not suit them, and say where numbers do not.
#pragma once

#include "matrix_routing.h"

namespace fastcaps::avx512 {
extern const Kernels<float> kFloatNarrow, kFloatWide;
}

namespace fastcaps::FASTCAPS_ISA {

template <int NV>
const Kernels<float>& vector_kernels() {
  return NV == 1 ? avx512::kFloatNarrow : avx512::kFloatWide;
}

// Smaller batches do not pay for the packing of the weights, which have to fit a private cache.
inline bool shape_fits(const Sizes& size) {
  constexpr int64_t kLeastBatch = 64, kMostColumns = 1024;
  return size.batch >= kLeastBatch && size.columns() <= kMostColumns &&
         size.dim % kMatrixRows == 0 && size.in_dim > 1 && kMatrixDepth % size.in_dim == 0;
}

template <int NV>
int64_t fused_scratch(const FusedProblem<float>& p, int64_t passes) {
  const int64_t vectors = vector_kernels<NV>().fused_scratch(p, passes);
  if (passes > 0 || !shape_fits(p.size)) return vectors;
  const int64_t matrices = MatrixScratch(p, NV * kSamples, nullptr).total;
  return matrices > vectors ? matrices : vectors;
}

// The block's u as lanes [count * K][L].
template <int NV>
const float* u_of(
    const FusedProblem<float>& p, const MatrixBlock& block, int64_t tile, float* scratch) {
  constexpr int64_t lanes = NV * kSamples;
  const int64_t row = p.size.inputs * p.size.in_dim, at = block.first * p.size.in_dim;
  if (p.u_lanes) return p.u_lanes + (tile * row + at) * lanes;
  const int64_t left = p.size.batch - tile * lanes;
  to_lanes_storage<float, NV>(
      p.storage, element<float>(p.storage, p.u, tile * lanes * row + at), row,
      left < lanes ? left : lanes, block.count * p.size.in_dim, scratch);
  return scratch;
}

// Packs the slice's weights block by block, and calls add(in_dim, block, u, tile, v, sums) for
// every block, tile and 16 samples of it. Notes where numbers cannot be split.
template <int NV, class ROUTING, class F>
void for_matrix_blocks(
    const ROUTING& routing, float* sums, int64_t slice, int64_t tile, int64_t last_tile,
    const F& add) {
  constexpr int64_t lanes = NV * kSamples;
  const FusedProblem<float>& p = routing.p;
  const int64_t tile_size = p.size.columns() * lanes;
  sums += slice * p.tiles * tile_size;
  for (int64_t n = tile * tile_size; n < last_tile * tile_size; n++) sums[n] = 0;
  const int64_t end = (slice + 1) * p.slice < p.size.inputs ? (slice + 1) * p.slice : p.size.inputs;
  Bits32 largest_weight{}, largest_u{};
  for (int64_t first = slice * p.slice; first < end; first += routing.inputs) {
    const MatrixBlock block = routing.block_at(first, end);
    routing.pack(block, routing.weight_of(block), largest_weight);
    for (int64_t t = tile; t < last_tile; t++) {
      const float* u = u_of<NV>(p, block, t, routing.scratch.u);
      const int64_t count = p.misfits ? block.count * p.size.in_dim * lanes : 0;
      for (int64_t n = 0; n < count; n += kWidth<float>) {
        largest_u = maximum(magnitude(load(u + n)), largest_u);
      }
      for (int64_t v = 0; v < NV && t * lanes + v * kSamples < p.size.batch; v++) {
        float* target = sums + t * tile_size + v * kSamples;
        if (p.size.in_dim == 8) {
          add(Constant<8>(), block, u + v * kSamples, t, v, target);
        } else {
          add(Constant<0>(), block, u + v * kSamples, t, v, target);
        }
      }
    }
  }
  const bool fits = splits(largest_weight) && splits(largest_u);
  if (p.misfits && !fits) __atomic_store_n(p.misfits + slice, uint8_t{1}, __ATOMIC_RELAXED);
}

template <int NV, int TERMS>
void add_uniform(
    const FusedProblem<float>& p, float* sums, int64_t slice, int64_t tile, int64_t last_tile,
    float* memory) {
  const MatrixScratch scratch(p, NV * kSamples, memory);
  const MatrixRegisters registers;
  const MatrixSums<NV, TERMS> routing{p, scratch};
  for_matrix_blocks<NV>(
      routing, sums, slice, tile, last_tile,
      [&](auto in_dim, const MatrixBlock& block, const float* u, int64_t, int64_t, float* target) {
        routing.template add_uniform<decltype(in_dim)::value>(block, u, target);
      });
}

template <int NV, bool WHOLE>
void route(
    const FusedProblem<float>& p, const FusedPass<float>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, float* memory) {
  constexpr int64_t lanes = NV * kSamples;
  const MatrixScratch scratch(p, lanes, memory);
  const MatrixRegisters registers;
  const MatrixRouting<NV, WHOLE> routing{{p, scratch}};
  for (int64_t t = tile; t < last_tile; t++) {
    for (int64_t v = 0; v < NV; v++) {
      pack_agreement_vectors<WHOLE>(
          pass.agreement + t * p.size.columns() * lanes + v * kSamples, lanes, p.size.outputs,
          p.size.dim, routing.vectors_of(t - tile, v));
    }
  }
  for_matrix_blocks<NV>(
      routing, pass.sums, slice, tile, last_tile,
      [&](auto in_dim, const MatrixBlock& block, const float* u, int64_t t, int64_t v,
          float* target) {
        routing.template route<decltype(in_dim)::value>(
            block, u, routing.vectors_of(t - tile, v), target);
      });
}

template <int NV>
void fused_uniform(
    const FusedProblem<float>& p, float* sums, int64_t slice, int64_t tile, int64_t last_tile,
    float* memory) {
  const bool one_term = p.storage == Storage::kBFloat16;
  const auto add = !shape_fits(p.size) ? vector_kernels<NV>().fused_uniform
                   : one_term          ? add_uniform<NV, 1>
                                       : add_uniform<NV, 3>;
  add(p, sums, slice, tile, last_tile, memory);
}

template <int NV>
void fused_forward(
    const FusedProblem<float>& p, const FusedPass<float>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, float* memory) {
  const bool fits = p.storage == Storage::kBFloat16 && !p.over_inputs && shape_fits(p.size);
  const auto add = !fits                            ? vector_kernels<NV>().fused_forward
                   : p.size.dim % kMatrixDepth == 0 ? route<NV, true>
                                                    : route<NV, false>;
  add(p, pass, slice, tile, last_tile, memory);
}

// The kernels of AVX-512 with those of this file in their place.
template <int NV>
Kernels<float> matrix_kernels() {
  Kernels<float> kernels = vector_kernels<NV>();
  kernels.fallback = &vector_kernels<NV>();
  kernels.fused_scratch = fused_scratch<NV>;
  kernels.fused_uniform = fused_uniform<NV>;
  kernels.fused_forward = fused_forward<NV>;
  return kernels;
}

}  // namespace fastcaps::FASTCAPS_ISA
