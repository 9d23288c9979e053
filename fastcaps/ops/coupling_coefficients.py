"""The coupling coefficients of the last routing iteration, for analysis; no gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.batching import loop_over_samples
from fastcaps.ops.precision import tf32_is_allowed

__all__ = ["coupling_coefficients"]


def coupling_coefficients(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over: str,
    *,
    backend: str,
) -> Tensor:
    """u [B, I, K], weight [I, K, J, D], bias [J, D], prior [I, J] -> c [B, I, J]."""
    with torch.no_grad():
        if backend == "reference":
            return reference.coupling_coefficients(
                u,
                weight,
                iterations=iterations,
                softmax_over=softmax_over,
                bias=bias,
                prior=prior,
            )
        options = (iterations, softmax_over == "inputs", tf32_is_allowed(backend))
        return library.overload(backend, "coupling_coefficients")(u, weight, bias, prior, *options)


def _fake(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    allow_tf32: bool,
) -> Tensor:
    batch, inputs, _ = u.shape
    return u.new_empty(batch, inputs, weight.shape[2])


library.connect("coupling_coefficients", _fake, loop_over_samples)
