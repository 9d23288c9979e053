// Products of matrices without tensor cores, for layers of sizes and types that these do not take.
#pragma once

#include "../products.cuh"

namespace fastcaps::cuda::any_sizes {

constexpr int kTileRows = 64;
constexpr int kNear = 4;  // rows and columns of a tile that a thread sums up: 4 x 4

// Columns of a tile that so many are done in.
inline int tile_columns(int64_t count) { return count <= 16 ? 16 : 32; }

// Calls f with that number as a constant.
template <class F>
void with_tile_columns(int64_t count, const F& f) {
  if (tile_columns(count) == 16) return f(Constant<16>());
  f(Constant<32>());
}

// A block's tile of 64 x COLUMNS sums of products, computed as T.
template <class T, int COLUMNS>
class TileProduct {
  static constexpr int kDepth = 16;  // of what is in shared memory at a time
  // So many products are added up, then their sums: float32 loses accuracy with longer ones.
  static constexpr int kLongestSum = 256;
  // Numbers that lanes store at a time lie along the depth, so that rows must not end in one bank.
  static constexpr int kLeftRow = kTileRows + kNear;
  static constexpr int kRightRow = COLUMNS + kNear;

 public:
  static constexpr int kThreads = kTileRows / kNear * (COLUMNS / kNear);
  static constexpr int kSharedNumbers = kDepth * (kLeftRow + kRightRow);
  static constexpr int64_t kSharedBytes = kSharedNumbers * static_cast<int64_t>(sizeof(T));
  typedef T Sums[kNear][kNear];

  // The first of a thread's rows and columns.
  const int row, column;

  __device__ __forceinline__ TileProduct()
      : row(static_cast<int>(threadIdx.x) / (COLUMNS / kNear) * kNear),
        column(static_cast<int>(threadIdx.x) % (COLUMNS / kNear) * kNear) {}

  // sums += left right, over first <= n < end, where neighbours in memory are of neighbouring n
  // (*_ALONG_DEPTH) or of neighbouring rows or columns. A thread loads numbers of one n, or of one
  // row or column: left(n)(row) and right(n)(column), or left(row)(n) and right(column)(n). All
  // threads must call it; others may use shared memory again after a barrier.
  template <bool LEFT_ALONG_DEPTH, bool RIGHT_ALONG_DEPTH, class L, class R>
  __device__ __forceinline__ void add(
      int first, int end, const L& left, const R& right, Sums& sums) {
    for (; first < end; first += kDepth) {
      __syncthreads();  // what was in shared memory is not needed any more
      fill<kTileRows, LEFT_ALONG_DEPTH>(numbers(), first, end, left);
      fill<COLUMNS, RIGHT_ALONG_DEPTH>(numbers() + kDepth * kLeftRow, first, end, right);
      __syncthreads();
      multiply(sums);
    }
  }

  // The same over all n < depth, of which there may be many.
  template <bool LEFT_ALONG_DEPTH, bool RIGHT_ALONG_DEPTH, class L, class R>
  __device__ __forceinline__ void add_long(int depth, const L& left, const R& right, Sums& sums) {
    for (int first = 0; first < depth;) {
      const int end = depth - first < kLongestSum ? depth : first + kLongestSum;
      Sums some = {};
      add<LEFT_ALONG_DEPTH, RIGHT_ALONG_DEPTH>(first, end, left, right, some);
      first = end;
#pragma unroll
      for (int m = 0; m < kNear; m++) {
#pragma unroll
        for (int n = 0; n < kNear; n++) sums[m][n] += some[m][n];
      }
    }
  }

  __device__ __forceinline__ static T* numbers() { return reinterpret_cast<T*>(shared_numbers()); }

 private:
  // COUNT rows or columns, each `COUNT + kNear` from the next n; 0 from the end on.
  template <int COUNT, bool ALONG_DEPTH, class F>
  __device__ __forceinline__ static void fill(T* target, int first, int end, const F& numbers_of) {
    constexpr int kStride = COUNT + kNear, kNeighbours = ALONG_DEPTH ? kDepth : COUNT;
    constexpr int kStep = kThreads / kNeighbours, kEach = COUNT * kDepth / kThreads;
    static_assert(kThreads % kNeighbours == 0, "a thread stays with its n, row or column");
    const int fixed = static_cast<int>(threadIdx.x) % kNeighbours;
    const int start = static_cast<int>(threadIdx.x) / kNeighbours;
    if constexpr (ALONG_DEPTH) {
      const bool exists = first + fixed < end;
      const auto numbers = numbers_of(first + fixed);
#pragma unroll 4
      for (int m = 0; m < kEach; m++) {
        const int at = start + m * kStep;
        target[fixed * kStride + at] = exists ? numbers(at) : T(0);
      }
    } else {
      const auto numbers = numbers_of(fixed);
#pragma unroll 4
      for (int m = 0; m < kEach; m++) {
        const int n = start + m * kStep;
        target[n * kStride + fixed] = first + n < end ? numbers(first + n) : T(0);
      }
    }
  }

  __device__ __forceinline__ void multiply(Sums& sums) const {
    const T* left = numbers() + row;
    const T* right = numbers() + kDepth * kLeftRow + column;
#pragma unroll
    for (int step = 0; step < kDepth; step++) {
      T a[kNear], b[kNear];
      load_numbers(left + step * kLeftRow, a);
      load_numbers(right + step * kRightRow, b);
#pragma unroll
      for (int m = 0; m < kNear; m++) {
#pragma unroll
        for (int n = 0; n < kNear; n++) sums[m][n] += a[m] * b[n];
      }
    }
  }
};

}  // namespace fastcaps::cuda::any_sizes
