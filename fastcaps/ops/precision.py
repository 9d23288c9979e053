"""How exactly matrix products of float32 are to be, as PyTorch is told."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["tf32_is_allowed"]


def tf32_is_allowed(backend: str) -> bool:
    """Whether a backend's products of float32 may be TF32: on a GPU, if PyTorch's settings say so.

    They are ``torch.backends.cuda.matmul.fp32_precision`` and, where that says nothing,
    ``torch.set_float32_matmul_precision``.
    """
    if backend == "cpu":
        return False
    newer = getattr(torch.backends.cuda.matmul, "fp32_precision", "none")
    if newer in ("tf32", "ieee"):
        return bool(newer == "tf32")
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # it is not told once newer settings are made, as those for CPUs
        return False


# The compiler cannot trace the settings, and compiles again when they change. This is what
# torch.compiler.assume_constant_result does, which would import the compiler with fastcaps.
_marked: Any = tf32_is_allowed  # functions have no attributes in their type
_marked._dynamo_marked_constant = True
