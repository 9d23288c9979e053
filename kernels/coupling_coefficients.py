"""The coupling coefficients of the last iteration: routing, and one pass that keeps them."""

from __future__ import annotations

from torch import Tensor

from fastcaps.kernels.launch import on_device
from fastcaps.kernels.passes import coefficients_kernel
from fastcaps.kernels.plan import plan_of
from fastcaps.kernels.routed_capsules import arrange, route

__all__ = ["forward"]


def forward(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    allow_tf32: bool,
) -> Tensor:
    """u [B, I, K], weight [I, K, J, D], bias [J, D], prior [I, J] -> c [B, I, J]."""
    plan = plan_of(u, weight, bias, prior, iterations, softmax_over_inputs, allow_tf32)
    size = (plan.batch, plan.inputs, plan.outputs)
    if iterations == 1 and prior is None:
        return u.new_full(size, 1 / (plan.inputs if softmax_over_inputs else plan.outputs))
    c = u.new_empty(size)
    if plan.batch == 0:
        return c
    agreement, normalizer = plan.vectors(), plan.over_outputs(2)
    v = u.new_empty(plan.batch, plan.outputs, plan.dim)
    log_sum_exp = plan.log_sum_exp()
    with on_device(u):
        inputs = arrange(plan, u, weight, bias, prior)
        route(plan, inputs, agreement, normalizer, v, plan.vectors(iterations), log_sum_exp)
        plan.run(
            coefficients_kernel,
            plan.by_input("coefficients_kernel"),
            inputs.u,
            inputs.weight,
            agreement,
            inputs.prior,
            log_sum_exp[-1] if softmax_over_inputs else normalizer,
            c,
            plan.batch,
            plan.inputs,
            HAS_AGREEMENT=iterations > 1,
        )
    return c
