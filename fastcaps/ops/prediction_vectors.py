"""Prediction vectors, stored: ``u_hat_ij = u_i W_ij``."""

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
    keep_nothing,
    need_gradient,
    no_forward_mode,
    no_second_derivative,
)
from fastcaps.ops.precision import tf32_is_allowed

__all__ = ["prediction_vectors"]


def prediction_vectors(u: Tensor, weight: Tensor, *, backend: str) -> Tensor:
    """u [B, I, K], weight [I, K, J, D] -> u_hat [B, I, J, D]."""
    if backend == "reference":
        return reference.prediction_vectors(u, weight)
    allow_tf32 = tf32_is_allowed(backend)
    if need_gradient("prediction_vectors", u, weight):
        u_hat: Tensor = PredictionVectors.apply(backend, u, weight, allow_tf32)
        return u_hat
    return library.overload(backend, "prediction_vectors")(u, weight, allow_tf32)


def _fake(u: Tensor, weight: Tensor, allow_tf32: bool) -> Tensor:
    batch, inputs, _ = u.shape
    return u.new_empty(batch, inputs, weight.shape[2], weight.shape[3])


def _fake_backward(
    grad: Tensor, u: Tensor, weight: Tensor, allow_tf32: bool, need_u: bool, need_weight: bool
) -> tuple[Tensor, Tensor]:
    return (
        u.new_empty(u.shape if need_u else (0,)),
        weight.new_empty(weight.shape if need_weight else (0,)),
    )


class PredictionVectorsBackward(torch.autograd.Function):
    """grad_u_hat [B, I, J, D] -> gradients of u and weight; empty where not needed."""

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(no_second_derivative("prediction_vectors"))
    jvp = staticmethod(no_forward_mode("prediction_vectors"))

    @staticmethod
    def forward(
        backend: str,
        grad: Tensor,
        u: Tensor,
        weight: Tensor,
        allow_tf32: bool,
        need_u: bool,
        need_weight: bool,
    ) -> tuple[Tensor, Tensor]:
        backward = library.overload(backend, "prediction_vectors_backward")
        return backward(grad, u, weight, allow_tf32, need_u, need_weight)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        return loop_over_samples(PredictionVectorsBackward.apply)(info, in_dims, *args)


def _vmap(call: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, int]]:
    def rule(
        info: Any, in_dims: tuple[int | None, ...], u: Tensor, weight: Tensor, allow_tf32: bool
    ) -> tuple[Tensor, int]:
        u_dim, weight_dim, _ = in_dims
        if weight_dim is not None or u_dim is None:
            return loop_over_samples(call)(info, in_dims, u, weight, allow_tf32)
        u_hat = call(fold_into_batch(u, u_dim), weight, allow_tf32)
        return u_hat.reshape(*u.movedim(u_dim, 0).shape[:2], *u_hat.shape[1:]), 0

    return rule


class PredictionVectors(torch.autograd.Function):
    """u [B, I, K], weight [I, K, J, D] -> u_hat [B, I, J, D]."""

    @staticmethod
    def forward(backend: str, u: Tensor, weight: Tensor, allow_tf32: bool) -> Tensor:
        return library.overload(backend, "prediction_vectors")(u, weight, allow_tf32)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.backend, u, weight, ctx.allow_tf32 = inputs
        ctx.save_for_backward(u, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None, None]:
        need_u, need_weight = ctx.needs_input_grad[-3:-1]
        grad_u, grad_weight = PredictionVectorsBackward.apply(
            ctx.backend, grad, *ctx.saved_tensors, ctx.allow_tf32, need_u, need_weight
        )
        return None, grad_u if need_u else None, grad_weight if need_weight else None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], backend: str, *args: Any) -> tuple[Tensor, int]:
        return _vmap(partial(PredictionVectors.apply, backend))(info, in_dims[1:], *args)


library.connect("prediction_vectors", _fake, _vmap, PredictionVectors)
library.connect_gradient("prediction_vectors_backward", _fake_backward, PredictionVectorsBackward)
