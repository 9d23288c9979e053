"""Routing by agreement on stored prediction vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.batching import loop_over_samples
from fastcaps.ops.gradients import (
    accumulation_dtype,
    keep_nothing,
    need_gradient,
    no_forward_mode,
    no_second_derivative,
)

__all__ = ["dynamic_routing"]


def dynamic_routing(
    u_hat: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over: str,
    detach_routing: bool,
    *,
    backend: str,
) -> Tensor:
    """u_hat [B, I, J, D], bias [J, D], prior [I, J] -> v [B, J, D]."""
    if backend == "reference":
        return reference.dynamic_routing(
            u_hat,
            iterations=iterations,
            softmax_over=softmax_over,
            bias=bias,
            prior=prior,
            detach_routing=detach_routing,
        )
    over_inputs = softmax_over == "inputs"
    v: Tensor
    if need_gradient("dynamic_routing", u_hat, bias, prior):
        v, _, _ = DynamicRouting.apply(
            backend, u_hat, bias, prior, iterations, over_inputs, detach_routing
        )
    else:
        forward = library.overload(backend, "dynamic_routing")
        v, _, _ = forward(u_hat, bias, prior, iterations, over_inputs, detach_routing)
    return v


def _fake(
    u_hat: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, outputs, dim = u_hat.shape
    sums = accumulation_dtype(u_hat.dtype)
    return (
        u_hat.new_empty(batch, outputs, dim),
        u_hat.new_empty((iterations, batch, outputs, dim), dtype=sums),
        u_hat.new_empty(
            (iterations, batch, outputs, 2) if softmax_over_inputs else (0,), dtype=sums
        ),
    )


def _fake_backward(
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
    _, inputs, outputs, dim = u_hat.shape
    return (
        torch.empty_like(u_hat, memory_format=torch.contiguous_format),
        u_hat.new_empty((outputs, dim) if bias is not None else (0,)),
        u_hat.new_empty((inputs, outputs) if prior is not None else (0,)),
    )


class DynamicRoutingBackward(torch.autograd.Function):
    """grad_v [B, J, D] -> gradients of u_hat, bias and prior; empty where there is none."""

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(no_second_derivative("dynamic_routing"))
    jvp = staticmethod(no_forward_mode("dynamic_routing"))

    @staticmethod
    def forward(
        backend: str,
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
        return library.overload(backend, "dynamic_routing_backward")(
            grad,
            u_hat,
            bias,
            prior,
            s,
            log_sum_exp,
            iterations,
            softmax_over_inputs,
            detach_routing,
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        return loop_over_samples(DynamicRoutingBackward.apply)(info, in_dims, *args)


class DynamicRouting(torch.autograd.Function):
    """u_hat [B, I, J, D] -> v [B, J, D], and what is saved of every iteration."""

    @staticmethod
    def forward(
        backend: str,
        u_hat: Tensor,
        bias: Tensor | None,
        prior: Tensor | None,
        iterations: int,
        softmax_over_inputs: bool,
        detach_routing: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        forward = library.overload(backend, "dynamic_routing")
        return forward(u_hat, bias, prior, iterations, softmax_over_inputs, detach_routing)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.backend, u_hat, bias, prior, *ctx.options = inputs
        _, s, log_sum_exp = output
        ctx.mark_non_differentiable(s, log_sum_exp)
        ctx.save_for_backward(u_hat, bias, prior, s, log_sum_exp)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        grads = DynamicRoutingBackward.apply(ctx.backend, grad, *ctx.saved_tensors, *ctx.options)
        needed = ctx.needs_input_grad[-6:-3]
        return (
            None,
            *(g if need else None for g, need in zip(grads, needed, strict=True)),
            None,
            None,
            None,
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        return loop_over_samples(DynamicRouting.apply)(info, in_dims, *args)


library.connect("dynamic_routing", _fake, loop_over_samples, DynamicRouting)
library.connect_gradient("dynamic_routing_backward", _fake_backward, DynamicRoutingBackward)
