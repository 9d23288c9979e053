"""Between two passes over the input capsules: add the slices' sums, squash, agree.

The passes leave weighted sums of slices of the input capsules. Every (sample, output capsule)
is a row here; the rows of ``s``, ``agreement`` and their gradients are [B * J, D]. All numbers
are float32, but ``bias``, ``v`` and ``grad``, which are in the dtype of the call.

``agreement`` is V of the routing logits ``prior + u_hat . V``: the sum of the v before it.
"""

import triton
import triton.language as tl

from fastcaps.kernels.vectors import row_tile, squash_gradient, squash_vectors

AHEAD = tl.constexpr(8)
"""Slices whose loads are under way at once: they do not wait for the sum before them."""
LEAST = tl.constexpr(-3.4028234663852886e38)
"""The least float32: what a largest logit starts from. Unlike -inf it can be subtracted."""


@triton.jit
def load_bias(bias, row, J, exists, D: tl.constexpr, WIDE: tl.constexpr, HAS_BIAS: tl.constexpr):
    """The bias of every row [ROWS, WIDE] in float32, 0 where there is none."""
    if HAS_BIAS:
        offset = (row % J)[:, None] * D + tl.arange(0, WIDE)[None, :]
        return tl.load(bias + offset, mask=exists, other=0.0).to(tl.float32)
    else:
        return tl.zeros(exists.shape, tl.float32)


@triton.jit
def add_slices(partial, element, exists, slices, stride):
    """The sum of the slices' sums, in order."""
    total = tl.zeros(exists.shape, tl.float32)
    for block in range(0, slices, AHEAD):
        for index in tl.static_range(AHEAD):
            there = exists & (block + index < slices)
            offset = (block + index) * stride + element
            total += tl.load(partial + offset, mask=there, other=0.0)
    return total


@triton.jit
def largest_of_slices(largest, row, rows, slices):
    """The largest logit of every row [ROWS] over all slices."""
    peak = tl.full(row.shape, LEAST, tl.float32)
    for block in range(0, slices, AHEAD):
        for index in tl.static_range(AHEAD):
            there = (row < rows) & (block + index < slices)
            offset = (block + index) * tl.cast(rows, tl.int64) + row
            peak = tl.maximum(peak, tl.load(largest + offset, mask=there, other=LEAST))
    return peak


@triton.jit
def add_softmax_slices(partial, largest, weights, row, element, exists, rows, slices, stride):
    """Slices of a softmax over inputs: the weighted mean, the largest logit, log of the rest.

    Each slice's sums are relative to its own largest logit.
    """
    peak = largest_of_slices(largest, row, rows, slices)
    total = tl.zeros(exists.shape, tl.float32)
    weight = tl.where(row < rows, 0.0, 1.0)
    for block in range(0, slices, AHEAD):
        for index in tl.static_range(AHEAD):
            row_there = (row < rows) & (block + index < slices)
            there = exists & (block + index < slices)
            of_row = (block + index) * tl.cast(rows, tl.int64) + row
            offset = (block + index) * stride + element
            slice_peak = tl.load(largest + of_row, mask=row_there, other=LEAST)
            share = tl.exp(slice_peak - peak)
            weight += share * tl.load(weights + of_row, mask=row_there, other=0.0)
            total += share[:, None] * tl.load(partial + offset, mask=there, other=0.0)
    return total / weight[:, None], peak, tl.log(weight)


@triton.jit(do_not_specialize=["rows", "slices"])
def combine_kernel(
    partial,  # [slices, B * J, D]
    largest,  # [slices, B * J], over inputs
    weights,  # [slices, B * J], over inputs
    bias,  # [J, D]
    s,  # [B * J, D], of this iteration
    log_sum_exp,  # [B * J, 2], of this iteration, over inputs
    agreement,  # [B * J, D]: V, updated in place
    v,  # [B * J, D], written in the last iteration
    rows,
    slices,
    J: tl.constexpr,
    D: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    EVEN_INPUTS: tl.constexpr,  # the number of inputs where their coefficients are equal, else 0
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """End of an iteration: s from the slices, v = squash(s + bias), V += v."""
    row, element, exists = row_tile(rows, D, ROWS, WIDE)
    stride = tl.cast(rows, tl.int64) * D
    if OVER_INPUTS and EVEN_INPUTS > 0:
        # The slices' sums have their coefficients already, from logits of 0.
        sums = add_slices(partial, element, exists, slices, stride)
        nothing = tl.zeros(row.shape, tl.float32)
        tl.store(log_sum_exp + row * 2, nothing, mask=row < rows)
        even = nothing + EVEN_INPUTS
        tl.store(log_sum_exp + row * 2 + 1, tl.log(even), mask=row < rows)
    elif OVER_INPUTS:
        sums, peak, rest = add_softmax_slices(
            partial, largest, weights, row, element, exists, rows, slices, stride
        )
        tl.store(log_sum_exp + row * 2, peak, mask=row < rows)
        tl.store(log_sum_exp + row * 2 + 1, rest, mask=row < rows)
    else:
        sums = add_slices(partial, element, exists, slices, stride)
    tl.store(s + element, sums, mask=exists)
    vectors = squash_vectors(sums + load_bias(bias, row, J, exists, D, WIDE, HAS_BIAS))
    if LAST:
        tl.store(v + element, vectors.to(v.dtype.element_ty), mask=exists)
    elif FIRST:
        tl.store(agreement + element, vectors, mask=exists)
    else:
        before = tl.load(agreement + element, mask=exists, other=0.0)
        tl.store(agreement + element, before + vectors, mask=exists)


@triton.jit(do_not_specialize=["rows", "iterations"])
def replay_kernel(
    s,  # [R, B * J, D]
    bias,  # [J, D]
    grad,  # [B * J, D]: dL/dv
    agreement,  # [R, B * J, D]: V of every iteration, written
    grad_s,  # [R, B * J, D]: that of the last iteration is written
    rows,
    iterations,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """Start of the backward pass: V of every iteration, and dL/ds of the last one."""
    row, element, exists = row_tile(rows, D, ROWS, WIDE)
    stride = tl.cast(rows, tl.int64) * D
    added = load_bias(bias, row, J, exists, D, WIDE, HAS_BIAS)
    total = tl.zeros(exists.shape, tl.float32)
    for iteration in range(iterations - 1):
        tl.store(agreement + iteration * stride + element, total, mask=exists)
        total += squash_vectors(
            tl.load(s + iteration * stride + element, mask=exists, other=0.0) + added
        )
    last = (iterations - 1) * stride
    tl.store(agreement + last + element, total, mask=exists)
    vectors = tl.load(s + last + element, mask=exists, other=0.0) + added
    incoming = tl.load(grad + element, mask=exists, other=0.0).to(tl.float32)
    tl.store(grad_s + last + element, squash_gradient(vectors, incoming), mask=exists)


@triton.jit(do_not_specialize=["rows", "slices"])
def combine_gradients_kernel(
    partial,  # [slices, B * J, D]: of dL/dV of the iteration after this one
    grad_agreement,  # [B * J, D]: dL/dV summed over the iterations done, updated in place
    s,  # [B * J, D], of this iteration
    bias,  # [J, D]
    grad_s,  # [B * J, D], of this iteration, written
    rows,
    slices,
    J: tl.constexpr,
    D: tl.constexpr,
    FIRST: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """Through v = squash(s + bias) of the iteration before: dL/dv = dL/dV, gives dL/ds."""
    row, element, exists = row_tile(rows, D, ROWS, WIDE)
    incoming = add_slices(partial, element, exists, slices, tl.cast(rows, tl.int64) * D)
    if not FIRST:
        incoming += tl.load(grad_agreement + element, mask=exists, other=0.0)
    tl.store(grad_agreement + element, incoming, mask=exists)
    vectors = tl.load(s + element, mask=exists, other=0.0)
    vectors += load_bias(bias, row, J, exists, D, WIDE, HAS_BIAS)
    tl.store(grad_s + element, squash_gradient(vectors, incoming), mask=exists)
