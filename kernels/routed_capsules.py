"""The fused capsule layer: forward and backward as passes that never store ``u_hat``.

Forward, for each iteration: over outputs, a pass for the normalizer of every input capsule's
softmax; a pass for the weighted sums of slices of the inputs, each output capsule by itself;
then ``kernels/combine.py`` adds the slices up in order and squashes. Backward: V is replayed from
the saved s; from the last iteration to the first, a pass for dL/du (which also finds what the
softmax's gradient needs) and one for slices of dL/dV; at last one for dL/dweight and dL/dprior.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastcaps.kernels.combine import combine_gradients_kernel, combine_kernel, replay_kernel
from fastcaps.kernels.coupling import arrange_kernel
from fastcaps.kernels.launch import aligned, on_device
from fastcaps.kernels.passes import (
    agreement_gradients_kernel,
    input_gradients_kernel,
    normalizer_kernel,
    uniform_sums_kernel,
    weight_gradients_kernel,
    weighted_sums_kernel,
)
from fastcaps.kernels.plan import Plan, plan_of

__all__ = ["arrange", "backward", "forward", "route"]


class Inputs(NamedTuple):
    """What a layer is computed from, aligned."""

    u: Tensor  # as arrange_kernel leaves it
    weight: Tensor  # [I, K, J, D]
    bias: Tensor | None  # [J, D]
    prior: Tensor | None  # [I, J]


class Replay(NamedTuple):
    """What the backward pass knows of every iteration, filled from the last to the first."""

    agreement: Tensor  # [R, B, J, D]: V
    s: Tensor  # [R, B, J, D]
    grad_s: Tensor  # [R, B, J, D]
    log_sum_exp: Tensor  # [R, B, J, 2], over inputs
    normalizer: Tensor  # [R, 2, B, I], over outputs
    mean_slope: Tensor  # [R, B, I], over outputs

    def iterations(self) -> list[tuple[Tensor, ...]]:
        """The same tensors of every iteration; an empty one stays."""
        count = self.s.shape[0]
        views = (x.unbind() if x.numel() > 0 else (x,) * count for x in self)
        return list(zip(*views, strict=True))


def arrange(
    plan: Plan, u: Tensor, weight: Tensor, bias: Tensor | None, prior: Tensor | None
) -> Inputs:
    """The inputs as the kernels take them."""
    arranged = plan.arranged()
    grid = plan.by_input("arrange_kernel")
    plan.run(arrange_kernel, grid, aligned(u), arranged, plan.batch, plan.inputs)
    return Inputs(
        arranged,
        aligned(weight),
        None if bias is None else aligned(bias),
        None if prior is None else aligned(prior),
    )


def forward(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
    allow_tf32: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """u [B, I, K], weight [I, K, J, D] -> v [B, J, D], s [R, B, J, D], log_sum_exp [R, B, J, 2].

    log_sum_exp is empty for a softmax over outputs.
    """
    plan = plan_of(u, weight, bias, prior, iterations, softmax_over_inputs, allow_tf32)
    v = u.new_empty(plan.batch, plan.outputs, plan.dim)
    s = plan.vectors(iterations)
    log_sum_exp = plan.log_sum_exp()
    if plan.batch > 0:
        with on_device(u):
            inputs = arrange(plan, u, weight, bias, prior)
            route(plan, inputs, plan.vectors(), plan.over_outputs(2), v, s, log_sum_exp)
    return v, s, log_sum_exp


def route(
    plan: Plan,
    inputs: Inputs,
    agreement: Tensor,
    normalizer: Tensor,
    v: Tensor,
    s: Tensor,
    log_sum_exp: Tensor,
) -> None:
    """Fill v, s and log_sum_exp, and those of the last iteration in agreement and normalizer."""
    u, weight, bias, prior = inputs
    grid, slice_inputs = plan.by_output("weighted_sums_kernel")
    uniform_grid, uniform_inputs = plan.by_number("uniform_sums_kernel")
    partial = plan.vectors(max(grid[2], uniform_grid[2]))
    per_slice = (grid[2], plan.batch, plan.outputs) if plan.over_inputs else (0,)
    largest, weights = plan.numbers(*per_slice), plan.numbers(*per_slice)
    sums = s.unbind()
    for t in range(plan.iterations):
        uniform = t == 0 and prior is None
        if uniform:
            plan.run(
                uniform_sums_kernel,
                uniform_grid,
                u,
                weight,
                partial,
                plan.batch,
                plan.inputs,
                uniform_inputs,
            )
        elif not plan.over_inputs:
            plan.run(
                normalizer_kernel,
                plan.by_input("normalizer_kernel"),
                u,
                weight,
                agreement,
                prior,
                normalizer,
                plan.batch,
                plan.inputs,
                HAS_AGREEMENT=t > 0,
            )
        if not uniform:
            plan.run(
                weighted_sums_kernel,
                grid,
                u,
                weight,
                agreement,
                prior,
                normalizer,
                partial,
                largest,
                weights,
                plan.batch,
                plan.inputs,
                slice_inputs,
                HAS_AGREEMENT=t > 0,
            )
        plan.run(
            combine_kernel,
            plan.row_grid,
            partial,
            largest,
            weights,
            bias,
            sums[t],
            plan.of_iteration(log_sum_exp, t),
            agreement,
            v,
            plan.batch * plan.outputs,
            uniform_grid[2] if uniform else grid[2],
            FIRST=t == 0,
            LAST=t == plan.iterations - 1,
            EVEN_INPUTS=plan.inputs if uniform else 0,
        )


def backward(
    grad: Tensor,
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    s: Tensor,
    log_sum_exp: Tensor,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
    allow_tf32: bool,
    need_u: bool,
    need_weight: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """grad [B, J, D] -> gradients of u, weight, bias, prior; empty where there is none."""
    plan = plan_of(u, weight, bias, prior, iterations, softmax_over_inputs, allow_tf32)
    first = iterations - 1 if detach_routing else 0
    need_prior = prior is not None and not detach_routing
    grad_u = plan.numbers(*(u.shape if need_u else (0,)))
    grad_weight = u.new_empty(weight.shape if need_weight else (0,))
    grad_prior = u.new_empty((0,) if prior is None else prior.shape)
    if not need_prior:
        grad_prior.zero_()
    if plan.batch == 0:
        grad_bias = u.new_zeros((0,) if bias is None else bias.shape)
        return grad_u.to(u.dtype), grad_weight.zero_(), grad_bias, grad_prior.zero_()
    with on_device(u):
        inputs = arrange(plan, u, weight, bias, prior)
        replay = Replay(
            plan.vectors(iterations),
            aligned(s),
            plan.vectors(iterations),
            aligned(log_sum_exp),
            plan.over_outputs(iterations, 2),
            plan.over_outputs(iterations),
        )
        _start(plan, inputs, replay, aligned(grad))
        views, grad_agreement = replay.iterations(), plan.vectors()
        for t in range(iterations - 1, first - 1, -1):
            known = softmax_over_inputs or (t == 0 and prior is None)  # the coefficients
            if need_u or not known:
                _input_gradients(plan, inputs, views[t], grad_u, t, detach_routing)
            if t > first:
                _agreement_gradients(plan, inputs, views[t], views[t - 1], grad_agreement, t)
        if need_weight or need_prior:
            _weight_gradients(plan, inputs, replay, grad_weight, grad_prior, first, detach_routing)
    grad_bias = u.new_empty(0) if bias is None else replay.grad_s[first:].sum((0, 1)).to(u.dtype)
    return grad_u.to(u.dtype), grad_weight, grad_bias, grad_prior


def _start(plan: Plan, inputs: Inputs, replay: Replay, grad: Tensor) -> None:
    """Fill agreement of every iteration, and grad_s of the last."""
    plan.run(
        replay_kernel,
        plan.row_grid,
        replay.s,
        inputs.bias,
        grad,
        replay.agreement,
        replay.grad_s,
        plan.batch * plan.outputs,
        plan.iterations,
    )


def _input_gradients(
    plan: Plan,
    inputs: Inputs,
    iteration: tuple[Tensor, ...],
    grad_u: Tensor,
    t: int,
    detached: bool,
) -> None:
    """Add iteration t to grad_u; fill its normalizer and mean_slope."""
    plan.run(
        input_gradients_kernel,
        plan.by_input("input_gradients_kernel"),
        inputs.u,
        inputs.weight,
        inputs.prior,
        *iteration,
        grad_u,
        plan.batch,
        plan.inputs,
        FIRST=t == plan.iterations - 1,
        UNIFORM=t == 0 and inputs.prior is None,
        DETACHED=detached,
        NEED_U=grad_u.numel() > 0,
    )


def _agreement_gradients(
    plan: Plan,
    inputs: Inputs,
    iteration: tuple[Tensor, ...],
    before: tuple[Tensor, ...],
    grad_agreement: Tensor,
    t: int,
) -> None:
    """Fill grad_s of the iteration before t; grad_agreement [B, J, D] sums dL/dV up to there."""
    _, s, grad_s, *_ = before
    grid, slice_inputs = plan.by_output("agreement_gradients_kernel")
    partial = plan.vectors(grid[2])
    plan.run(
        agreement_gradients_kernel,
        grid,
        inputs.u,
        inputs.weight,
        inputs.prior,
        *iteration,
        partial,
        plan.batch,
        plan.inputs,
        slice_inputs,
    )
    plan.run(
        combine_gradients_kernel,
        plan.row_grid,
        partial,
        grad_agreement,
        s,
        inputs.bias,
        grad_s,
        plan.batch * plan.outputs,
        grid[2],
        FIRST=t == plan.iterations - 1,
    )


def _weight_gradients(
    plan: Plan,
    inputs: Inputs,
    replay: Replay,
    grad_weight: Tensor,
    grad_prior: Tensor,
    first: int,
    detached: bool,
) -> None:
    """Fill grad_weight and grad_prior."""
    uniform = first == 0 and inputs.prior is None
    plan.run(
        weight_gradients_kernel,
        (plan.input_tiles("weight_gradients_kernel"), plan.outputs),
        inputs.u,
        inputs.weight,
        inputs.prior,
        replay.agreement,
        replay.s,
        replay.grad_s,
        replay.log_sum_exp,
        replay.normalizer,
        replay.mean_slope,
        grad_weight,
        grad_prior,
        plan.batch,
        plan.inputs,
        first + uniform,
        plan.iterations,
        UNIFORM=uniform,
        DETACHED=detached,
        NEED_WEIGHT=grad_weight.numel() > 0,
    )
