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

// Whether all of the tile's u [count][L] may be split.
inline bool u_splits(const float* u, int64_t count) {
  Bits32 largest{};
  for (int64_t n = 0; n < count; n += kWidth<float>)
    largest = maximum(magnitude(load(u + n)), largest);
  return splits(largest);
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

// Sums of a slice for tiles [tile, last_tile), with coefficients from the agreement, or 1 where
// it is null.
template <int NV, int TERMS, bool WHOLE>
void add_slice(
    const FusedProblem<float>& p, const float* agreement, float* sums, int64_t slice, int64_t tile,
    int64_t last_tile, float* memory) {
  constexpr int64_t lanes = NV * kSamples;
  const MatrixScratch scratch(p, lanes, memory);
  const MatrixRouting<NV, TERMS, WHOLE> routing{p, scratch};
  const MatrixRegisters registers;
  const int64_t tile_size = p.size.columns() * lanes;
  sums += slice * p.tiles * tile_size;
  for (int64_t n = tile * tile_size; n < last_tile * tile_size; n++) sums[n] = 0;
  for (int64_t t = tile; agreement && t < last_tile; t++) {
    for (int64_t v = 0; v < NV; v++) {
      pack_agreement_vectors<TERMS, WHOLE>(
          agreement + t * tile_size + v * kSamples, lanes, p.size.outputs, p.size.dim,
          routing.vectors_of(t - tile, v));
    }
  }
  const int64_t end = (slice + 1) * p.slice < p.size.inputs ? (slice + 1) * p.slice : p.size.inputs;
  Bits32 largest_weight{};
  bool all_split = true;
  for (int64_t first = slice * p.slice; first < end; first += routing.inputs) {
    const MatrixBlock block = routing.take_block(first, end, agreement, largest_weight);
    for (int64_t t = tile; t < last_tile; t++) {
      const float* u = u_of<NV>(p, block, t, scratch.u);
      if (p.misfits) all_split &= u_splits(u, block.count * p.size.in_dim * lanes);
      for (int64_t v = 0; v < NV && t * lanes + v * kSamples < p.size.batch; v++) {
        float* target = sums + t * tile_size + v * kSamples;
        const auto add = [&](auto in_dim) {
          constexpr int K = decltype(in_dim)::value;
          if (agreement) {
            routing.template route_block<K>(
                block, u + v * kSamples, routing.vectors_of(t - tile, v), target);
          } else {
            routing.template add_uniform<K>(block, u + v * kSamples, target);
          }
        };
        if (p.size.in_dim == 8) {
          add(Constant<8>());
        } else {
          add(Constant<0>());
        }
      }
    }
  }
  all_split &= splits(largest_weight);
  if (p.misfits && !all_split) __atomic_store_n(p.misfits + slice, uint8_t{1}, __ATOMIC_RELAXED);
}

template <int NV>
void add_slice(
    const FusedProblem<float>& p, const float* agreement, float* sums, int64_t slice, int64_t tile,
    int64_t last_tile, float* memory) {
  const bool whole = p.size.dim % kMatrixDepth == 0, one_term = p.storage == Storage::kBFloat16;
  const auto add = one_term ? (whole ? add_slice<NV, 1, true> : add_slice<NV, 1, false>)
                            : (whole ? add_slice<NV, 3, true> : add_slice<NV, 3, false>);
  add(p, agreement, sums, slice, tile, last_tile, memory);
}

template <int NV>
void fused_uniform(
    const FusedProblem<float>& p, float* sums, int64_t slice, int64_t tile, int64_t last_tile,
    float* memory) {
  if (!shape_fits(p.size)) {
    return vector_kernels<NV>().fused_uniform(p, sums, slice, tile, last_tile, memory);
  }
  add_slice<NV>(p, nullptr, sums, slice, tile, last_tile, memory);
}

template <int NV>
void fused_forward(
    const FusedProblem<float>& p, const FusedPass<float>& pass, int64_t slice, int64_t tile,
    int64_t last_tile, float* memory) {
  if (p.over_inputs || !shape_fits(p.size)) {
    return vector_kernels<NV>().fused_forward(p, pass, slice, tile, last_tile, memory);
  }
  add_slice<NV>(p, pass.agreement, pass.sums, slice, tile, last_tile, memory);
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
