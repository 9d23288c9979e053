"""Squash over the last dimension: ``v = |s| / (1 + |s|^2) * s``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.gradients import (
    keep_nothing,
    need_gradient,
    no_forward_mode,
    no_second_derivative,
)

__all__ = ["squash"]


def squash(s: Tensor, *, backend: str) -> Tensor:
    """s [..., D] -> v [..., D] in the dtype of s."""
    if backend == "reference":
        return reference.squash(s)
    if need_gradient("squash", s):
        v: Tensor = Squash.apply(backend, s)
        return v
    return library.overload(backend, "squash")(s)


def _fake(s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


def _fake_backward(grad: Tensor, s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


class SquashBackward(torch.autograd.Function):
    """grad_v [..., D], s [..., D] -> grad_s."""

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(no_second_derivative("squash"))
    jvp = staticmethod(no_forward_mode("squash"))

    @staticmethod
    def forward(backend: str, grad: Tensor, s: Tensor) -> Tensor:
        return library.overload(backend, "squash_backward")(grad, s)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], backend: str, grad: Tensor, s: Tensor
    ) -> tuple[Tensor, int]:
        batched = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((grad, s), in_dims[1:], strict=True)
        ]
        grad_s: Tensor = SquashBackward.apply(backend, *batched)
        return grad_s, 0


def _vmap(call: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, int]]:
    def rule(info: Any, in_dims: tuple[int], s: Tensor) -> tuple[Tensor, int]:
        return call(s.movedim(in_dims[0], 0)), 0

    return rule


class Squash(torch.autograd.Function):
    """s [..., D] -> v [..., D]."""

    @staticmethod
    def forward(backend: str, s: Tensor) -> Tensor:
        return library.overload(backend, "squash")(s)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[str, Tensor], output: Tensor) -> None:
        ctx.backend, s = inputs
        ctx.save_for_backward(s)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, SquashBackward.apply(ctx.backend, grad, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], backend: str, s: Tensor) -> Any:
        return _vmap(partial(Squash.apply, backend))(info, in_dims[1:], s)


library.connect("squash", _fake, _vmap, Squash)
library.connect_gradient("squash_backward", _fake_backward, SquashBackward)
