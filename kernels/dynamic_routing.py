"""Routing by agreement on stored prediction vectors: every pass reads u_hat once.

A program takes one sample and a slice of its input capsules, against every output capsule, so
the softmax over outputs stays on chip; over inputs it is computed online. Each slice leaves its
weighted sums, and ``kernels/combine.py`` adds the slices up in order. Backward, V of all
iterations is replayed from the saved s; a pass for every iteration from the last gives slices
of dL/dV, and one last pass gives the gradients of u_hat and prior for all iterations at once.

Tiles: u_hat [I, J, D], logits and coefficients [I, J], V and the gradient of s [J, D], every
size padded to a power of two. What is not there is loaded as 0.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastcaps.kernels.combine import (
    LEAST,
    combine_gradients_kernel,
    combine_kernel,
    replay_kernel,
)
from fastcaps.kernels.launch import on_device, processors
from fastcaps.kernels.tiles import next_power_of_2, rows_per_program

__all__ = ["backward", "forward"]

PROGRAMS = 16
"""Programs, of one warp, for each processor: enough to keep memory busy."""
MIN_SLICE = 16
"""Fewest input capsules that are worth a slice."""
TILE = 1024
"""Numbers of u_hat that a program holds at a time."""


@triton.jit
def prediction_tile(
    i,
    end,
    J: tl.constexpr,
    D: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """Offsets in a sample's u_hat of inputs i .. i + BLOCK_I, [I, J, D], and which exist."""
    row = tl.arange(0, BLOCK_I)[:, None, None]
    j = tl.arange(0, PADDED_J)[None, :, None]
    d = tl.arange(0, PADDED_D)[None, None, :]
    exists = (i + row < end) & (j < J) & (d < D)
    return tl.cast(i, tl.int64) * (J * D) + (row * J + j) * D + d, exists


@triton.jit
def pair_tile(i, end, J: tl.constexpr, BLOCK_I: tl.constexpr, PADDED_J: tl.constexpr):
    """Offsets in [I, J] of inputs i .. i + BLOCK_I, and which exist."""
    row = tl.arange(0, BLOCK_I)[:, None]
    j = tl.arange(0, PADDED_J)[None, :]
    return tl.cast(i, tl.int64) * J + row * J + j, (i + row < end) & (j < J)


@triton.jit
def load_prior(
    prior,
    i,
    end,
    J: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
):
    """The prior logits of inputs i .. i + BLOCK_I, [I, J] in float32, 0 where there are none."""
    if HAS_PRIOR:
        offset, exists = pair_tile(i, end, J, BLOCK_I, PADDED_J)
        return tl.load(prior + offset, mask=exists, other=0.0).to(tl.float32)
    else:
        return tl.zeros([BLOCK_I, PADDED_J], tl.float32)


@triton.jit
def load_vectors(
    vectors,
    sample,
    J: tl.constexpr,
    D: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """What a sample has for its output capsules in [B, J, D], as a tile [J, D]."""
    j = tl.arange(0, PADDED_J)[:, None]
    d = tl.arange(0, PADDED_D)[None, :]
    exists = (j < J) & (d < D)
    return tl.load(vectors + sample * (J * D) + j * D + d, mask=exists, other=0.0)


@triton.jit
def routing_logits(
    u_hat,
    agreement,
    prior,
    i,
    end,
    J: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
):
    """``prior + u_hat . V`` [I, J]; -inf for what has no part in the softmax."""
    logits = prior + tl.sum(u_hat * agreement[None, :, :], 2)
    # Over outputs an input that is not there is harmless: its u_hat is 0.
    if OVER_INPUTS:
        counts = (i + tl.arange(0, BLOCK_I) < end)[:, None]
    else:
        counts = (tl.arange(0, PADDED_J) < J)[None, :]
    return tl.where(counts, logits, float("-inf"))


@triton.jit
def softmax_over_outputs(logits):
    """Coupling coefficients [I, J]."""
    weights = tl.exp(logits - tl.max(logits, 1, keep_dims=True))
    return weights / tl.sum(weights, 1, keep_dims=True)


@triton.jit
def load_softmax(
    log_sum_exp, sample, J: tl.constexpr, OVER_INPUTS: tl.constexpr, PADDED_J: tl.constexpr
):
    """A sample's saved softmax over inputs: the largest logit and the log of the rest, [J]."""
    if OVER_INPUTS:
        j = tl.arange(0, PADDED_J)
        pair = log_sum_exp + (sample * J + j) * 2
        return tl.load(pair, mask=j < J, other=0.0), tl.load(pair + 1, mask=j < J, other=0.0)
    else:
        return tl.zeros([PADDED_J], tl.float32), tl.zeros([PADDED_J], tl.float32)


@triton.jit
def load_center(
    s,
    grad_s,
    sample,
    J: tl.constexpr,
    D: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """The mean over inputs of u_hat . grad_s, weighted by the coefficients: s . grad_s [J]."""
    if OVER_INPUTS:
        return tl.sum(load_vectors(s, sample, J, D, PADDED_J, PADDED_D) * grad_s, 1)
    else:
        return tl.zeros([PADDED_J], tl.float32)


@triton.jit
def saved_coefficients(logits, peak, rest, OVER_INPUTS: tl.constexpr):
    """Coupling coefficients [I, J] of a saved iteration, from logits [I, J]."""
    if OVER_INPUTS:
        return tl.exp((logits - peak[None, :]) - rest[None, :])
    else:
        return softmax_over_outputs(logits)


@triton.jit
def logit_gradients(u_hat, coefficients, grad_s, center, OVER_INPUTS: tl.constexpr):
    """dL/dlogits [I, J], through the softmax."""
    along = tl.sum(u_hat * grad_s[None, :, :], 2)
    if OVER_INPUTS:
        return coefficients * (along - center[None, :])
    else:
        return coefficients * (along - tl.sum(coefficients * along, 1, keep_dims=True))


@triton.jit
def weighted_sums_kernel(
    u_hat,  # [B, I, J, D]
    prior,  # [I, J]
    agreement,  # [B, J, D]: V, none in the first iteration
    partial,  # [slices, B, J, D], written
    largest,  # [slices, B, J], over inputs, written
    weights,  # [slices, B, J], over inputs, written
    batch,
    inputs,
    slices,
    slice_inputs,
    J: tl.constexpr,
    D: tl.constexpr,
    FIRST: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """A slice's part of s. Over inputs the weights are relative to its largest logit.

    Over inputs every row of the tile keeps a largest logit of its own, which costs nothing
    between threads; they meet after the loop.
    """
    UNIFORM: tl.constexpr = FIRST and not HAS_PRIOR
    sample = (tl.program_id(0) // slices).to(tl.int64)
    index = tl.program_id(0) % slices
    start = index * slice_inputs
    end = tl.minimum(start + slice_inputs, inputs)
    u_hat += sample * inputs * (J * D)
    if FIRST:
        V = tl.zeros([PADDED_J, PADDED_D], tl.float32)
    else:
        V = load_vectors(agreement, sample, J, D, PADDED_J, PADDED_D)
    sums = tl.zeros([BLOCK_I, PADDED_J, PADDED_D], tl.float32)
    weight = tl.zeros([BLOCK_I, PADDED_J], tl.float32)
    peak = tl.full([BLOCK_I, PADDED_J], LEAST, tl.float32)
    for i in range(start, end, BLOCK_I):
        offset, exists = prediction_tile(i, end, J, D, BLOCK_I, PADDED_J, PADDED_D)
        predictions = tl.load(u_hat + offset, mask=exists, other=0.0).to(tl.float32)
        if UNIFORM:
            sums += predictions
        else:
            before = load_prior(prior, i, end, J, HAS_PRIOR, BLOCK_I, PADDED_J)
            logits = routing_logits(
                predictions, V, before, i, end, J, OVER_INPUTS, BLOCK_I, PADDED_J
            )
            if OVER_INPUTS:
                higher = tl.maximum(peak, logits)
                decay = tl.exp(peak - higher)
                share = tl.exp(logits - higher)
                weight = weight * decay + share
                sums = sums * decay[:, :, None] + share[:, :, None] * predictions
                peak = higher
            else:
                sums += softmax_over_outputs(logits)[:, :, None] * predictions
    row = index.to(tl.int64) * batch + sample
    if OVER_INPUTS:
        if UNIFORM:
            slice_peak = tl.zeros([PADDED_J], tl.float32)
            slice_weight = tl.zeros([PADDED_J], tl.float32) + (end - start)
        else:
            slice_peak = tl.max(peak, 0)
            share = tl.exp(peak - slice_peak[None, :])
            slice_weight = tl.sum(weight * share, 0)
            sums *= share[:, :, None]
        j = tl.arange(0, PADDED_J)
        tl.store(largest + row * J + j, slice_peak, mask=j < J)
        tl.store(weights + row * J + j, slice_weight, mask=j < J)
    total = tl.sum(sums, 0)
    if UNIFORM and not OVER_INPUTS:
        total /= J
    j = tl.arange(0, PADDED_J)[:, None]
    d = tl.arange(0, PADDED_D)[None, :]
    tl.store(partial + row * (J * D) + j * D + d, total, mask=(j < J) & (d < D))


@triton.jit
def agreement_gradient_kernel(
    u_hat,  # [B, I, J, D]
    prior,  # [I, J]
    agreement,  # [B, J, D]: V, of this iteration
    grad_s,  # [B, J, D], of this iteration
    s,  # [B, J, D], of this iteration
    log_sum_exp,  # [B, J, 2], of this iteration, over inputs
    partial,  # [slices, B, J, D], written
    batch,
    inputs,
    slices,
    slice_inputs,
    J: tl.constexpr,
    D: tl.constexpr,
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """A slice's part of dL/dV."""
    sample = (tl.program_id(0) // slices).to(tl.int64)
    index = tl.program_id(0) % slices
    start = index * slice_inputs
    end = tl.minimum(start + slice_inputs, inputs)
    u_hat += sample * inputs * (J * D)
    V = load_vectors(agreement, sample, J, D, PADDED_J, PADDED_D)
    incoming = load_vectors(grad_s, sample, J, D, PADDED_J, PADDED_D)
    center = load_center(s, incoming, sample, J, D, OVER_INPUTS, PADDED_J, PADDED_D)
    peak, rest = load_softmax(log_sum_exp, sample, J, OVER_INPUTS, PADDED_J)
    sums = tl.zeros([BLOCK_I, PADDED_J, PADDED_D], tl.float32)
    for i in range(start, end, BLOCK_I):
        offset, exists = prediction_tile(i, end, J, D, BLOCK_I, PADDED_J, PADDED_D)
        predictions = tl.load(u_hat + offset, mask=exists, other=0.0).to(tl.float32)
        before = load_prior(prior, i, end, J, HAS_PRIOR, BLOCK_I, PADDED_J)
        logits = routing_logits(predictions, V, before, i, end, J, OVER_INPUTS, BLOCK_I, PADDED_J)
        coefficients = saved_coefficients(logits, peak, rest, OVER_INPUTS)
        gradients = logit_gradients(predictions, coefficients, incoming, center, OVER_INPUTS)
        sums += gradients[:, :, None] * predictions
    row = index.to(tl.int64) * batch + sample
    j = tl.arange(0, PADDED_J)[:, None]
    d = tl.arange(0, PADDED_D)[None, :]
    tl.store(partial + row * (J * D) + j * D + d, tl.sum(sums, 0), mask=(j < J) & (d < D))


@triton.jit
def prediction_gradient_kernel(
    u_hat,  # [B, I, J, D]
    prior,  # [I, J]
    agreement,  # [R, B, J, D]: V of every iteration
    grad_s,  # [R, B, J, D], of every iteration that has a gradient
    s,  # [R, B, J, D]
    log_sum_exp,  # [R, B, J, 2], over inputs
    grad_u_hat,  # [B, I, J, D], written
    partial_prior,  # [groups, I, J]: dL/dprior of a group of samples, written
    batch,
    inputs,
    slices,
    slice_inputs,
    group_samples,
    first,  # the first iteration, from 0, that is not uniform and has a gradient
    iterations,
    J: tl.constexpr,
    D: tl.constexpr,
    UNIFORM: tl.constexpr,  # iteration 0 has the same coefficient for all, and a gradient
    HAS_PRIOR: tl.constexpr,
    OVER_INPUTS: tl.constexpr,
    DETACHED: tl.constexpr,
    BLOCK_I: tl.constexpr,
    PADDED_J: tl.constexpr,
    PADDED_D: tl.constexpr,
):
    """dL/du_hat of a slice of inputs of a group of samples, and the group's dL/dprior."""
    group = (tl.program_id(0) // slices).to(tl.int64)
    last_sample = tl.minimum((group + 1) * group_samples, batch)
    start = tl.program_id(0) % slices * slice_inputs
    end = tl.minimum(start + slice_inputs, inputs)
    for i in range(start, end, BLOCK_I):
        offset, exists = prediction_tile(i, end, J, D, BLOCK_I, PADDED_J, PADDED_D)
        before = load_prior(prior, i, end, J, HAS_PRIOR, BLOCK_I, PADDED_J)
        prior_total = tl.zeros([BLOCK_I, PADDED_J], tl.float32)
        for sample in range(group * group_samples, last_sample):
            element = sample * inputs * (J * D) + offset
            predictions = tl.load(u_hat + element, mask=exists, other=0.0).to(tl.float32)
            outgoing = tl.zeros([BLOCK_I, PADDED_J, PADDED_D], tl.float32)
            if UNIFORM:
                incoming = load_vectors(grad_s, sample, J, D, PADDED_J, PADDED_D)
                outgoing += (incoming / (inputs if OVER_INPUTS else J))[None, :, :]
            for iteration in range(first, iterations):
                row = tl.cast(iteration, tl.int64) * batch + sample
                V = load_vectors(agreement, row, J, D, PADDED_J, PADDED_D)
                incoming = load_vectors(grad_s, row, J, D, PADDED_J, PADDED_D)
                # Unused, and left out by the compiler, where DETACHED.
                center = load_center(s, incoming, row, J, D, OVER_INPUTS, PADDED_J, PADDED_D)
                peak, rest = load_softmax(log_sum_exp, row, J, OVER_INPUTS, PADDED_J)
                logits = routing_logits(
                    predictions, V, before, i, end, J, OVER_INPUTS, BLOCK_I, PADDED_J
                )
                coefficients = saved_coefficients(logits, peak, rest, OVER_INPUTS)
                outgoing += coefficients[:, :, None] * incoming[None, :, :]
                if not DETACHED:
                    gradients = logit_gradients(
                        predictions, coefficients, incoming, center, OVER_INPUTS
                    )
                    outgoing += gradients[:, :, None] * V[None, :, :]
                    prior_total += gradients
            tl.store(grad_u_hat + element, outgoing.to(grad_u_hat.dtype.element_ty), mask=exists)
        if HAS_PRIOR and not DETACHED:
            pair, there = pair_tile(i, end, J, BLOCK_I, PADDED_J)
            tl.store(partial_prior + group * inputs * J + pair, prior_total, mask=there)


class Blocks(NamedTuple):
    """The sizes of a program's tiles."""

    inputs: int
    outputs: int
    dim: int


class Cut(NamedTuple):
    """How the samples and input capsules are shared out to programs."""

    group_samples: int
    groups: int
    slice_inputs: int
    slices: int


def tile_blocks(inputs: int, outputs: int, dim: int) -> Blocks:
    """Tiles of about ``TILE`` numbers, with every output capsule in them."""
    padded_j, padded_d = next_power_of_2(outputs), next_power_of_2(dim)
    block = max(1, TILE // (padded_j * padded_d))
    return Blocks(min(block, next_power_of_2(inputs)), padded_j, padded_d)


def cut_for_sums(batch: int, inputs: int, block: Blocks, processors: int) -> Cut:
    """One sample a program; slices of inputs where the batch alone does not fill a GPU.

    Where there is more than one slice there are fewer than twice the programs wanted, so the
    workspace of their sums is a few MiB whatever the size of u_hat.
    """
    shortest = max(MIN_SLICE, block.inputs)
    wanted = min(triton.cdiv(PROGRAMS * processors, batch), triton.cdiv(inputs, shortest))
    length = triton.cdiv(triton.cdiv(inputs, wanted), block.inputs) * block.inputs
    return Cut(1, batch, length, triton.cdiv(inputs, length))


def cut_for_prior(batch: int, inputs: int, block: Blocks, processors: int) -> Cut:
    """One tile of inputs a program, with as many samples as still leave the GPU full.

    A program adds up the gradients of prior of its samples; what it leaves has one number for
    ``group_samples * D`` numbers of u_hat.
    """
    slices = triton.cdiv(inputs, block.inputs)
    group = triton.cdiv(batch, min(batch, triton.cdiv(PROGRAMS * processors, slices)))
    return Cut(group, triton.cdiv(batch, group), block.inputs, slices)


class Routing(NamedTuple):
    """The tensors and options of a call, contiguous, and what the kernels are compiled for."""

    u_hat: Tensor
    bias: Tensor | None
    prior: Tensor | None
    iterations: int
    over_inputs: bool

    @property
    def rows(self) -> int:
        """Output capsules of all samples, the rows of ``kernels/combine.py``."""
        return self.u_hat.shape[0] * self.u_hat.shape[2]

    @property
    def combine_grid(self) -> tuple[int]:
        """Programs of the kernels of ``kernels/combine.py``."""
        return (triton.cdiv(self.rows, rows_per_program(self.u_hat.shape[3])),)

    @property
    def combine_options(self) -> dict[str, int | bool]:
        """Constants of the kernels of ``kernels/combine.py``."""
        dim = self.u_hat.shape[3]
        return {
            "D": dim,
            "HAS_BIAS": self.bias is not None,
            "ROWS": rows_per_program(dim),
            "WIDE": next_power_of_2(dim),
            "num_warps": 1,
        }

    @property
    def blocks(self) -> Blocks:
        """The tiles of the passes over u_hat."""
        return tile_blocks(*self.u_hat.shape[1:])

    @property
    def pass_options(self) -> dict[str, int | bool]:
        """Constants of the passes over u_hat."""
        _, _, outputs, dim = self.u_hat.shape
        block = self.blocks
        return {
            "J": outputs,
            "D": dim,
            "HAS_PRIOR": self.prior is not None,
            "OVER_INPUTS": self.over_inputs,
            "BLOCK_I": block.inputs,
            "PADDED_J": block.outputs,
            "PADDED_D": block.dim,
            "num_warps": 1,
        }


def forward(
    u_hat: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """u_hat [B, I, J, D], bias [J, D], prior [I, J] -> v [B, J, D], and what is saved.

    Saved are s [R, B, J, D] without bias, and over inputs log_sum_exp [R, B, J, 2], the largest
    logit and the log of the sum of ``exp(logit - largest)``; else it has shape (0,).
    """
    call = _routing(u_hat, bias, prior, iterations, softmax_over_inputs)
    batch, inputs, outputs, dim = u_hat.shape
    new_sums = partial(torch.empty, dtype=torch.float32, device=u_hat.device)
    v = u_hat.new_empty(batch, outputs, dim)
    s = new_sums(iterations, batch, outputs, dim)
    saved = (iterations, batch, outputs, 2) if softmax_over_inputs else (0,)
    log_sum_exp = new_sums(saved)
    if batch == 0:
        return v, s, log_sum_exp
    cut = cut_for_sums(batch, inputs, call.blocks, processors(call.u_hat.device))
    agreement = new_sums(batch, outputs, dim)
    slice_sums = new_sums(cut.slices, batch, outputs, dim)
    online = new_sums(2, cut.slices if softmax_over_inputs else 0, batch, outputs)
    with on_device(u_hat):
        for iteration in range(iterations):
            weighted_sums_kernel[(batch * cut.slices,)](
                call.u_hat,
                call.prior,
                agreement,
                slice_sums,
                online[0],
                online[1],
                batch,
                inputs,
                cut.slices,
                cut.slice_inputs,
                FIRST=iteration == 0,
                **call.pass_options,
            )
            combine_kernel[call.combine_grid](
                slice_sums,
                online[0],
                online[1],
                call.bias,
                s[iteration],
                log_sum_exp[iteration] if softmax_over_inputs else log_sum_exp,
                agreement,
                v,
                call.rows,
                cut.slices,
                outputs,
                FIRST=iteration == 0,
                LAST=iteration == iterations - 1,
                OVER_INPUTS=softmax_over_inputs,
                EVEN_INPUTS=0,
                **call.combine_options,
            )
    return v, s, log_sum_exp


def backward(
    grad: Tensor,
    u_hat: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    s: Tensor,
    log_sum_exp: Tensor,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """grad_v [B, J, D] -> gradients of u_hat, bias and prior; shape (0,) where there is none."""
    call = _routing(u_hat, bias, prior, iterations, softmax_over_inputs)
    s, log_sum_exp = s.contiguous(), log_sum_exp.contiguous()
    first = iterations - 1 if detach_routing else 0
    if u_hat.shape[0] == 0:
        return (
            torch.empty_like(call.u_hat),
            u_hat.new_empty(0) if bias is None else torch.zeros_like(bias),
            u_hat.new_empty(0) if prior is None else torch.zeros_like(prior),
        )
    with on_device(u_hat):
        agreement, grad_s = _replay(call, grad.contiguous(), s)
        if not detach_routing:
            _gradients_of_sums(call, agreement, grad_s, s, log_sum_exp)
        grad_u_hat, grad_prior = _gradients_of_inputs(
            call, agreement, grad_s, s, log_sum_exp, first, detach_routing
        )
        grad_bias = u_hat.new_empty(0)
        if bias is not None:
            grad_bias = grad_s[first:].sum((0, 1)).to(bias.dtype)
    return grad_u_hat, grad_bias, grad_prior


def _routing(
    u_hat: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    over_inputs: bool,
) -> Routing:
    return Routing(
        u_hat.contiguous(),
        None if bias is None else bias.contiguous(),
        None if prior is None else prior.contiguous(),
        iterations,
        over_inputs,
    )


def _replay(call: Routing, grad: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """V [R, B, J, D] of every iteration, and grad_s [R, B, J, D], of which the last is there."""
    agreement, grad_s = torch.empty_like(s), torch.empty_like(s)
    replay_kernel[call.combine_grid](
        s,
        call.bias,
        grad,
        agreement,
        grad_s,
        call.rows,
        call.iterations,
        call.u_hat.shape[2],
        **call.combine_options,
    )
    return agreement, grad_s


def _gradients_of_sums(
    call: Routing, agreement: Tensor, grad_s: Tensor, s: Tensor, log_sum_exp: Tensor
) -> None:
    """Fill in grad_s [R, B, J, D] of all iterations before the last, from the last to the first.

    One pass over u_hat each: ``s`` of an iteration reaches the next ones through V only.
    """
    batch, inputs, outputs, _ = call.u_hat.shape
    cut = cut_for_sums(batch, inputs, call.blocks, processors(call.u_hat.device))
    slice_sums = s.new_empty(cut.slices, *s.shape[1:])
    grad_agreement = torch.empty_like(s[0])
    for iteration in range(call.iterations - 1, 0, -1):
        agreement_gradient_kernel[(batch * cut.slices,)](
            call.u_hat,
            call.prior,
            agreement[iteration],
            grad_s[iteration],
            s[iteration],
            log_sum_exp[iteration] if call.over_inputs else log_sum_exp,
            slice_sums,
            batch,
            inputs,
            cut.slices,
            cut.slice_inputs,
            **call.pass_options,
        )
        combine_gradients_kernel[call.combine_grid](
            slice_sums,
            grad_agreement,
            s[iteration - 1],
            call.bias,
            grad_s[iteration - 1],
            call.rows,
            cut.slices,
            outputs,
            FIRST=iteration == call.iterations - 1,
            **call.combine_options,
        )


def _gradients_of_inputs(
    call: Routing,
    agreement: Tensor,
    grad_s: Tensor,
    s: Tensor,
    log_sum_exp: Tensor,
    first: int,
    detached: bool,
) -> tuple[Tensor, Tensor]:
    """grad_u_hat and grad_prior of the iterations from ``first``, counted from 0: the last pass."""
    batch, inputs, outputs, _ = call.u_hat.shape
    uniform = first == 0 and call.prior is None
    with_prior = call.prior is not None and not detached
    choose_cut = cut_for_prior if with_prior else cut_for_sums
    cut = choose_cut(batch, inputs, call.blocks, processors(call.u_hat.device))
    partial_prior = s.new_empty(cut.groups if with_prior else 0, inputs, outputs)
    grad_u_hat = torch.empty_like(call.u_hat)
    prediction_gradient_kernel[(cut.groups * cut.slices,)](
        call.u_hat,
        call.prior,
        agreement,
        grad_s,
        s,
        log_sum_exp,
        grad_u_hat,
        partial_prior,
        batch,
        inputs,
        cut.slices,
        cut.slice_inputs,
        cut.group_samples,
        1 if uniform else first,
        call.iterations,
        UNIFORM=uniform,
        DETACHED=detached,
        **call.pass_options,
    )
    if call.prior is None:
        return grad_u_hat, call.u_hat.new_empty(0)
    if detached:
        return grad_u_hat, torch.zeros_like(call.prior)
    return grad_u_hat, partial_prior.sum(0).to(call.prior.dtype)
