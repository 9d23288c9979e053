// What the functions called from Python share: errors as text, and the order of threads.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "gpu.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// Python's order of threads: 0 forward, 1 backward, above that a seed to shuffle with.
inline void set_order(gpu::Launch& launch, int order) {
  launch.order = order < 2 ? static_cast<gpu::Order>(order) : gpu::Order::kShuffled;
  launch.seed = order;
}

// Runs a kernel in so many blocks and threads, these in the order of another launch.
template <class F>
void launch(
    const gpu::Launch& order, int64_t x, int64_t y, int threads, int64_t bytes, const F& kernel) {
  gpu::Launch launch = order;
  launch.blocks.x = static_cast<unsigned>(x);
  launch.blocks.y = static_cast<unsigned>(y);
  launch.threads.x = static_cast<unsigned>(threads);
  launch.shared_bytes = static_cast<size_t>(bytes);
  gpu::run(launch, kernel);
}

// Calls work(); its error as text that lives until the next call, or null.
template <class F>
const char* error_of(const F& work) {
  static std::string message;
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}
