"""Capsule routing as functions: check the arguments, choose a backend, call the operator.

Shapes use B for the batch, I = N_in and K = D_in for the input capsules and their dimension,
J = N_out and D = D_out for the output capsules. All tensors of a call share one device and
one floating dtype; sums, logits, softmax and squash are computed in float32 (float64 for
float64) and results come back in the dtype of the first argument. Under autocast the
arguments are cast to its dtype first (float64 and :func:`squash` excepted).

Every function takes ``backend``: None for the fastest that can run the call, or one of
"cuda", "triton", "cpu", "reference", which then runs or raises
:class:`fastcaps.backends.BackendError` with the reason. Wrong types raise TypeError and wrong
shapes, devices or options ValueError, naming the argument, what was expected and what was given.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fastcaps import arguments
from fastcaps.backends import choose_backend
from fastcaps.ops import coupling_coefficients as coupling_coefficients_op
from fastcaps.ops import dynamic_routing as dynamic_routing_op
from fastcaps.ops import prediction_vectors as prediction_vectors_op
from fastcaps.ops import routed_capsules as routed_capsules_op
from fastcaps.ops import squash as squash_op

__all__ = [
    "coupling_coefficients",
    "dynamic_routing",
    "prediction_vectors",
    "routed_capsules",
    "squash",
]

SoftmaxOver = Literal["outputs", "inputs"]


def squash(s: Tensor, dim: int = -1, *, backend: str | None = None) -> Tensor:
    """Shrink vectors to a length below 1 and keep their direction: ``|s| / (1 + |s|^2) * s``.

    Sabour et al. (2017), equation 1. At s = 0 the result and its gradient are 0; where
    ``|s|^2`` overflows the result is the unit vector.

    Args:
        s: vectors of any shape with at least one dimension; the vectors lie along ``dim``.
        dim: the dimension of the vectors, negative counting from the end.
        backend: see :mod:`fastcaps.functional`.

    Returns:
        The squashed vectors, shape and dtype of ``s``.
    """
    arguments.check_tensor("s", s)
    arguments.check_int("dim", dim)
    if not -s.dim() <= dim < s.dim():
        raise ValueError(f"dim: expected a dimension of s {list(s.shape)}, got {dim}")
    if s.shape[dim] == 0:
        raise ValueError(f"s: expected vectors of at least 1 number, got {list(s.shape)}")
    chosen = choose_backend(backend, "squash", s, D_out=s.shape[dim])
    with arguments.without_autocast(s):
        return squash_op.squash(s.movedim(dim, -1), backend=chosen).movedim(-1, dim)


def prediction_vectors(u: Tensor, weight: Tensor, *, backend: str | None = None) -> Tensor:
    """Every input capsule's prediction of every output capsule: ``u_hat_ij = u_i W_ij``.

    Sabour et al. (2017), equation 2. This stores all B * N_in * N_out * D_out numbers;
    :func:`routed_capsules` routes without storing them.

    Args:
        u: input capsules [B, N_in, D_in].
        weight: transformation matrices [N_in, D_in, N_out, D_out].
        backend: see :mod:`fastcaps.functional`.

    Returns:
        Prediction vectors ``u_hat`` [B, N_in, N_out, D_out].
    """
    u, weight = _check_capsules(u, weight)
    chosen = choose_backend(backend, "prediction_vectors", u, **_layer_sizes(weight))
    with arguments.without_autocast(u):
        return prediction_vectors_op.prediction_vectors(u, weight, backend=chosen)


def dynamic_routing(
    u_hat: Tensor,
    *,
    iterations: int = 3,
    softmax_over: SoftmaxOver = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detach_routing: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Route given prediction vectors to output capsules by agreement.

    Sabour et al. (2017), procedure 1.

    Args:
        u_hat: prediction vectors [B, N_in, N_out, D_out].
        iterations: rounds of routing, at least 1. The first uses uniform coefficients
            (or ``softmax(prior)``).
        softmax_over: "outputs" divides each input capsule among the output capsules, as in
            Sabour et al.; "inputs" lets each output capsule share out its attention over the
            input capsules, as some public implementations do.
        bias: [N_out, D_out], added to the weighted sums in every iteration.
        prior: initial routing logits [N_in, N_out]; zero where None.
        detach_routing: treat the coupling coefficients as constants in the backward pass.
        backend: see :mod:`fastcaps.functional`.

    Returns:
        Output capsules ``v`` [B, N_out, D_out], lengths between 0 and 1.
    """
    arguments.check_tensor("u_hat", u_hat)
    u_hat = arguments.cast_for_autocast(u_hat)
    arguments.check_shape("u_hat", u_hat, ("B", "N_in", "N_out", "D_out"))
    _check_iteration_options(iterations, softmax_over, detach_routing)
    _, inputs, outputs, dim = u_hat.shape
    bias = _check_parameter("bias", bias, (outputs, dim), "u_hat", u_hat)
    prior = _check_parameter("prior", prior, (inputs, outputs), "u_hat", u_hat)
    chosen = choose_backend(backend, "dynamic_routing", u_hat, N_out=outputs, D_out=dim)
    with arguments.without_autocast(u_hat):
        return dynamic_routing_op.dynamic_routing(
            u_hat, bias, prior, iterations, softmax_over, detach_routing, backend=chosen
        )


def routed_capsules(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: SoftmaxOver = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    detach_routing: bool = False,
    backend: str | None = None,
) -> Tensor:
    """A whole capsule layer: ``dynamic_routing(prediction_vectors(u, weight))``, fused.

    The compiled backends recompute the prediction vectors on chip, forward and backward,
    instead of storing B * N_in * N_out * D_out numbers (a small batch keeps up to 64 MiB of
    them for the duration of the call).

    Args:
        u: input capsules [B, N_in, D_in].
        weight: transformation matrices [N_in, D_in, N_out, D_out].
        iterations, softmax_over, bias, prior, detach_routing: see :func:`dynamic_routing`.
        backend: see :mod:`fastcaps.functional`.

    Returns:
        Output capsules ``v`` [B, N_out, D_out], lengths between 0 and 1.
    """
    u, weight = _check_capsules(u, weight)
    bias, prior = _check_routing_options(
        u, weight, iterations, softmax_over, bias, prior, detach_routing
    )
    chosen = choose_backend(backend, "routed_capsules", u, **_layer_sizes(weight))
    with arguments.without_autocast(u):
        return routed_capsules_op.routed_capsules(
            u, weight, bias, prior, iterations, softmax_over, detach_routing, backend=chosen
        )


def coupling_coefficients(
    u: Tensor,
    weight: Tensor,
    *,
    iterations: int = 3,
    softmax_over: SoftmaxOver = "outputs",
    bias: Tensor | None = None,
    prior: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """The coupling coefficients of the last routing iteration, for analysis; no gradient.

    Args:
        u, weight: see :func:`routed_capsules`.
        iterations, softmax_over, bias, prior: see :func:`dynamic_routing`.
        backend: see :mod:`fastcaps.functional`.

    Returns:
        Coefficients ``c`` [B, N_in, N_out] in [0, 1], summing to 1 over ``softmax_over``.
    """
    u, weight = _check_capsules(u, weight)
    bias, prior = _check_routing_options(u, weight, iterations, softmax_over, bias, prior, False)
    chosen = choose_backend(backend, "coupling_coefficients", u, **_layer_sizes(weight))
    with arguments.without_autocast(u):
        return coupling_coefficients_op.coupling_coefficients(
            u, weight, bias, prior, iterations, softmax_over, backend=chosen
        )


def _layer_sizes(weight: Tensor) -> dict[str, int]:
    _, in_dim, outputs, out_dim = weight.shape
    return {"D_in": in_dim, "N_out": outputs, "D_out": out_dim}


def _check_capsules(u: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    arguments.check_tensor("u", u)
    arguments.check_tensor("weight", weight)
    u, weight = arguments.cast_for_autocast(u), arguments.cast_for_autocast(weight)
    arguments.check_like("weight", weight, "u", u)
    arguments.check_shape("u", u, ("B", "N_in", "D_in"))
    arguments.check_shape("weight", weight, (u.shape[1], u.shape[2], "N_out", "D_out"))
    return u, weight


def _check_routing_options(
    u: Tensor,
    weight: Tensor,
    iterations: int,
    softmax_over: str,
    bias: Tensor | None,
    prior: Tensor | None,
    detach_routing: bool,
) -> tuple[Tensor | None, Tensor | None]:
    _check_iteration_options(iterations, softmax_over, detach_routing)
    inputs, _, outputs, dim = weight.shape
    bias = _check_parameter("bias", bias, (outputs, dim), "u", u)
    prior = _check_parameter("prior", prior, (inputs, outputs), "u", u)
    return bias, prior


def _check_iteration_options(iterations: int, softmax_over: str, detach_routing: bool) -> None:
    arguments.check_positive_int("iterations", iterations)
    arguments.check_softmax_over(softmax_over)
    if not isinstance(detach_routing, bool):
        raise TypeError(f"detach_routing: expected a bool, got {type(detach_routing).__name__}")


def _check_parameter(
    name: str, value: Tensor | None, shape: tuple[int, ...], like_name: str, like: Tensor
) -> Tensor | None:
    if value is None:
        return None
    arguments.check_tensor(name, value)
    value = arguments.cast_for_autocast(value)
    arguments.check_like(name, value, like_name, like)
    arguments.check_shape(name, value, shape)
    return value
