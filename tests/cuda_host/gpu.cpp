#include "gpu.h"

#include <setjmp.h>
#include <ucontext.h>

#include <deque>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace gpu {
namespace {

constexpr size_t kStackBytes = 128 * 1024;
constexpr size_t kFenceBytes = 4096;               // behind shared memory
constexpr char kPoison = static_cast<char>(0xff);  // NaN, as any floating number

enum class State { kReady, kAtBarrier, kInExchange, kEnded };

struct Copy {
  void* target;
  const void* source;  // null for zeros
};

// A fiber goes on by _longjmp, which unlike swapcontext asks nothing of the system.
struct Thread {
  ucontext_t start;
  bool started = false;
  jmp_buf context;
  Size3 index;
  int number = 0;
  int exchanges = 0;
  State state = State::kReady;
  std::deque<std::vector<Copy>> copies{{}};  // in groups, the last of which is open
};

// Slots alternate: a lane that is already in the next exchange leaves those of this one alone.
struct Warp {
  char slots[2][kLanes][kSlotBytes];
  const char* name = nullptr;
  int arrived = 0;
};

struct Block {
  Size3 index;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<char> shared;
  std::vector<uint64_t> ready;  // a bit for each thread
  int at_barrier = 0, ended = 0;

  void change(Thread& thread, State state) {
    count(thread.state, -1);
    if (thread.state == State::kReady) ready[thread.number / 64] &= ~bit(thread);
    thread.state = state;
    count(state, 1);
    if (state == State::kReady) ready[thread.number / 64] |= bit(thread);
  }

 private:
  static uint64_t bit(const Thread& thread) { return uint64_t{1} << thread.number % 64; }

  void count(State state, int change) {
    if (state == State::kAtBarrier) at_barrier += change;
    if (state == State::kEnded) ended += change;
  }
};

struct Running {
  const Launch* launch;
  const std::function<void()>* kernel;
  Block* block;
  Thread* thread = nullptr;
  jmp_buf scheduler;
  std::exception_ptr error;
  std::mt19937 random;
};

Running* running = nullptr;

void yield(State state) {
  Thread& thread = *running->thread;
  running->block->change(thread, state);
  if (_setjmp(thread.context) == 0) _longjmp(running->scheduler, 1);
}

// Runs a thread until it waits or ends. A frame of its own, since jumps leave variables undefined.
__attribute__((noinline)) void resume(Thread& thread) {
  running->thread = &thread;
  if (_setjmp(running->scheduler) != 0) return;
  if (thread.started) _longjmp(thread.context, 1);
  thread.started = true;
  setcontext(&thread.start);
}

void start_thread() {
  try {
    (*running->kernel)();
  } catch (...) {
    if (!running->error) running->error = std::current_exception();
  }
  yield(State::kEnded);
}

// The n-th of the threads that are ready.
Thread& nth_ready(Block& block, int n) {
  for (size_t word = 0;; word++) {
    uint64_t bits = block.ready[word];
    const int count = __builtin_popcountll(bits);
    if (n >= count) {
      n -= count;
      continue;
    }
    for (; n > 0; n--) bits &= bits - 1;
    return block.threads[64 * word + __builtin_ctzll(bits)];
  }
}

// The next thread to run, or null if all wait.
Thread* next_thread(Block& block) {
  int count = 0;
  for (uint64_t word : block.ready) count += __builtin_popcountll(word);
  if (count == 0) return nullptr;
  switch (running->launch->order) {
    case Order::kForward:
      return &nth_ready(block, 0);
    case Order::kBackward:
      return &nth_ready(block, count - 1);
    default:
      return &nth_ready(block, static_cast<int>(running->random() % count));
  }
}

// Lets all go on that wait at the barrier; false where threads wait for what never comes.
bool open_barrier(Block& block) {
  const int size = static_cast<int>(block.threads.size());
  if (block.at_barrier == 0 || block.at_barrier + block.ended < size) return false;
  for (Thread& thread : block.threads) {
    if (thread.state == State::kAtBarrier) block.change(thread, State::kReady);
  }
  return true;
}

std::string whom_all_wait_for(const Block& block) {
  std::string text = "block (" + std::to_string(block.index.x) + ", " +
                     std::to_string(block.index.y) + ", " + std::to_string(block.index.z) +
                     "): " + std::to_string(block.at_barrier) + " threads wait at the barrier, " +
                     std::to_string(block.ended) + " have ended";
  for (size_t n = 0; n < block.warps.size(); n++) {
    const Warp& warp = block.warps[n];
    if (warp.arrived == 0) continue;
    text += ", " + std::to_string(warp.arrived) + " lanes of warp " + std::to_string(n) +
            " wait in " + warp.name;
  }
  return text;
}

void run_block(Block& block, char* stacks) {
  for (Thread& thread : block.threads) {
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = stacks + thread.number * kStackBytes;
    thread.start.uc_stack.ss_size = kStackBytes;
    thread.start.uc_link = nullptr;
    makecontext(&thread.start, start_thread, 0);
  }
  running->block = &block;
  while (block.ended < static_cast<int>(block.threads.size())) {
    Thread* thread = next_thread(block);
    if (!thread && open_barrier(block)) continue;
    if (!thread) throw std::runtime_error(whom_all_wait_for(block));
    resume(*thread);
    if (running->error) std::rethrow_exception(running->error);
  }
}

}  // namespace

void run(const Launch& launch, const std::function<void()>& kernel) {
  const int size = static_cast<int>(launch.threads.x * launch.threads.y * launch.threads.z);
  if (size % kLanes != 0) throw std::runtime_error("a block must be whole warps");
  if (launch.shared_bytes > kMostSharedBytes) {
    throw std::runtime_error(
        "no GPU has " + std::to_string(launch.shared_bytes) + " bytes of shared memory");
  }
  const std::unique_ptr<char[]> stacks(new char[size * kStackBytes]);
  Running now{&launch, &kernel, nullptr, nullptr, {}, nullptr, std::mt19937(launch.seed)};
  running = &now;
  for (unsigned z = 0; z < launch.blocks.z; z++) {
    for (unsigned y = 0; y < launch.blocks.y; y++) {
      for (unsigned x = 0; x < launch.blocks.x; x++) {
        Block block;
        block.index = {x, y, z};
        block.threads.resize(size);
        block.ready.resize((size + 63) / 64);
        for (int n = 0; n < size; n++) {
          const unsigned number = n, width = launch.threads.x, height = launch.threads.y;
          block.threads[n].number = n;
          block.threads[n].index = {
              number % width, number / width % height, number / width / height};
          block.change(block.threads[n], State::kReady);
        }
        block.warps.resize(size / kLanes);
        block.shared.assign(launch.shared_bytes + kFenceBytes, kPoison);
        run_block(block, stacks.get());
        for (size_t n = launch.shared_bytes; n < block.shared.size(); n++) {
          if (block.shared[n] != kPoison) throw std::runtime_error("shared memory is too small");
        }
      }
    }
  }
  running = nullptr;
}

const Size3& thread_index() { return running->thread->index; }
const Size3& block_index() { return running->block->index; }
const Launch& launch() { return *running->launch; }
void* shared_memory() { return running->block->shared.data(); }
void wait_for_block() { yield(State::kAtBarrier); }

const char (*exchange(const char* name, const void* value, size_t bytes))[kSlotBytes] {
  Thread& thread = *running->thread;
  const int first = thread.number / kLanes * kLanes;
  Warp& warp = running->block->warps[first / kLanes];
  if (warp.arrived > 0 && strcmp(warp.name, name) != 0) {
    throw std::runtime_error(std::string("lanes of a warp meet in ") + warp.name + " and " + name);
  }
  char (*slots)[kSlotBytes] = warp.slots[thread.exchanges++ % 2];
  memcpy(slots[thread.number - first], value, bytes);
  warp.name = name;
  if (++warp.arrived < kLanes) {
    yield(State::kInExchange);
  } else {
    warp.arrived = 0;
    for (int n = first; n < first + kLanes; n++) {
      Thread& other = running->block->threads[n];
      if (other.state == State::kInExchange) running->block->change(other, State::kReady);
    }
  }
  return slots;
}

void copy_later(void* shared, const void* source, bool exists) {
  if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(source)) % 16 != 0) {
    throw std::runtime_error("a copy of 16 bytes is not aligned to them");
  }
  memset(shared, kPoison, 16);
  running->thread->copies.back().push_back({shared, exists ? source : nullptr});
}

void end_group_of_copies() { running->thread->copies.emplace_back(); }

void wait_for_groups(int left) {
  auto& copies = running->thread->copies;
  for (; static_cast<int>(copies.size()) > left + 1; copies.pop_front()) {
    for (const Copy& copy : copies.front()) {
      if (copy.source) {
        memcpy(copy.target, copy.source, 16);
      } else {
        memset(copy.target, 0, 16);
      }
    }
  }
}

}  // namespace gpu

namespace fastcaps::cuda {
namespace {

float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

float upper_bits(float x) { return from_bits(to_bits(x) & ~0x1fffu); }

// To the next float towards 0, which is how tensor cores end a sum.
static float truncated(double x) {
  const float nearest = static_cast<float>(x);
  return fabs(nearest) > fabs(x) ? nextafterf(nearest, 0.0f) : nearest;
}

void multiply_tf32(float (&sums)[4], const float (&a)[4], const float (&b)[2]) {
  float mine[6];
  for (int n = 0; n < 6; n++) mine[n] = upper_bits(n < 4 ? a[n] : b[n - 4]);
  const char (*slots)[gpu::kSlotBytes] = gpu::exchange("multiply_tf32", mine, sizeof mine);
  const auto of_lane = [&](int lane, int n) {
    float value;
    memcpy(&value, slots[lane] + n * sizeof value, sizeof value);
    return value;
  };
  const int lane = threadIdx.x % gpu::kLanes, g = lane / 4, t = lane % 4;
  for (int n = 0; n < 4; n++) {
    const int column = 2 * t + n % 2;
    double sum = sums[n];
    for (int k = 0; k < 8; k++) {
      const double left = of_lane(4 * g + k % 4, k / 4 * 2 + n / 2);
      sum += left * of_lane(4 * column + k % 4, 4 + k / 4);
    }
    sums[n] = truncated(sum);
  }
}

float widen(BFloat16 x) { return from_bits(static_cast<uint32_t>(x.bits) << 16); }

float widen(Half x) {
  const float sign = x.bits & 0x8000 ? -1.0f : 1.0f;
  const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexpf(1024.0f + fraction, exponent - 25) : ldexpf(fraction, -24));
}

void narrow(float x, BFloat16& target) {
  const uint32_t bits = to_bits(x);
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  target.bits = isnan(x) ? 0x7fff : static_cast<uint16_t>(rounded >> 16);
}

void narrow(float x, Half& target) {
  const uint16_t sign = signbit(x) ? 0x8000 : 0;
  const float magnitude = fabsf(x);
  if (isnan(x)) {
    target.bits = 0x7fff;
  } else if (magnitude >= 65520.0f) {
    target.bits = sign | 0x7c00;
  } else {
    int exponent;
    frexpf(magnitude, &exponent);  // magnitude < 2^exponent
    const int unit = magnitude == 0 || exponent < -13 ? -24 : exponent - 11;
    const float units = nearbyintf(ldexpf(magnitude, -unit));
    // A fraction that rounds up to 2048 carries over into the exponent.
    const int bits =
        unit == -24 ? static_cast<int>(units) : ((unit + 24) << 10) + static_cast<int>(units);
    target.bits = sign | static_cast<uint16_t>(bits);
  }
}

}  // namespace fastcaps::cuda
