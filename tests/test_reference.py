"""The reference against the procedure of the paper, written out with loops, and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from fastcaps import reference
from tests.comparing import (
    HALF_TYPES,
    ROUTING_OPTIONS,
    Shape,
    assert_close,
    capsules,
    option_name,
    predictions,
    random_tensor,
)

SHAPE: Shape = (2, 4, 3, 3, 2)
OPTIONS = tuple(options for options in ROUTING_OPTIONS if not options["detach_routing"])


def looped_squash(s: Tensor) -> Tensor:
    """Sabour et al. (2017), equation 1, for one vector."""
    length = math.sqrt(sum(float(x) ** 2 for x in s))
    return s * length / (1 + length**2)


def looped_routing(
    u_hat: Tensor, iterations: int, softmax_over: str, bias: Tensor, prior: Tensor
) -> tuple[Tensor, Tensor]:
    """Sabour et al. (2017), procedure 1, for one sample u_hat [I, J, D], with stored logits."""
    inputs, outputs, _ = u_hat.shape
    logits = prior.clone()
    for iteration in range(iterations):
        c = torch.empty(inputs, outputs, dtype=u_hat.dtype)
        for i in range(inputs):
            for j in range(outputs):
                rivals = logits[i] if softmax_over == "outputs" else logits[:, j]
                c[i, j] = logits[i, j].exp() / rivals.exp().sum()
        s = [bias[j] + sum(c[i, j] * u_hat[i, j] for i in range(inputs)) for j in range(outputs)]
        v = torch.stack([looped_squash(vector) for vector in s])
        if iteration < iterations - 1:
            for i in range(inputs):
                for j in range(outputs):
                    logits[i, j] += u_hat[i, j].dot(v[j])
    return v, c


@pytest.mark.parametrize("options", OPTIONS, ids=option_name)
def test_routing_follows_the_procedure_of_the_paper(options: dict[str, Any]) -> None:
    inputs = capsules(SHAPE, bias=True, prior=True, scale=2.0, dtype=torch.float64)
    u_hat = torch.stack(
        [
            torch.stack(
                [
                    torch.stack([u_i @ weight_i[:, j] for j in range(3)])
                    for u_i, weight_i in zip(sample, inputs["weight"], strict=True)
                ]
            )
            for sample in inputs["u"]
        ]
    )
    routed = [
        looped_routing(
            sample,
            options["iterations"],
            options["softmax_over"],
            inputs["bias"],
            inputs["prior"],
        )
        for sample in u_hat
    ]
    v = torch.stack([sample_v for sample_v, _ in routed])
    c = torch.stack([sample_c for _, sample_c in routed])

    parameters = {"bias": inputs["bias"], "prior": inputs["prior"]}
    assert_close("u_hat", reference.prediction_vectors(inputs["u"], inputs["weight"]), u_hat, 1e-14)
    assert_close("v", reference.dynamic_routing(u_hat, **parameters, **options), v, 1e-14)
    assert_close("fused v", reference.routed_capsules(**inputs, **options), v, 1e-14)
    coefficients = reference.coupling_coefficients(
        **inputs, iterations=options["iterations"], softmax_over=options["softmax_over"]
    )
    assert_close("c", coefficients, c, 1e-14)


def test_squash_by_hand() -> None:
    s = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.6, 0.8], [1e30, 0.0], [0.0, -1e-30]])
    expected = torch.tensor([[15 / 26, 20 / 26], [0.0, 0.0], [0.3, 0.4], [1.0, 0.0], [0.0, 0.0]])
    assert_close("v", reference.squash(s), expected, 1e-7)


def test_one_iteration_is_the_squashed_mean_of_the_predictions() -> None:
    u_hat = predictions(SHAPE)["u_hat"]
    over_outputs = reference.dynamic_routing(u_hat, iterations=1)
    over_inputs = reference.dynamic_routing(u_hat, iterations=1, softmax_over="inputs")
    assert_close("v", over_outputs, reference.squash(u_hat.sum(1) / 3), 1e-6)
    assert_close("v", over_inputs, reference.squash(u_hat.mean(1)), 1e-6)


def test_routing_by_hand() -> None:
    """Two inputs agree on output 0 and disagree on output 1: one scalar each."""
    u_hat = torch.tensor([[[[1.0], [1.0]], [[1.0], [-1.0]]]], dtype=torch.float64)
    # Iteration 1: s = (1/2 + 1/2, 1/2 - 1/2) = (1, 0), so v = (1/2, 0) and the logits
    # become (1/2, 0) for both inputs. Iteration 2: c_i0 = sigmoid(1/2), s = (2 c, 0).
    c = 1 / (1 + math.exp(-0.5))
    s = 2 * c
    expected = torch.tensor([[[s * s / (1 + s * s)], [0.0]]], dtype=torch.float64)
    assert_close("v", reference.dynamic_routing(u_hat, iterations=2), expected, 1e-15)


@pytest.mark.parametrize("options", OPTIONS, ids=option_name)
def test_gradients_to_second_order(options: dict[str, Any]) -> None:
    inputs = capsules((2, 3, 2, 2, 2), bias=True, prior=True, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in inputs.values()]

    def route(*tensors: Tensor) -> Tensor:
        named: dict[str, Any] = dict(zip(inputs, tensors, strict=True))
        return reference.routed_capsules(**named, **options)

    assert gradcheck(route, leaves)
    if options["iterations"] <= 3:  # the cost grows fast
        assert gradgradcheck(route, leaves)


def test_detached_coefficients_are_constants() -> None:
    inputs = capsules(SHAPE, bias=True, prior=True, dtype=torch.float64)
    c = reference.coupling_coefficients(**inputs)

    def route_with_constants(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        u_hat = torch.einsum("bik,ikjd->bijd", u, weight)
        return reference.squash(bias + torch.einsum("bij,bijd->bjd", c, u_hat))

    names = ("u", "weight", "bias")
    leaves = [inputs[name].requires_grad_() for name in names]
    detached = reference.routed_capsules(**inputs, detach_routing=True)
    constant = route_with_constants(*leaves)
    assert_close("v", detached, constant, 1e-14)
    expected = torch.autograd.grad(constant.sum(), leaves)
    for name, actual, value in zip(
        names, torch.autograd.grad(detached.sum(), leaves), expected, strict=True
    ):
        assert_close(f"gradient of {name}", actual, value, 1e-14)


@pytest.mark.parametrize("dtype", HALF_TYPES, ids=str)
def test_half_types_round_only_the_result(dtype: torch.dtype) -> None:
    inputs = capsules(SHAPE, bias=True, prior=True, dtype=dtype)
    wide = {name: x.float() for name, x in inputs.items()}
    assert torch.equal(
        reference.routed_capsules(**inputs), reference.routed_capsules(**wide).to(dtype)
    )


def test_permuted_outputs_give_permuted_capsules() -> None:
    inputs = capsules((3, 7, 4, 5, 6), dtype=torch.float64)
    order = torch.tensor([3, 1, 4, 0, 2])
    permuted = inputs | {"weight": inputs["weight"][:, :, order]}
    assert_close(
        "v",
        reference.routed_capsules(**permuted),
        reference.routed_capsules(**inputs)[:, order],
        1e-14,
    )


def test_rotated_predictions_give_rotated_capsules() -> None:
    u_hat = predictions((3, 7, 1, 5, 6), dtype=torch.float64)["u_hat"]
    rotation, _ = torch.linalg.qr(random_tensor(6, 6, seed=9, dtype=torch.float64))
    assert_close(
        "v",
        reference.dynamic_routing(u_hat @ rotation),
        reference.dynamic_routing(u_hat) @ rotation,
        1e-13,
    )
