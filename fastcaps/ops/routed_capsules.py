"""The fused capsule layer: prediction vectors and routing, never storing ``u_hat``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from fastcaps.ops.batching import fold_into_batch, loop_over_samples
from fastcaps.ops.gradients import (
    accumulation_dtype,
    keep_nothing,
    need_gradient,
    no_forward_mode,
    no_second_derivative,
)
from fastcaps.ops.precision import tf32_is_allowed

__all__ = ["routed_capsules"]


def routed_capsules(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over: str,
    detach_routing: bool,
    *,
    backend: str,
) -> Tensor:
    """u [B, I, K], weight [I, K, J, D], bias [J, D], prior [I, J] -> v [B, J, D]."""
    if backend == "reference":
        return reference.routed_capsules(
            u,
            weight,
            iterations=iterations,
            softmax_over=softmax_over,
            bias=bias,
            prior=prior,
            detach_routing=detach_routing,
        )
    options = (iterations, softmax_over == "inputs", detach_routing, tf32_is_allowed(backend))
    v: Tensor
    if need_gradient("routed_capsules", u, weight, bias, prior):
        v, _, _ = RoutedCapsules.apply(backend, u, weight, bias, prior, *options)
    else:
        v, _, _ = library.overload(backend, "routed_capsules")(u, weight, bias, prior, *options)
    return v


def _fake(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    softmax_over_inputs: bool,
    detach_routing: bool,
    allow_tf32: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch = u.shape[0]
    _, _, outputs, dim = weight.shape
    sums = accumulation_dtype(u.dtype)
    return (
        u.new_empty(batch, outputs, dim),
        u.new_empty((iterations, batch, outputs, dim), dtype=sums),
        u.new_empty((iterations, batch, outputs, 2) if softmax_over_inputs else (0,), dtype=sums),
    )


def _fake_backward(
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
    inputs, _, outputs, dim = weight.shape
    return (
        u.new_empty(u.shape if need_u else (0,)),
        u.new_empty(weight.shape if need_weight else (0,)),
        u.new_empty((outputs, dim) if bias is not None else (0,)),
        u.new_empty((inputs, outputs) if prior is not None else (0,)),
    )


class RoutedCapsulesBackward(torch.autograd.Function):
    """grad_v [B, J, D] -> gradients of u, weight, bias and prior; empty where there is none."""

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(no_second_derivative("routed_capsules"))
    jvp = staticmethod(no_forward_mode("routed_capsules"))

    @staticmethod
    def forward(
        backend: str,
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
        return library.overload(backend, "routed_capsules_backward")(
            grad,
            u,
            weight,
            bias,
            prior,
            s,
            log_sum_exp,
            iterations,
            softmax_over_inputs,
            detach_routing,
            allow_tf32,
            need_u,
            need_weight,
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        return loop_over_samples(RoutedCapsulesBackward.apply)(info, in_dims, *args)


def _vmap(call: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    def rule(
        info: Any, in_dims: tuple[int | None, ...], u: Tensor, *parameters: Any
    ) -> tuple[Any, Any]:
        u_dim, *parameter_dims = in_dims
        if u_dim is None or any(dim is not None for dim in parameter_dims):
            return loop_over_samples(call)(info, in_dims, u, *parameters)
        v, s, log_sum_exp = call(fold_into_batch(u, u_dim), *parameters)
        samples = u.movedim(u_dim, 0).shape[:2]
        over_inputs = log_sum_exp.dim() == 4
        if over_inputs:
            log_sum_exp = log_sum_exp.unflatten(1, samples)
        outputs = (v.unflatten(0, samples), s.unflatten(1, samples), log_sum_exp)
        return outputs, (0, 1, 1 if over_inputs else None)

    return rule


class RoutedCapsules(torch.autograd.Function):
    """u [B, I, K], weight [I, K, J, D] -> v [B, J, D], and what is saved of every iteration."""

    @staticmethod
    def forward(
        backend: str,
        u: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        prior: Tensor | None,
        iterations: int,
        softmax_over_inputs: bool,
        detach_routing: bool,
        allow_tf32: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        options = (iterations, softmax_over_inputs, detach_routing, allow_tf32)
        return library.overload(backend, "routed_capsules")(u, weight, bias, prior, *options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.backend, u, weight, bias, prior, *ctx.options = inputs
        _, s, log_sum_exp = output
        ctx.mark_non_differentiable(s, log_sum_exp)
        ctx.save_for_backward(u, weight, bias, prior, s, log_sum_exp)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[-8:-4]
        grads = RoutedCapsulesBackward.apply(
            ctx.backend, grad, *ctx.saved_tensors, *ctx.options, needed[0], needed[1]
        )
        return (
            None,
            *(g if need else None for g, need in zip(grads, needed, strict=True)),
            None,
            None,
            None,
            None,
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], backend: str, *args: Any) -> tuple[Any, Any]:
        return _vmap(partial(RoutedCapsules.apply, backend))(info, in_dims[1:], *args)


library.connect("routed_capsules", _fake, _vmap, RoutedCapsules)
library.connect_gradient("routed_capsules_backward", _fake_backward, RoutedCapsulesBackward)
