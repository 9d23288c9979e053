// Prints what a block of every kernel that asks for shared memory at its launch takes:
// its name, its threads and the bytes. Needs no GPU.
#include <cstdio>

#include "../csrc/cuda/agreement_gradients.cuh"
#include "../csrc/cuda/combine.cuh"
#include "../csrc/cuda/replay.cuh"
#include "../csrc/cuda/weight_gradients.cuh"
#include "../csrc/cuda/weighted_sums.cuh"

using namespace fastcaps::cuda;

static void print(const char* kernel, const char* arguments, int threads, int64_t bytes) {
  std::printf("%s<%s>\t%d\t%lld\n", kernel, arguments, threads, static_cast<long long>(bytes));
}

template <int D, bool OVER_INPUTS>
static void print_gradients(const char* arguments) {
  print(
      "agreement_gradients_kernel", arguments, kGradientThreads,
      AgreementGradients<D, OVER_INPUTS, true>::kSharedBytes);
  print(
      "weight_gradients_kernel", arguments, kGradientThreads,
      WeightGradients<D, OVER_INPUTS, true>::kSharedBytes);
}

template <int D>
static void print_pass(const char* arguments, Coupling coupling) {
  print("weighted_sums_kernel", arguments, kPassThreads<D>, PassShared<8, D>::bytes(2, coupling));
}

int main() {
  print_pass<16>("8, 16, uniform, true, 2", Coupling::kUniform);
  print_pass<16>("8, 16, over outputs, true, 2", Coupling::kOverOutputs);
  print_pass<16>("8, 16, over inputs, true, 2", Coupling::kOverInputs);
  print_pass<32>("8, 32, uniform, true, 2", Coupling::kUniform);
  print_pass<32>("8, 32, over outputs, true, 2", Coupling::kOverOutputs);
  print_pass<32>("8, 32, over inputs, true, 2", Coupling::kOverInputs);
  print_gradients<16, false>("16, false, true");
  print_gradients<16, true>("16, true, true");
  print_gradients<32, false>("32, false, true");
  print_gradients<32, true>("32, true, true");
  for (const char* dim : {"16", "32"}) {
    print("combine_kernel", dim, kVectorThreads, kCombineSharedBytes);
    print("combine_gradients_kernel", dim, kVectorThreads, kCombineGradientsSharedBytes);
  }
}
