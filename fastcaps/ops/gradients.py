"""What the hand-written gradients share."""

from __future__ import annotations

from typing import Any, NoReturn

import torch

__all__ = ["accumulation_dtype", "refuse_double_backward"]


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums, logits and saved tensors: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def refuse_double_backward(operator: str) -> None:
    """Give ``fastcaps::<operator>_backward`` a gradient that raises a clear error."""

    def backward(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(
            f"fastcaps::{operator} is differentiable once on compiled backends; "
            'for second derivatives use backend="reference"'
        )

    torch.library.register_autograd(f"fastcaps::{operator}_backward", backward)
