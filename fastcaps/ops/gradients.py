"""What the hand-written gradients share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

__all__ = [
    "accumulation_dtype",
    "keep_nothing",
    "need_gradient",
    "no_forward_mode",
    "no_second_derivative",
]


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums, logits and saved tensors: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def need_gradient(operator: str, *inputs: Tensor | None) -> bool:
    """Whether a call has to be recorded; the others go straight to the operator.

    That would drop the tangents of forward mode: where there are any, this raises RuntimeError.
    """
    tensors = [x for x in inputs if x is not None]
    if any(dual.tangent is not None for dual in map(unpack_dual, tensors)):
        no_forward_mode(operator)(None)
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def keep_nothing(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """The ``setup_context`` of a gradient operator, which has no gradient of its own."""


def no_forward_mode(operator: str) -> Callable[..., NoReturn]:
    """The ``jvp`` of the gradient of ``operator``: a clear error.

    The operators' own functions have none, as ``torch.compile`` refuses functions with a ``jvp``.
    """

    def jvp(ctx: Any, *tangents: Any) -> NoReturn:
        raise RuntimeError(
            f"fastcaps::{operator} has no forward-mode derivative on compiled backends; "
            'for torch.func.jvp, jacfwd and the like use backend="reference"'
        )

    return jvp


def no_second_derivative(operator: str) -> Callable[..., NoReturn]:
    """The ``backward`` of the gradient of ``operator``: a clear error."""

    def backward(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(
            f"fastcaps::{operator} is differentiable once on compiled backends; "
            'for second derivatives use backend="reference"'
        )

    return backward
