"""Squash of the rows of a tensor, and its gradient: several short vectors per program."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastcaps.kernels.launch import on_device
from fastcaps.kernels.tiles import next_power_of_2
from fastcaps.kernels.vectors import row_tile, squash_gradient, squash_vectors

__all__ = ["backward", "forward"]

TILE = 1024
"""Numbers per program, as long as a vector is not longer."""


@triton.jit
def squash_kernel(
    s,  # [rows, D]
    v,  # [rows, D], written
    rows,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """v = squash(s) of every row."""
    _, element, exists = row_tile(rows, D, ROWS, WIDE)
    vectors = squash_vectors(tl.load(s + element, mask=exists, other=0.0).to(tl.float32))
    tl.store(v + element, vectors.to(v.dtype.element_ty), mask=exists)


@triton.jit
def squash_backward_kernel(
    grad,  # [rows, D]: dL/dv
    s,  # [rows, D]
    grad_s,  # [rows, D], written
    rows,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """dL/ds of every row."""
    _, element, exists = row_tile(rows, D, ROWS, WIDE)
    vectors = tl.load(s + element, mask=exists, other=0.0).to(tl.float32)
    incoming = tl.load(grad + element, mask=exists, other=0.0).to(tl.float32)
    outgoing = squash_gradient(vectors, incoming)
    tl.store(grad_s + element, outgoing.to(grad_s.dtype.element_ty), mask=exists)


def forward(s: Tensor) -> Tensor:
    """s [..., D] -> v [..., D], contiguous."""
    s = s.contiguous()
    v = torch.empty_like(s, memory_format=torch.contiguous_format)
    _launch(squash_kernel, s, v)
    return v


def backward(grad: Tensor, s: Tensor) -> Tensor:
    """grad_v [..., D], s [..., D] -> grad_s [..., D], contiguous."""
    grad, s = grad.contiguous(), s.contiguous()
    grad_s = torch.empty_like(s, memory_format=torch.contiguous_format)
    _launch(squash_backward_kernel, grad, s, grad_s)
    return grad_s


def row_blocks(dim: int) -> dict[str, int]:
    """How rows of this length are shared out to programs, and programs to warps."""
    wide = next_power_of_2(dim)
    return {"ROWS": max(1, TILE // wide), "WIDE": wide, "num_warps": max(4, wide // 512)}


def _launch(kernel: triton.JITFunction, *tensors: Tensor) -> None:
    """Run a kernel over all rows of contiguous tensors [..., D] of the same shape."""
    like = tensors[0]
    if like.numel() == 0:
        return
    dim = like.shape[-1]
    rows = like.numel() // dim
    blocks = row_blocks(dim)
    with on_device(like):
        kernel[(triton.cdiv(rows, blocks["ROWS"]),)](*tensors, rows, D=dim, **blocks)
