"""Squash and its gradient on tiles of vectors, for the other kernels: rows are vectors."""

import triton
import triton.language as tl


@triton.jit
def row_tile(rows, D: tl.constexpr, ROWS: tl.constexpr, WIDE: tl.constexpr):
    """This program's rows: their numbers, the offsets of their elements, and which exist."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, WIDE)
    exists = (row < rows)[:, None] & (d < D)[None, :]
    return row, row[:, None] * D + d[None, :], exists


@triton.jit
def direction_and_length(s):
    """s [N, D] -> unit vectors [N, D] (0 for s = 0), lengths [N, 1].

    The norm is taken of s / scale, so that ``|s|^2`` cannot overflow.
    """
    scale = tl.maximum(tl.max(tl.abs(s), 1, keep_dims=True), 1.0)
    x = s / scale
    squares = tl.sum(x * x, 1, keep_dims=True)
    root = tl.sqrt(squares)
    # The root, since that of a denormal may be flushed to 0. NaN is not 0, and stays.
    direction = x / tl.where(root == 0.0, 1.0, root)
    return direction, root * scale


@triton.jit
def squash_vectors(s):
    """``|s| / (1 + |s|^2) * s`` of every row of s [N, D]."""
    direction, length = direction_and_length(s)
    # |s|^2 / (1 + |s|^2) = 1 / (1 + |s|^-2): neither overflows, nor divides by 0.
    inverse = 1.0 / tl.maximum(length, 1.0)
    short = length * length / (1.0 + length * length)
    return tl.where(length > 1.0, 1.0 / (1.0 + inverse * inverse), short) * direction


@triton.jit
def squash_gradient(s, grad):
    """The gradient of squash at s [N, D], times grad [N, D]: 0 at s = 0."""
    direction, length = direction_and_length(s)
    small = tl.where(length > 1.0, 1.0 / tl.maximum(length, 1.0), length)
    ratio = small / (1.0 + small * small)  # |s| / (1 + |s|^2)
    bend = (1.0 - small * small) / (1.0 + small * small)
    bend = tl.where(length > 1.0, -bend, bend)  # (1 - |s|^2) / (1 + |s|^2)
    along = tl.sum(direction * grad, 1, keep_dims=True)
    return ratio * (grad + bend * direction * along)
