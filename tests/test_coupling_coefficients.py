"""The coupling coefficients on every backend."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastcaps
from fastcaps import reference
from tests.comparing import (
    DTYPES,
    FORWARD_TOLERANCE,
    ROUTING_OPTIONS,
    Shape,
    assert_close,
    call,
    capsules,
    option_name,
    require,
)

OPERATOR = "coupling_coefficients"
pytestmark = [pytest.mark.operator(OPERATOR), pytest.mark.usefixtures("poisoned_memory")]

SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (1, 130, 8, 10, 16),
    (3, 64, 4, 5, 8),
    (9, 37, 8, 1, 16),
    (17, 65, 7, 5, 3),
    (33, 5, 16, 12, 33),
)
OPTIONS = tuple(
    {name: value for name, value in options.items() if name != "detach_routing"}
    for options in ROUTING_OPTIONS
    if not options["detach_routing"]
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=option_name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    backend: str,
    device: torch.device,
    shape: Shape,
    options: dict[str, Any],
    dtype: torch.dtype,
) -> None:
    require(backend, OPERATOR, device, dtype)
    for parameter in (False, True):
        inputs = capsules(shape, bias=parameter, prior=parameter, dtype=dtype, device=device)
        exact = {name: x.double() for name, x in inputs.items()}
        c = fastcaps.coupling_coefficients(**inputs, **options, backend=backend)
        assert c.dtype == dtype
        expected = reference.coupling_coefficients(**exact, **options)
        assert_close("c", c, expected, FORWARD_TOLERANCE[dtype])
        dim = {"inputs": 1, "outputs": 2}[options["softmax_over"]]
        total = c.double().sum(dim)
        assert_close("sum of c", total, torch.ones_like(total), FORWARD_TOLERANCE[dtype])


def test_has_no_gradient(backend: str, device: torch.device) -> None:
    inputs = {name: x.requires_grad_() for name, x in capsules(SHAPES[1], device=device).items()}
    assert not fastcaps.coupling_coefficients(**inputs, backend=backend).requires_grad


def test_strided_inputs(backend: str, device: torch.device) -> None:
    inputs = capsules((6, 10, 8, 5, 4), prior=True, device=device)
    strided = {
        "u": inputs["u"][::2, 1:, ::2],
        "weight": inputs["weight"][1:, 1::2].flip(-1),
        "prior": inputs["prior"].t().contiguous().t()[1:],
    }
    dense = {name: x.contiguous() for name, x in strided.items()}
    function = call(OPERATOR, backend)
    assert_close("c", function(**strided), function(**dense), 1e-6)


def test_empty_batch(backend: str, device: torch.device) -> None:
    inputs = capsules((0, 5, 3, 4, 2), device=device)
    assert call(OPERATOR, backend)(**inputs).shape == (0, 5, 4)


@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
def test_nan_stays_in_its_sample(backend: str, device: torch.device, softmax_over: str) -> None:
    inputs = capsules((20, 7, 8, 5, 6), device=device)
    inputs["u"][17] = float("nan")
    c = call(OPERATOR, backend)(**inputs, softmax_over=softmax_over)
    expected = torch.zeros_like(c, dtype=torch.bool)
    expected[17] = True
    assert torch.equal(c.isnan(), expected)


def test_same_bits_every_run(backend: str, device: torch.device) -> None:
    inputs = capsules((33, 130, 8, 5, 16), bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    assert torch.equal(function(**inputs), function(**inputs))


@pytest.mark.parametrize("batch", [2, 20])
@pytest.mark.parametrize("shift", [-1e9, torch.finfo(torch.float32).min])
def test_over_inputs_a_shift_of_a_whole_column_changes_nothing(batch: int, shift: float) -> None:
    torch.manual_seed(0)
    u, weight = torch.randn(batch, 70, 4), 0.3 * torch.randn(70, 4, 3, 8)
    prior = torch.zeros(70, 3)
    prior[:, 1] = shift
    options = {"softmax_over": "inputs", "backend": "cpu"}
    expected = fastcaps.coupling_coefficients(u, weight, **options)
    torch.testing.assert_close(
        fastcaps.coupling_coefficients(u, weight, prior=prior, **options), expected
    )


@pytest.mark.parametrize("softmax_over", ["inputs", "outputs"])
@pytest.mark.parametrize("batch", [2, 20])
def test_a_prior_of_minus_infinity_masks(batch: int, softmax_over: str) -> None:
    torch.manual_seed(0)
    u, weight = torch.randn(batch, 70, 4), 0.3 * torch.randn(70, 4, 3, 8)
    prior = torch.zeros(70, 3)
    prior[5, 1] = -torch.inf
    c = fastcaps.coupling_coefficients(
        u, weight, prior=prior, softmax_over=softmax_over, backend="cpu"
    )
    assert (c[:, 5, 1] == 0).all()
    total = c.sum(1 if softmax_over == "inputs" else 2)
    torch.testing.assert_close(total, torch.ones_like(total))
