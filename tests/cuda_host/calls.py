"""Calls of the CUDA operators of the fused layer on CPU tensors."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.comparing import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    Shape,
    assert_all_close,
    capsules,
    gradient_of,
    incoming_gradient,
    specify,
)

__all__ = ["MOST_SHARED_MEMORY", "NAMES", "OPERATORS", "OVER", "PARAMETERS", "Call", "Gpu"]

OPERATORS = torch.ops.fastcaps_host
NAMES = ("u", "weight", "bias", "prior")
OVER = pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
PARAMETERS = pytest.mark.parametrize("parameters", [False, True], ids=["plain", "bias and prior"])
MOST_SHARED_MEMORY = 232448
"""Bytes that a block of an H100 may take."""


class Gpu:
    """The GPU that the operators of a library believe to be on."""

    def __init__(self, library: Path) -> None:
        self._set = ctypes.CDLL(str(library)).set_gpu
        self._set.argtypes = [ctypes.c_int64] * 4

    def set(
        self,
        *,
        processors: int = 4,
        shared_memory: int = MOST_SHARED_MEMORY,
        workspace: int = 64 << 20,
        order: int = 0,
    ) -> None:
        """Its multiprocessors, bytes of shared memory for a block, bytes for what is kept of pairs
        of capsules, and the order of its threads, one of ``library.ORDERS``.
        """
        self._set(processors, shared_memory, workspace, order)


class Call:
    """A layer and its options.

    Attributes:
        inputs: u, weight and perhaps bias and prior.
        options: iterations, whether the softmax is over inputs, whether routing is detached, and
            whether TF32 is allowed.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: torch.dtype = torch.float32,
        *,
        parameters: bool = True,
        iterations: int = 3,
        over_inputs: bool = False,
        detached: bool = False,
        allow_tf32: bool = False,
    ) -> None:
        self.inputs = capsules(shape, dtype=dtype, bias=parameters, prior=parameters)
        self.options = (iterations, over_inputs, detached, allow_tf32)

    def layer(self) -> list[Tensor | None]:
        """u, weight, bias and prior."""
        return [self.inputs.get(name) for name in NAMES]

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """v, s and log_sum_exp."""
        result: tuple[Tensor, Tensor, Tensor] = OPERATORS.routed_capsules(
            *self.layer(), *self.options
        )
        return result

    def everything(self, *, need_u: bool = True, need_weight: bool = True) -> dict[str, Tensor]:
        """The result and the gradient of every input, named as :func:`evaluate` does."""
        v, s, log_sum_exp = self.forward()
        grad = incoming_gradient(v, v.dtype)
        found = OPERATORS.routed_capsules_backward(
            grad, *self.layer(), s, log_sum_exp, *self.options, need_u, need_weight
        )
        named = {gradient_of(name): x for name, x in zip(NAMES, found, strict=True)}
        return {"result": v} | named

    def assert_agrees(self, tolerance: float | None = None) -> None:
        """The result and every gradient agree with the reference, as well as their dtype can."""
        iterations, over_inputs, detached, _ = self.options
        actual = self.everything()
        expected = specify(
            "routed_capsules",
            self.inputs,
            iterations=iterations,
            softmax_over="inputs" if over_inputs else "outputs",
            detach_routing=detached,
        )
        dtype = self.inputs["u"].dtype
        tolerances = [tolerance or each[dtype] for each in (FORWARD_TOLERANCE, GRADIENT_TOLERANCE)]
        assert_all_close(actual, expected, dtype, *tolerances)
        absent = [name for name in NAMES if name not in self.inputs]
        assert all(actual[gradient_of(name)].numel() == 0 for name in absent)
