"""Prediction vectors on every backend."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import fastcaps
from tests.comparing import (
    DTYPES,
    Shape,
    assert_agrees,
    assert_close,
    assert_same_bits,
    call,
    capsules,
    evaluate,
    gradient_of,
    random_tensor,
    require,
)

pytestmark = [
    pytest.mark.operator("prediction_vectors"),
    pytest.mark.usefixtures("poisoned_memory"),
]

SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (1, 130, 8, 10, 16),
    (2, 3, 4, 5, 8),
    (5, 37, 3, 2, 3),
    (16, 64, 8, 10, 16),
    (17, 5, 16, 3, 20),
    (33, 2, 7, 1, 32),
    (0, 3, 2, 4, 5),
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    backend: str, device: torch.device, shape: Shape, dtype: torch.dtype
) -> None:
    require(backend, "prediction_vectors", device, dtype)
    assert_agrees("prediction_vectors", backend, capsules(shape, dtype=dtype, device=device))


@pytest.mark.parametrize("name", ["u", "weight"])
def test_the_gradient_of_one_input_alone(backend: str, device: torch.device, name: str) -> None:
    inputs = capsules((5, 7, 3, 4, 6), device=device)
    both = evaluate(call("prediction_vectors", backend), inputs)

    def function(**leaf: Tensor) -> Tensor:
        return fastcaps.prediction_vectors(**(inputs | leaf), backend=backend)

    alone = evaluate(function, {name: inputs[name]})
    assert torch.equal(alone[gradient_of(name)], both[gradient_of(name)])


def test_strided_inputs_and_gradients(backend: str, device: torch.device) -> None:
    u = random_tensor(8, 9, 10, seed=1, device=device)[1::2, :, 3:7]  # [4, 9, 4]
    weight = random_tensor(6, 5, 4, 9, seed=2, device=device).permute(3, 2, 1, 0)  # [9, 4, 5, 6]
    assert_agrees("prediction_vectors", backend, {"u": u, "weight": weight})
    assert_agrees("prediction_vectors", backend, {"u": u[:1].expand(5, 9, 4), "weight": weight})
    leaf = u.clone().requires_grad_()
    u_hat = fastcaps.prediction_vectors(leaf, weight, backend=backend)
    (expanded,) = torch.autograd.grad(u_hat.sum(), leaf, retain_graph=True)
    (dense,) = torch.autograd.grad(u_hat, leaf, torch.ones_like(u_hat))
    assert_close("gradient", expanded, dense, 1e-6)


def test_nan_stays_in_its_prediction(backend: str, device: torch.device) -> None:
    inputs = capsules((20, 6, 8, 3, 5), device=device)
    clean = evaluate(call("prediction_vectors", backend), inputs)
    inputs["u"][17, 4, 2] = float("nan")
    spoiled = evaluate(call("prediction_vectors", backend), inputs)
    expected = torch.zeros(20, 6, 3, 5, dtype=torch.bool, device=device)
    expected[17, 4] = True
    assert torch.equal(spoiled["result"].isnan(), expected)
    assert torch.equal(spoiled[gradient_of("u")], clean[gradient_of("u")])


def test_same_bits_every_run(backend: str, device: torch.device) -> None:
    inputs = capsules((33, 37, 8, 5, 16), device=device)
    first = evaluate(call("prediction_vectors", backend), inputs)
    assert_same_bits(first, evaluate(call("prediction_vectors", backend), inputs))


def test_gradcheck(backend: str, device: torch.device) -> None:
    require(backend, "prediction_vectors", device, torch.float64)
    inputs = capsules((2, 3, 4, 2, 3), dtype=torch.float64, device=device)
    leaves = [x.requires_grad_() for x in inputs.values()]

    def predict(u: Tensor, weight: Tensor) -> Tensor:
        return fastcaps.prediction_vectors(u, weight, backend=backend)

    assert gradcheck(predict, leaves)
    if backend == "reference":
        assert gradgradcheck(predict, leaves)
