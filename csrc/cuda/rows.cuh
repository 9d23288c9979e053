// Rows of a matrix shared out to the lanes of warps: several short rows to a warp, or one long row.
#pragma once

#include "../sizes.h"
#include "instructions.cuh"

namespace fastcaps::cuda {

// The type that numbers stored as S are computed in.
template <class S>
struct ComputeType {
  typedef float type;
};
template <>
struct ComputeType<double> {
  typedef double type;
};
template <class S>
using Compute = typename ComputeType<S>::type;

// COUNT neighbouring numbers, which one instruction loads or stores.
template <class S, int COUNT>
struct alignas(COUNT * sizeof(S)) Chunk {
  S values[COUNT];
};

template <class S>
constexpr int kWidestChunk = 16 / static_cast<int>(sizeof(S));

// 2^bits threads to each row.
struct RowLaunch {
  static constexpr int kThreads = 256;

  bool wide;  // chunks of 16 bytes, else single numbers
  bool held;  // a row has at most one chunk for each lane
  int bits;
  int64_t blocks;
};

// `aligned`: all rows start at a multiple of 16 bytes, if `dim` is a whole number of chunks.
inline RowLaunch plan_rows(int64_t rows, int64_t dim, int widest_chunk, bool aligned) {
  const bool wide = aligned && dim % widest_chunk == 0;
  const int64_t chunks = wide ? dim / widest_chunk : dim;
  int bits = 0;
  while (bits < 5 && (int64_t{1} << bits) < chunks) bits++;
  const bool held = chunks <= (int64_t{1} << bits);
  return {wide, held, bits, divide_up(rows, RowLaunch::kThreads >> bits)};
}

// Calls f(chunk, held) with the numbers of a chunk and whether it is held, as constants.
template <class S, class F>
void with_row(const RowLaunch& plan, const F& f) {
  if (plan.wide && plan.held) return f(Constant<kWidestChunk<S>>(), Constant<true>());
  if (plan.wide) return f(Constant<kWidestChunk<S>>(), Constant<false>());
  if (plan.held) return f(Constant<1>(), Constant<true>());
  f(Constant<1>(), Constant<false>());
}

// Calls f with a number of the type that is stored so.
template <class F>
void with_storage(Storage storage, const F& f) {
  switch (storage) {
    case Storage::kFloat32:
      return f(float());
    case Storage::kFloat64:
      return f(double());
    case Storage::kFloat16:
      return f(Half());
    case Storage::kBFloat16:
      return f(BFloat16());
  }
}

// Calls f(zero, plan, chunk, held) for rows of numbers stored so: a number of their type, how the
// rows are shared out, and the constants of with_row.
template <class F>
void with_rows(Storage storage, int64_t rows, int64_t dim, bool aligned, const F& f) {
  with_storage(storage, [&](auto zero) {
    using S = decltype(zero);
    const RowLaunch plan = plan_rows(rows, dim, kWidestChunk<S>, aligned);
    with_row<S>(plan, [&](auto chunk, auto held) { f(zero, plan, chunk, held); });
  });
}

// This thread's share of a row of `chunks` chunks: every `lanes`-th. Rows that do not exist are
// empty, since their threads still have to take part in sums.
struct RowShare {
  int64_t row;
  int lane, lanes;
  int64_t chunks;

  // `bits` of the thread number tell the lane apart.
  __device__ __forceinline__ RowShare(int64_t rows, int64_t dim, int chunk, int bits)
      : row((static_cast<int64_t>(blockIdx.x) * RowLaunch::kThreads + threadIdx.x) >> bits),
        lane(static_cast<int>(threadIdx.x) & ((1 << bits) - 1)),
        lanes(1 << bits),
        chunks(row < rows ? dim / chunk : 0) {}
};

// A row of numbers. HELD: this thread's chunk stays in registers, else it is loaded for each use.
template <class S, int COUNT, bool HELD>
class Row {
 public:
  typedef Compute<S> T;

  __device__ __forceinline__ Row(const RowShare& share, const S* matrix)
      : share_(share),
        start_(
            reinterpret_cast<const Chunk<S, COUNT>*>(matrix + share.row * share.chunks * COUNT)) {
    if (HELD && share.lane < share.chunks) load(share.lane, held_);
  }

  // Calls f(values, index of the chunk) for each chunk of this thread.
  template <class F>
  __device__ __forceinline__ void each(const F& f) const {
    if constexpr (HELD) {
      if (share_.lane < share_.chunks) f(held_, share_.lane);
    } else {
      for (int64_t n = share_.lane; n < share_.chunks; n += share_.lanes) {
        T values[COUNT];
        load(n, values);
        f(values, n);
      }
    }
  }

  // Chunk n of this row.
  __device__ __forceinline__ void load(int64_t n, T (&values)[COUNT]) const {
    const Chunk<S, COUNT> chunk = start_[n];
#pragma unroll
    for (int m = 0; m < COUNT; m++) values[m] = widen(chunk.values[m]);
  }

  // Chunk n of the same row of another matrix, in registers or loaded.
  __device__ __forceinline__ const T (&at(int64_t n, T (&room)[COUNT]) const)[COUNT] {
    if constexpr (HELD) {
      return held_;
    } else {
      load(n, room);
      return room;
    }
  }

 private:
  const RowShare& share_;
  const Chunk<S, COUNT>* start_;
  T held_[COUNT] = {};
};

template <class S, int COUNT>
__device__ __forceinline__ void store_chunk(
    const RowShare& share, int64_t n, const Compute<S> (&values)[COUNT], S* matrix) {
  Chunk<S, COUNT> chunk;
#pragma unroll
  for (int m = 0; m < COUNT; m++) narrow(values[m], chunk.values[m]);
  reinterpret_cast<Chunk<S, COUNT>*>(matrix + share.row * share.chunks * COUNT)[n] = chunk;
}

// The sum of `value` over the lanes of a row, the same bits in every lane.
template <class T>
__device__ __forceinline__ T sum_of_row(T value, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) value += lane_xor(value, mask);
  return value;
}

template <class T>
__device__ __forceinline__ T largest_of_row(T value, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    const T other = lane_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace fastcaps::cuda
