"""Loads the compiled extension, and says which kernels it brought or why it did not load."""

from __future__ import annotations

from importlib import import_module

import torch

__all__ = ["KERNELS", "LOAD_ERROR"]

OPERATORS = (
    "squash",
    "prediction_vectors",
    "dynamic_routing",
    "routed_capsules",
    "coupling_coefficients",
)


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


LOAD_ERROR: str | None = _load()
"""Why ``fastcaps._C`` is not loaded, or None where it is."""

KERNELS: dict[str, frozenset[str]] = (
    {operator: _dispatch_keys(operator) for operator in OPERATORS} if LOAD_ERROR is None else {}
)
"""The dispatch keys ("CPU", "CUDA") under which each operator has a compiled kernel."""
