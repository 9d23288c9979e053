"""The specification: capsule routing in plain PyTorch.

Every kernel of this library is checked against these few lines. They work for any
floating dtype on any device, differentiate any number of times, and store the prediction
vectors in memory, which is what the kernels exist to avoid.

Names follow Sabour et al., "Dynamic Routing Between Capsules" (2017), section 2 and
procedure 1: ``u`` input capsules, ``u_hat`` prediction vectors, ``c`` coupling
coefficients, ``s`` weighted sums, ``v`` output capsules. Half types are computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "coupling_coefficients",
    "dynamic_routing",
    "prediction_vectors",
    "routed_capsules",
    "squash",
]


def squash(s: Tensor) -> Tensor:
    """``|s| / (1 + |s|^2) * s`` over the last dimension; 0 with gradient 0 at s = 0."""
    x = _compute(s)
    # The norm is taken of x / scale, so that |x|^2 cannot overflow; the result is the same.
    scale = x.detach().abs().amax(-1, keepdim=True).clamp(min=1)
    x = x / scale
    n = (x * x).sum(-1, keepdim=True)
    root = torch.where(n == 0, 0, torch.where(n == 0, 1, n).sqrt())
    return (root / (scale.reciprocal().square() + n) * x).to(s.dtype)


def prediction_vectors(u: Tensor, weight: Tensor) -> Tensor:
    """``u_hat_ij = u_i W_ij``: u [B, I, K], weight [I, K, J, D] -> [B, I, J, D]."""
    return torch.einsum("bik,ikjd->bijd", _compute(u), _compute(weight)).to(u.dtype)


def dynamic_routing(
    u_hat: Tensor,
    *,
    iterations: int = 3,
    softmax_over: str = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detach_routing: bool = False,
) -> Tensor:
    """Routing by agreement: u_hat [B, I, J, D] -> v [B, J, D]; bias [J, D], prior [I, J]."""
    v, _ = _route(_compute(u_hat), iterations, softmax_over, bias, prior, detach_routing)
    return v.to(u_hat.dtype)


def routed_capsules(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: str = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detach_routing: bool = False,
) -> Tensor:
    """Prediction vectors and routing in one: u [B, I, K], weight [I, K, J, D] -> v [B, J, D]."""
    u_hat = prediction_vectors(_compute(u), _compute(weight))
    v, _ = _route(u_hat, iterations, softmax_over, bias, prior, detach_routing)
    return v.to(u.dtype)


def coupling_coefficients(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: str = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
) -> Tensor:
    """The coefficients c [B, I, J] of the last routing iteration."""
    u_hat = prediction_vectors(_compute(u), _compute(weight))
    _, c = _route(u_hat, iterations, softmax_over, bias, prior, detach_routing=False)
    return c.to(u.dtype)


def _route(
    u_hat: Tensor,
    iterations: int,
    softmax_over: str,
    bias: Tensor | None,
    prior: Tensor | None,
    detach_routing: bool,
) -> tuple[Tensor, Tensor]:
    batch, inputs, outputs, dim = u_hat.shape
    softmax_dim = {"inputs": 1, "outputs": 2}[softmax_over]
    logits = u_hat.new_zeros(batch, inputs, outputs)
    if prior is not None:
        logits = logits + prior.to(u_hat.dtype)
    s_bias = u_hat.new_zeros(outputs, dim) if bias is None else bias.to(u_hat.dtype)
    for iteration in range(iterations):
        c = logits.softmax(softmax_dim)  # [B, I, J]
        if detach_routing:
            c = c.detach()
        v = squash(s_bias + torch.einsum("bij,bijd->bjd", c, u_hat))  # [B, J, D]
        if iteration + 1 < iterations:
            logits = logits + torch.einsum("bijd,bjd->bij", u_hat, v)
    return v, c


def _compute(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
