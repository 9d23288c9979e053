"""The formulations of routing that fastcaps races, written the usual way.

Both store the prediction vectors and walk over them in every iteration. ``broadcast``
multiplies with broadcasting and sums; ``einsum`` leaves the contractions to batched matrix
products. With ``detached`` the gradient flows through the prediction vectors in the last
iteration only and the coupling coefficients are constants, a common approximation.

Shapes as in :func:`fastcaps.routed_capsules`; everything is computed in the dtype of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Formulation", "broadcast", "einsum"]


class Formulation(Protocol):
    """A way to compute ``v`` [B, J, D] from u [B, I, K] and weight [I, K, J, D]."""

    def __call__(
        self,
        u: Tensor,
        weight: Tensor,
        *,
        iterations: int = 3,
        softmax_over: str = "outputs",
        bias: Tensor | None = None,
        prior: Tensor | None = None,
        detached: bool = False,
    ) -> Tensor: ...


def broadcast(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: str = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detached: bool = False,
) -> Tensor:
    """Routing by broadcast products and sums; the eager product holds K times ``u_hat``."""
    u_hat = (u[:, :, :, None, None] * weight).sum(2)  # [B, I, J, D]
    return _route(
        u_hat,
        lambda c, u_hat: (c[..., None] * u_hat).sum(1),
        lambda u_hat, v: (u_hat * v[:, None]).sum(-1),
        iterations,
        softmax_over,
        bias,
        prior,
        detached,
    )


def einsum(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: str = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detached: bool = False,
) -> Tensor:
    """Routing by ``torch.einsum``, which runs as batched matrix products."""
    u_hat = torch.einsum("bik,ikjd->bijd", u, weight)
    return _route(
        u_hat,
        lambda c, u_hat: torch.einsum("bij,bijd->bjd", c, u_hat),
        lambda u_hat, v: torch.einsum("bijd,bjd->bij", u_hat, v),
        iterations,
        softmax_over,
        bias,
        prior,
        detached,
    )


def _route(
    u_hat: Tensor,
    weighted_sum: Callable[[Tensor, Tensor], Tensor],
    agreement: Callable[[Tensor, Tensor], Tensor],
    iterations: int,
    softmax_over: str,
    bias: Tensor | None,
    prior: Tensor | None,
    detached: bool,
) -> Tensor:
    softmax_dim = 1 if softmax_over == "inputs" else 2
    logits = u_hat.new_zeros(u_hat.shape[:3])
    if prior is not None:
        logits = logits + (prior.detach() if detached else prior)
    routing_bias = bias.detach() if detached and bias is not None else bias
    routing_u_hat = u_hat.detach() if detached else u_hat
    for _ in range(iterations - 1):
        v = _squash(weighted_sum(logits.softmax(softmax_dim), routing_u_hat), routing_bias)
        logits = logits + agreement(routing_u_hat, v)
    return _squash(weighted_sum(logits.softmax(softmax_dim), u_hat), bias)


def _squash(weighted_sums: Tensor, bias: Tensor | None) -> Tensor:
    s = weighted_sums if bias is None else weighted_sums + bias
    n = s.square().sum(-1, keepdim=True)
    return n.sqrt() / (1 + n) * s
