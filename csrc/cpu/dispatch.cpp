// Chooses the instruction set once, by what the processor and the system support.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels.h"

#if defined(FASTCAPS_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fastcaps {

#define FASTCAPS_DECLARE_TABLES(isa)                       \
  namespace isa {                                          \
  extern const Kernels<float> kFloatNarrow, kFloatWide;    \
  extern const Kernels<double> kDoubleNarrow, kDoubleWide; \
  }

FASTCAPS_DECLARE_TABLES(portable)
#if defined(__x86_64__)
FASTCAPS_DECLARE_TABLES(avx2)
FASTCAPS_DECLARE_TABLES(avx512)
#endif
#if defined(FASTCAPS_AMX)
namespace amx {
Kernels<float> narrow_kernels(), wide_kernels();
}
#endif

namespace {

enum class Isa { kPortable, kAvx2, kAvx512, kAmx };

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
      return "amx";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "portable";
  }
}

// Whether the processor multiplies matrices of bfloat16, and the system lets this process do so:
// Linux wants to be asked, since the registers make every thread's saved state larger.
bool have_matrices() {
#if defined(FASTCAPS_AMX)
  constexpr unsigned kBFloat16Products = 1u << 22, kTiles = 1u << 24;
  constexpr unsigned kWanted = kBFloat16Products | kTiles;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kWanted) == kWanted &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Linux is asked for AMX only where it is wanted, since the permission stays with the process.
Isa best_isa(bool want_matrices) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return want_matrices && have_matrices() ? Isa::kAmx : Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
  return Isa::kPortable;
}

// FASTCAPS_CPU_ISA asks for a lesser instruction set than the best, for tests and comparisons.
Isa chosen_isa() {
  const char* asked = std::getenv("FASTCAPS_CPU_ISA");
  if (asked == nullptr || *asked == '\0') return best_isa(true);
  const Isa best = best_isa(std::strcmp(asked, name_of(Isa::kAmx)) == 0);
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (std::strcmp(asked, name_of(isa)) != 0) continue;
    if (isa <= best) return isa;
    throw std::runtime_error(
        std::string("FASTCAPS_CPU_ISA=") + asked + ": this processor goes up to " + name_of(best));
  }
  throw std::runtime_error(
      std::string("FASTCAPS_CPU_ISA: expected portable, avx2, avx512 or amx, got ") + asked);
}

Isa isa() {
  static const Isa chosen = chosen_isa();
  return chosen;
}

// Wide tiles make better use of the registers; narrow ones waste fewer lanes on a ragged batch.
template <class T>
const Kernels<T>& fitting(const Kernels<T>& narrow, const Kernels<T>& wide, int64_t rows) {
  const int64_t narrow_rows = divide_up(rows, narrow.lanes) * narrow.lanes;
  const int64_t wide_rows = divide_up(rows, wide.lanes) * wide.lanes;
  return wide_rows * 7 <= narrow_rows * 8 ? wide : narrow;
}

}  // namespace

const char* instruction_set() { return name_of(isa()); }

template <>
const Kernels<float>& kernels<float>(int64_t rows) {
#if defined(FASTCAPS_AMX)
  if (isa() == Isa::kAmx) {
    static const Kernels<float> narrow = amx::narrow_kernels(), wide = amx::wide_kernels();
    return fitting(narrow, wide, rows);
  }
#endif
  switch (isa()) {
#if defined(__x86_64__)
    case Isa::kAvx512:
      return fitting(avx512::kFloatNarrow, avx512::kFloatWide, rows);
    case Isa::kAvx2:
      return fitting(avx2::kFloatNarrow, avx2::kFloatWide, rows);
#endif
    default:
      return fitting(portable::kFloatNarrow, portable::kFloatWide, rows);
  }
}

template <>
const Kernels<double>& kernels<double>(int64_t rows) {
  switch (isa()) {
#if defined(__x86_64__)
    case Isa::kAmx:
    case Isa::kAvx512:
      return fitting(avx512::kDoubleNarrow, avx512::kDoubleWide, rows);
    case Isa::kAvx2:
      return fitting(avx2::kDoubleNarrow, avx2::kDoubleWide, rows);
#endif
    default:
      return fitting(portable::kDoubleNarrow, portable::kDoubleWide, rows);
  }
}

}  // namespace fastcaps
