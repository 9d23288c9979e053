// What the CPU's operators share: parameters, threads.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "../tensors.h"
#include "kernels.h"

namespace fastcaps {

// An optional [J, D] or [I, J] parameter as T, or null.
template <class T>
class Parameter {
 public:
  explicit Parameter(const std::optional<Tensor>& tensor) {
    if (!tensor) return;
    const Tensor contiguous = torch::stable::contiguous(*tensor);
    values_.resize(contiguous.numel());
    kernels<T>(1).widen(
        storage_of(contiguous), contiguous.const_data_ptr(), contiguous.numel(), values_.data());
  }

  const T* get() const { return values_.empty() ? nullptr : values_.data(); }

 protected:
  std::vector<T> values_;
};

// The initial logits. Softmax over inputs takes no notice of a shift per output capsule, so each
// column is shifted to the maximum 0: large priors then cost no precision.
template <class T>
class Prior : public Parameter<T> {
 public:
  Prior(const std::optional<Tensor>& tensor, const Sizes& size, bool over_inputs)
      : Parameter<T>(tensor) {
    if (!tensor || !over_inputs) return;
    for (int64_t j = 0; j < size.outputs; j++) {
      T* column = this->values_.data() + j;
      T largest = column[0];
      for (int64_t i = 1; i < size.inputs; i++) {
        largest = std::max(largest, column[i * size.outputs]);
      }
      for (int64_t i = 0; i < size.inputs; i++) column[i * size.outputs] -= largest;
    }
  }
};

// Calls work(item, scratch) for items [0, count) on torch's threads; every thread has its own
// scratch of `scratch_size` numbers. `cost` is roughly how many operations an item takes: small
// work stays on one thread, where it ends before another would have started.
template <class T, class F>
void parallel_items(int64_t count, int64_t cost, int64_t scratch_size, const F& work) {
  constexpr int64_t kWorthAThread = 1 << 16;
  const int64_t grain = divide_up(kWorthAThread, std::max<int64_t>(cost, 1));
  torch::stable::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    const size_t bytes = divide_up(scratch_size * sizeof(T) + 64, 64) * 64;
    std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(64, bytes), &std::free);
    if (!memory) throw std::bad_alloc();
    for (int64_t item = begin; item < end; item++) work(item, static_cast<T*>(memory.get()));
  });
}

// Tiles per work item. Tiles of one item share the weights in cache, so they are many, as long as
// every thread still has several items and the sums of all tiles stay in a private cache.
inline int64_t tiles_together(int64_t tiles, int64_t slices, int64_t bytes_per_tile) {
  constexpr int64_t kPrivateCache = 512 * 1024;
  const int64_t wanted = 4 * static_cast<int64_t>(torch::stable::get_num_threads());
  int64_t together = std::min(tiles, std::max<int64_t>(1, kPrivateCache / bytes_per_tile));
  while (together > 1 && slices * divide_up(tiles, together) < wanted) {
    together = divide_up(together, 2);
  }
  return together;
}

}  // namespace fastcaps
