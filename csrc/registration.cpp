// All schemas of the library, and the module that Python imports to load them.
#include <Python.h>
#include <torch/csrc/stable/library.h>

#include <string>

#include "cpu/operators.h"

STABLE_TORCH_LIBRARY(fastcaps, library) {
  library.def("squash(Tensor s) -> Tensor");
  library.def("squash_backward(Tensor grad, Tensor s) -> Tensor");
  library.def("prediction_vectors(Tensor u, Tensor weight, bool allow_tf32) -> Tensor");
  library.def(
      "prediction_vectors_backward(Tensor grad, Tensor u, Tensor weight, bool allow_tf32, "
      "bool need_u, bool need_weight) -> (Tensor, Tensor)");
  library.def(
      "dynamic_routing(Tensor u_hat, Tensor? bias, Tensor? prior, int iterations, "
      "bool softmax_over_inputs, bool detach_routing) -> (Tensor, Tensor, Tensor)");
  library.def(
      "dynamic_routing_backward(Tensor grad, Tensor u_hat, Tensor? bias, Tensor? prior, Tensor s, "
      "Tensor log_sum_exp, int iterations, bool softmax_over_inputs, bool detach_routing) "
      "-> (Tensor, Tensor, Tensor)");
  library.def(
      "routed_capsules(Tensor u, Tensor weight, Tensor? bias, Tensor? prior, int iterations, "
      "bool softmax_over_inputs, bool detach_routing, bool allow_tf32) -> (Tensor, Tensor, "
      "Tensor)");
  library.def(
      "routed_capsules_backward(Tensor grad, Tensor u, Tensor weight, Tensor? bias, "
      "Tensor? prior, Tensor s, Tensor log_sum_exp, int iterations, bool softmax_over_inputs, "
      "bool detach_routing, bool allow_tf32, bool need_u, bool need_weight) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "coupling_coefficients(Tensor u, Tensor weight, Tensor? bias, Tensor? prior, "
      "int iterations, bool softmax_over_inputs, bool allow_tf32) -> Tensor");
  library.def("instruction_set() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CPU, library) {
  library.impl("squash", TORCH_BOX(&fastcaps::squash));
  library.impl("squash_backward", TORCH_BOX(&fastcaps::squash_backward));
  library.impl("prediction_vectors", TORCH_BOX(&fastcaps::prediction_vectors));
  library.impl("prediction_vectors_backward", TORCH_BOX(&fastcaps::prediction_vectors_backward));
  library.impl("dynamic_routing", TORCH_BOX(&fastcaps::dynamic_routing));
  library.impl("dynamic_routing_backward", TORCH_BOX(&fastcaps::dynamic_routing_backward));
  library.impl("routed_capsules", TORCH_BOX(&fastcaps::routed_capsules));
  library.impl("routed_capsules_backward", TORCH_BOX(&fastcaps::routed_capsules_backward));
  library.impl("coupling_coefficients", TORCH_BOX(&fastcaps::coupling_coefficients));
}

namespace {

std::string instruction_set() { return fastcaps::instruction_set(); }

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcaps, CompositeExplicitAutograd, library) {
  library.impl("instruction_set", TORCH_BOX(&instruction_set));
}

extern "C" {

PyMODINIT_FUNC PyInit__C() {
  static PyModuleDef module = {
      PyModuleDef_HEAD_INIT, "_C", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&module);
}

}  // extern "C"
