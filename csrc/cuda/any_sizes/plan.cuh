// How a layer of any sizes is cut up: so many samples at a time that what is kept of every pair of
// capsules takes little memory, and partial sums such that there is work for the whole GPU.
#pragma once

#include <algorithm>

#include "tile_product.cuh"

namespace fastcaps::cuda::any_sizes {

// What is kept of pairs may take this part of what prediction vectors would.
constexpr int64_t kPartOfPredictions = 20;

struct Plan {
  int64_t part;    // samples
  int64_t slice;   // input capsules of a partial sum
  int64_t slices;  // of all input capsules
};

// Samples at a time: as many as `most` allows, in parts of about one size, of whole tiles if these
// fit.
inline int64_t part_of_batch(int64_t batch, int64_t most) {
  if (most >= batch) return batch;
  most = std::max<int64_t>(1, most >= kTileRows ? most / kTileRows * kTileRows : most);
  const int64_t even = divide_up(batch, divide_up(batch, most));
  return most < kTileRows ? even : divide_up(even, kTileRows) * kTileRows;
}

// `bytes`: what is kept of a pair of capsules and a sample; `stored`: what a number of a prediction
// vector would take; `workspace`: what all that is kept of pairs may take of any layer. What is
// kept of one sample takes what it needs.
inline Plan plan_of(
    const Sizes& size, int64_t bytes, int64_t stored, int processors, int64_t workspace) {
  const int64_t of_sample = size.inputs * size.outputs;
  const int64_t predictions = size.batch * of_sample * size.dim * stored;
  const int64_t granted = std::max(workspace, predictions / kPartOfPredictions);
  const int64_t kept = std::max<int64_t>(1, bytes);
  const int64_t part = part_of_batch(size.batch, granted / (of_sample * kept));
  const int64_t blocks =
      divide_up(part, kTileRows) * size.outputs * divide_up(size.dim, tile_columns(size.dim));
  const int64_t wanted = std::max<int64_t>(1, 2 * processors / blocks);
  const int64_t slice = divide_up(size.inputs, std::min(wanted, size.inputs));
  return {part, slice, divide_up(size.inputs, slice)};
}

}  // namespace fastcaps::cuda::any_sizes
