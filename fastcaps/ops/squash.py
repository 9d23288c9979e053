"""Squash over the last dimension: ``v = |s| / (1 + |s|^2) * s``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.gradients import keep_nothing, need_gradient, no_second_derivative

__all__ = ["squash"]


def squash(s: Tensor, *, backend: str) -> Tensor:
    """s [..., D] -> v [..., D] in the dtype of s."""
    if backend == "reference":
        return reference.squash(s)
    v: Tensor = Squash.apply(s) if need_gradient(s) else _forward(s)
    return v


def _fake(s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


def _fake_backward(grad: Tensor, s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


class SquashBackward(torch.autograd.Function):
    """grad_v [..., D], s [..., D] -> grad_s."""

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(no_second_derivative("squash"))

    @staticmethod
    def forward(grad: Tensor, s: Tensor) -> Tensor:
        return _backward(grad, s)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], grad: Tensor, s: Tensor
    ) -> tuple[Tensor, int]:
        batched = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((grad, s), in_dims, strict=True)
        ]
        grad_s: Tensor = SquashBackward.apply(*batched)
        return grad_s, 0


def _vmap(call: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, int]]:
    def rule(info: Any, in_dims: tuple[int], s: Tensor) -> tuple[Tensor, int]:
        return call(s.movedim(in_dims[0], 0)), 0

    return rule


class Squash(torch.autograd.Function):
    """s [..., D] -> v [..., D]."""

    @staticmethod
    def forward(s: Tensor) -> Tensor:
        return _forward(s)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad_s: Tensor = SquashBackward.apply(grad, *ctx.saved_tensors)
        return grad_s

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], s: Tensor) -> tuple[Tensor, int]:
        return _vmap(Squash.apply)(info, in_dims, s)


if library.LOAD_ERROR is None:
    _forward = torch.ops.fastcaps.squash.default
    _backward = torch.ops.fastcaps.squash_backward.default
    torch.library.register_fake("fastcaps::squash", _fake)
    torch.library.register_fake("fastcaps::squash_backward", _fake_backward)
    torch.library.register_autograd(
        "fastcaps::squash", Squash.backward, setup_context=Squash.setup_context
    )
    torch.library.register_autograd("fastcaps::squash_backward", SquashBackward.backward)
    torch.library.register_vmap("fastcaps::squash", _vmap(_forward))
