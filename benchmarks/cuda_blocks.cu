// Prints what a block of every kernel that asks for shared memory at its launch takes:
// its name, its threads and the bytes. Needs no GPU.
#include <cstdio>
#include <string>

#include "../csrc/cuda/agreement_gradients.cuh"
#include "../csrc/cuda/any_sizes/backward.cuh"
#include "../csrc/cuda/combine.cuh"
#include "../csrc/cuda/replay.cuh"
#include "../csrc/cuda/weight_gradients.cuh"
#include "../csrc/cuda/weighted_sums.cuh"

using namespace fastcaps::cuda;

template <class S>
static std::string stored;  // as a kernel's name says it
template <>
std::string stored<float> = "float";
template <>
std::string stored<double> = "double";
template <>
std::string stored<fastcaps::Half> = "Half";
template <>
std::string stored<fastcaps::BFloat16> = "BFloat16";

static void print(const std::string& kernel, int threads, int64_t bytes) {
  std::printf("%s\t%d\t%lld\n", kernel.c_str(), threads, static_cast<long long>(bytes));
}

// A kernel's name with its template arguments.
template <class S, int D>
static std::string name(const std::string& kernel, const std::string& rest = "") {
  return kernel + "<" + stored<S> + ", " + std::to_string(D) + rest + ">";
}

template <class S, int D, bool OVER_INPUTS, bool EXACT>
static void print_gradients() {
  const std::string rest =
      std::string(OVER_INPUTS ? ", true" : ", false") + (EXACT ? ", true" : ", false");
  print(
      name<S, D>("agreement_gradients_kernel", rest), kGradientThreads,
      AgreementGradients<S, D, OVER_INPUTS, EXACT>::kSharedBytes);
  print(
      name<S, D>("weight_gradients_kernel", rest), kGradientThreads,
      WeightGradients<S, D, OVER_INPUTS, EXACT>::kSharedBytes);
}

template <class S, int D, bool EXACT>
static void print_pass(const std::string& name_of_coupling, Coupling coupling) {
  const std::string rest =
      ", " + std::to_string(D) + ", " + name_of_coupling + (EXACT ? ", true, 2" : ", false, 2");
  print(
      name<S, 8>("weighted_sums_kernel", rest), kPassThreads<D>,
      PassShared<S, 8, D>::bytes(2, coupling));
}

template <class S, int D, bool EXACT>
static void print_products() {
  print_pass<S, D, EXACT>("uniform", Coupling::kUniform);
  print_pass<S, D, EXACT>("over outputs", Coupling::kOverOutputs);
  print_pass<S, D, EXACT>("over inputs", Coupling::kOverInputs);
  print_gradients<S, D, false, EXACT>();
  print_gradients<S, D, true, EXACT>();
}

template <class S, int D>
static void print_dim() {
  print_products<S, D, true>();
  if constexpr (!kFitsTF32<S>) print_products<S, D, false>();
  print(name<S, D>("combine_kernel"), kVectorThreads, kCombineSharedBytes);
  print(name<S, D>("combine_gradients_kernel"), kVectorThreads, kCombineGradientsSharedBytes);
}

template <class S>
static void print_storage() {
  print_dim<S, 16>();
  print_dim<S, 32>();
}

template <class Block, class S, int COLUMNS>
static void print_tiles(const std::string& kernel) {
  print("any_sizes::" + name<S, COLUMNS>(kernel), Block::kThreads, Block::kSharedBytes);
}

template <class S, int COLUMNS>
static void print_columns() {
  print_tiles<any_sizes::Agreements<S, COLUMNS>, S, COLUMNS>("agreements_kernel");
  print_tiles<any_sizes::CoupledSums<S, COLUMNS>, S, COLUMNS>("coupled_sums_kernel");
  print_tiles<any_sizes::InputGradients<S, COLUMNS>, S, COLUMNS>("input_gradients_kernel");
  print_tiles<any_sizes::WeightGradients<S, COLUMNS>, S, COLUMNS>("weight_gradients_kernel");
}

template <class S>
static void print_any_sizes() {
  print_columns<S, 16>();
  print_columns<S, 32>();
}

template <class T>
static void print_couplings() {
  print(
      "any_sizes::couple_inputs_kernel<" + stored<T> + ">", any_sizes::kCouplingThreads,
      any_sizes::kCouplingSharedBytes<T>);
}

int main() {
  print_storage<float>();
  print_storage<fastcaps::Half>();
  print_storage<fastcaps::BFloat16>();
  print_any_sizes<float>();
  print_any_sizes<double>();
  print_any_sizes<fastcaps::Half>();
  print_any_sizes<fastcaps::BFloat16>();
  print_couplings<float>();
  print_couplings<double>();
}
