"""Prediction vectors, stored: ``u_hat_i = u_i W_i``, a small matrix product for every input.

Reading or writing u_hat [B, I, J, D] takes most of the time, so the products only have to keep
up with memory. They run on tensor cores in float32, which holds the half types exactly. With
N = J * D the operands of input capsule i are u_i [B, K], W_i [K, N] and u_hat_i [B, N]; K is
padded with zeros to what a tensor core takes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastcaps.kernels.launch import on_device
from fastcaps.kernels.precision import dot_precision
from fastcaps.kernels.tiles import MIN_DOT, next_power_of_2

__all__ = ["backward", "forward"]

WARPS = 4


@triton.jit
def capsule_tile(u, i, b, batch, inputs, K: tl.constexpr, PADDED_K: tl.constexpr):
    """Input capsule i of samples b, [BLOCK_B, PADDED_K] in float32."""
    k = tl.arange(0, PADDED_K)
    offset = (b.to(tl.int64) * inputs + i)[:, None] * K + k[None, :]
    exists = (b < batch)[:, None] & (k < K)[None, :]
    return tl.load(u + offset, mask=exists, other=0.0).to(tl.float32)


@triton.jit
def weight_tile(i, n, columns, K: tl.constexpr, PADDED_K: tl.constexpr):
    """Offsets of columns n of W_i, [PADDED_K, BLOCK_N], and which exist."""
    k = tl.arange(0, PADDED_K)
    offset = (tl.cast(i, tl.int64) * K + k)[:, None] * columns + n[None, :]
    return offset, (k < K)[:, None] & (n < columns)[None, :]


@triton.jit
def prediction_tile(i, b, n, batch, inputs, columns):
    """Offsets of columns n of u_hat_i of samples b, [BLOCK_B, BLOCK_N], and which exist."""
    offset = (b.to(tl.int64) * inputs + i)[:, None] * columns + n[None, :]
    return offset, (b < batch)[:, None] & (n < columns)[None, :]


@triton.jit
def prediction_vectors_kernel(
    u,  # [B, I, K]
    weight,  # [I, K, N]
    u_hat,  # [B, I, N], written
    batch,
    inputs,
    columns,
    blocks_b,
    blocks_n,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """u_hat_i = u_i W_i: one tile. Programs with the same W_i are neighbours, to share it."""
    program = tl.program_id(0)
    i = program // (blocks_b * blocks_n)
    b = (program // blocks_n) % blocks_b * BLOCK_B + tl.arange(0, BLOCK_B)
    n = program % blocks_n * BLOCK_N + tl.arange(0, BLOCK_N)
    capsules = capsule_tile(u, i, b, batch, inputs, K, PADDED_K)
    offset, exists = weight_tile(i, n, columns, K, PADDED_K)
    matrix = tl.load(weight + offset, mask=exists, other=0.0).to(tl.float32)
    predictions = tl.dot(capsules, matrix, input_precision=PRECISION)
    offset, exists = prediction_tile(i, b, n, batch, inputs, columns)
    tl.store(u_hat + offset, predictions.to(u_hat.dtype.element_ty), mask=exists)


@triton.jit
def capsule_gradient_kernel(
    grad,  # [B, I, N]: dL/du_hat
    weight,  # [I, K, N]
    grad_u,  # [B, I, K], written
    batch,
    inputs,
    columns,
    blocks_b,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dL/du_i = dL/du_hat_i W_i^T: samples of one input capsule."""
    program = tl.program_id(0)
    i = program // blocks_b
    b = program % blocks_b * BLOCK_B + tl.arange(0, BLOCK_B)
    total = tl.zeros([BLOCK_B, PADDED_K], tl.float32)
    for first in range(0, columns, BLOCK_N):
        n = first + tl.arange(0, BLOCK_N)
        offset, exists = prediction_tile(i, b, n, batch, inputs, columns)
        incoming = tl.load(grad + offset, mask=exists, other=0.0).to(tl.float32)
        offset, exists = weight_tile(i, n, columns, K, PADDED_K)
        matrix = tl.load(weight + offset, mask=exists, other=0.0).to(tl.float32)
        total = tl.dot(incoming, tl.trans(matrix), total, input_precision=PRECISION)
    k = tl.arange(0, PADDED_K)
    offset = (b.to(tl.int64) * inputs + i)[:, None] * K + k[None, :]
    exists = (b < batch)[:, None] & (k < K)[None, :]
    tl.store(grad_u + offset, total.to(grad_u.dtype.element_ty), mask=exists)


@triton.jit
def weight_gradient_kernel(
    grad,  # [B, I, N]: dL/du_hat
    u,  # [B, I, K]
    grad_weight,  # [I, K, N], written
    batch,
    inputs,
    columns,
    blocks_n,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dL/dW_i = u_i^T dL/du_hat_i: columns of one input capsule, over all samples in order."""
    program = tl.program_id(0)
    i = program // blocks_n
    n = program % blocks_n * BLOCK_N + tl.arange(0, BLOCK_N)
    total = tl.zeros([PADDED_K, BLOCK_N], tl.float32)
    for first in range(0, batch, BLOCK_B):
        b = first + tl.arange(0, BLOCK_B)
        capsules = capsule_tile(u, i, b, batch, inputs, K, PADDED_K)
        offset, exists = prediction_tile(i, b, n, batch, inputs, columns)
        incoming = tl.load(grad + offset, mask=exists, other=0.0).to(tl.float32)
        total = tl.dot(tl.trans(capsules), incoming, total, input_precision=PRECISION)
    offset, exists = weight_tile(i, n, columns, K, PADDED_K)
    tl.store(grad_weight + offset, total.to(grad_weight.dtype.element_ty), mask=exists)


class Blocks(NamedTuple):
    """Samples and columns of u_hat_i that a program holds at a time."""

    samples: int
    columns: int


def forward_blocks(batch: int, columns: int) -> Blocks:
    """The tile of u_hat_i that one program writes."""
    return Blocks(_fit(batch, 64), _fit(columns, 128))


def capsule_gradient_blocks(batch: int, columns: int) -> Blocks:
    """The samples of one program, and the columns that it reads at a time."""
    return Blocks(_fit(batch, 32), _fit(columns, 64))


def weight_gradient_blocks(batch: int, columns: int) -> Blocks:
    """The samples that one program reads at a time, and its columns."""
    return Blocks(_fit(batch, 32), _fit(columns, 128))


def forward(u: Tensor, weight: Tensor, allow_tf32: bool) -> Tensor:
    """u [B, I, K], weight [I, K, J, D] -> u_hat [B, I, J, D]."""
    u, weight = u.contiguous(), weight.contiguous()
    batch, inputs, in_dim = u.shape
    columns = weight.shape[2] * weight.shape[3]
    u_hat = u.new_empty(batch, inputs, weight.shape[2], weight.shape[3])
    if batch == 0:
        return u_hat
    block = forward_blocks(batch, columns)
    blocks_b, blocks_n = triton.cdiv(batch, block.samples), triton.cdiv(columns, block.columns)
    with on_device(u):
        prediction_vectors_kernel[(inputs * blocks_b * blocks_n,)](
            u,
            weight,
            u_hat,
            batch,
            inputs,
            columns,
            blocks_b,
            blocks_n,
            **_constants(in_dim, block, dot_precision(u.dtype, allow_tf32=allow_tf32)),
        )
    return u_hat


def backward(
    grad: Tensor, u: Tensor, weight: Tensor, allow_tf32: bool, need_u: bool, need_weight: bool
) -> tuple[Tensor, Tensor]:
    """grad_u_hat [B, I, J, D] -> grad_u [B, I, K], grad_weight [I, K, J, D]; (0,) if not needed."""
    grad, u, weight = grad.contiguous(), u.contiguous(), weight.contiguous()
    precision = dot_precision(u.dtype, allow_tf32=allow_tf32)
    with on_device(u):
        return (
            _capsule_gradient(grad, u, weight, precision) if need_u else u.new_empty(0),
            _weight_gradient(grad, u, weight, precision) if need_weight else u.new_empty(0),
        )


def _capsule_gradient(grad: Tensor, u: Tensor, weight: Tensor, precision: str) -> Tensor:
    """grad_u [B, I, K] of contiguous tensors."""
    batch, inputs, in_dim = u.shape
    columns = weight.shape[2] * weight.shape[3]
    grad_u = torch.empty_like(u)
    if batch == 0:
        return grad_u
    block = capsule_gradient_blocks(batch, columns)
    blocks_b = triton.cdiv(batch, block.samples)
    capsule_gradient_kernel[(inputs * blocks_b,)](
        grad,
        weight,
        grad_u,
        batch,
        inputs,
        columns,
        blocks_b,
        **_constants(in_dim, block, precision),
    )
    return grad_u


def _weight_gradient(grad: Tensor, u: Tensor, weight: Tensor, precision: str) -> Tensor:
    """grad_weight [I, K, J, D] of contiguous tensors; 0 for an empty batch."""
    batch, inputs, in_dim = u.shape
    columns = weight.shape[2] * weight.shape[3]
    if batch == 0:
        return torch.zeros_like(weight)
    grad_weight = torch.empty_like(weight)
    block = weight_gradient_blocks(batch, columns)
    blocks_n = triton.cdiv(columns, block.columns)
    weight_gradient_kernel[(inputs * blocks_n,)](
        grad,
        u,
        grad_weight,
        batch,
        inputs,
        columns,
        blocks_n,
        **_constants(in_dim, block, precision),
    )
    return grad_weight


def _constants(in_dim: int, block: Blocks, precision: str) -> dict[str, int | str]:
    """What every kernel here is compiled for."""
    return {
        "K": in_dim,
        "PADDED_K": max(MIN_DOT, next_power_of_2(in_dim)),
        "BLOCK_B": block.samples,
        "BLOCK_N": block.columns,
        "PRECISION": precision,
        "num_warps": WARPS,
    }


def _fit(size: int, limit: int) -> int:
    """A power of two that holds ``size``, but at most ``limit`` and what a tensor core takes."""
    return min(limit, max(MIN_DOT, next_power_of_2(size)))
