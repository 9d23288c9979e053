"""The operators' schemas and implementations: the compiled extension's and the Triton kernels'.

Each operator exists once in the namespace ``fastcaps`` (C++, for CPU and CUDA tensors, there if
``fastcaps._C`` loads) and once in ``fastcaps_triton``, with the same schema. The Triton kernels
are imported when first called.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

__all__ = [
    "KERNELS",
    "LOAD_ERROR",
    "NAMESPACES",
    "OPERATORS",
    "SCHEMAS",
    "connect",
    "connect_gradient",
    "overload",
]

OPERATORS = (
    "squash",
    "prediction_vectors",
    "dynamic_routing",
    "routed_capsules",
    "coupling_coefficients",
)

ROUTING_OPTIONS = "int iterations, bool softmax_over_inputs, bool detach_routing"
SCHEMAS = {
    "squash": "(Tensor s) -> Tensor",
    "squash_backward": "(Tensor grad, Tensor s) -> Tensor",
    "prediction_vectors": "(Tensor u, Tensor weight, bool allow_tf32) -> Tensor",
    "prediction_vectors_backward": (
        "(Tensor grad, Tensor u, Tensor weight, bool allow_tf32, bool need_u, bool need_weight)"
        " -> (Tensor, Tensor)"
    ),
    "dynamic_routing": (
        f"(Tensor u_hat, Tensor? bias, Tensor? prior, {ROUTING_OPTIONS})"
        " -> (Tensor, Tensor, Tensor)"
    ),
    "dynamic_routing_backward": (
        "(Tensor grad, Tensor u_hat, Tensor? bias, Tensor? prior, Tensor s, Tensor log_sum_exp, "
        f"{ROUTING_OPTIONS}) -> (Tensor, Tensor, Tensor)"
    ),
    "routed_capsules": (
        f"(Tensor u, Tensor weight, Tensor? bias, Tensor? prior, {ROUTING_OPTIONS}, "
        "bool allow_tf32) -> (Tensor, Tensor, Tensor)"
    ),
    "routed_capsules_backward": (
        "(Tensor grad, Tensor u, Tensor weight, Tensor? bias, Tensor? prior, Tensor s, "
        f"Tensor log_sum_exp, {ROUTING_OPTIONS}, bool allow_tf32, bool need_u, bool need_weight)"
        " -> (Tensor, Tensor, Tensor, Tensor)"
    ),
    "coupling_coefficients": (
        "(Tensor u, Tensor weight, Tensor? bias, Tensor? prior, int iterations, "
        "bool softmax_over_inputs, bool allow_tf32) -> Tensor"
    ),
}
"""What every namespace's operators take and return, in PyTorch's schema language."""


def _load() -> str | None:
    try:
        import_module("fastcaps._C")
    except ImportError as error:
        return str(error)
    return None


def _dispatch_keys(operator: str) -> frozenset[str]:
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    name = f"fastcaps::{operator}"
    return frozenset(key for key in ("CPU", "CUDA") if has_kernel(name, key))


def _triton_kernel(name: str) -> Callable[..., Any]:
    """Calls ``fastcaps.kernels.<operator>.forward`` or ``.backward``, imported on first use."""
    operator = name.removesuffix("_backward")
    function = "forward" if name == operator else "backward"

    def call(*args: Any) -> Any:
        return getattr(import_module(f"fastcaps.kernels.{operator}"), function)(*args)

    return call


def _define_triton() -> Any:
    library: Any = torch.library.Library  # untyped in torch
    definitions = library("fastcaps_triton", "DEF")
    for name, schema in SCHEMAS.items():
        definitions.define(name + schema)
        for key in ("CUDA", "CPU"):
            definitions.impl(name, _triton_kernel(name), key)
    return definitions


LOAD_ERROR: str | None = _load()
"""Why ``fastcaps._C`` is not loaded, or None where it is."""

KERNELS: dict[str, frozenset[str]] = (
    {operator: _dispatch_keys(operator) for operator in OPERATORS} if LOAD_ERROR is None else {}
)
"""The dispatch keys ("CPU", "CUDA") under which each operator has a compiled kernel."""

TRITON = _define_triton()
"""Keeps the Triton operators defined."""

NAMESPACES: dict[str, str] = {"triton": "fastcaps_triton"} | (
    {"cpu": "fastcaps", "cuda": "fastcaps"} if LOAD_ERROR is None else {}
)
"""The namespace of the operators of every backend that has any."""


def overload(backend: str, name: str) -> Callable[..., Any]:
    """The operator ``name`` of a backend."""
    operator: Callable[..., Any] = _OVERLOADS[backend, name]
    return operator


_OVERLOADS = {
    (backend, name): getattr(getattr(torch.ops, namespace), name).default
    for backend, namespace in NAMESPACES.items()
    for name in SCHEMAS
}


def connect(
    name: str,
    fake: Callable[..., Any],
    vmap: Callable[[Callable[..., Any]], Callable[..., Any]],
    function: type[torch.autograd.Function] | None = None,
) -> None:
    """Register the shape, batching and gradient rules of an operator in every namespace.

    ``function`` takes the backend before the operator's own arguments; None has no gradient.
    """
    for backend in {namespace: backend for backend, namespace in NAMESPACES.items()}.values():
        qualified = f"{NAMESPACES[backend]}::{name}"
        torch.library.register_fake(qualified, fake)
        torch.library.register_vmap(qualified, vmap(overload(backend, name)))
        if function is not None:
            _register_gradient(qualified, backend, function)


def connect_gradient(
    name: str, fake: Callable[..., Any], function: type[torch.autograd.Function]
) -> None:
    """Register the shape rule of a gradient operator, and its own lack of a gradient."""
    for namespace in set(NAMESPACES.values()):
        torch.library.register_fake(f"{namespace}::{name}", fake)
        torch.library.register_autograd(f"{namespace}::{name}", function.backward)


def _register_gradient(
    qualified: str, backend: str, function: type[torch.autograd.Function]
) -> None:
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        function.setup_context(ctx, (backend, *inputs), output)

    def backward(ctx: Any, *grads: Any) -> Any:
        _, *gradients = function.backward(ctx, *grads)
        return tuple(gradients)

    torch.library.register_autograd(qualified, backward, setup_context=setup_context)
