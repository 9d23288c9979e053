"""Squash over the last dimension: ``v = |s| / (1 + |s|^2) * s``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.gradients import refuse_double_backward

__all__ = ["squash"]


def squash(s: Tensor, *, backend: str) -> Tensor:
    """s [..., D] -> v [..., D] in the dtype of s."""
    if backend == "reference":
        return reference.squash(s)
    return _forward(s)


def _fake(s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


def _fake_backward(grad: Tensor, s: Tensor) -> Tensor:
    return torch.empty_like(s, memory_format=torch.contiguous_format)


def _setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> Tensor:
    return _backward(grad, *ctx.saved_tensors)


def _vmap(info: Any, in_dims: tuple[int], s: Tensor) -> tuple[Tensor, int]:
    return _forward(s.movedim(in_dims[0], 0)), 0


def _vmap_backward(
    info: Any, in_dims: tuple[int | None, int | None], grad: Tensor, s: Tensor
) -> tuple[Tensor, int]:
    batched = [
        x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip((grad, s), in_dims, strict=True)
    ]
    return _backward(*batched), 0


if library.LOAD_ERROR is None:
    _forward = torch.ops.fastcaps.squash.default
    _backward = torch.ops.fastcaps.squash_backward.default
    torch.library.register_fake("fastcaps::squash", _fake)
    torch.library.register_fake("fastcaps::squash_backward", _fake_backward)
    torch.library.register_autograd(
        "fastcaps::squash", _differentiate, setup_context=_setup_context
    )
    torch.library.register_vmap("fastcaps::squash", _vmap)
    torch.library.register_vmap("fastcaps::squash_backward", _vmap_backward)
    refuse_double_backward("squash")
