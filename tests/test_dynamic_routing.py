"""Routing of given prediction vectors on every backend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import fastcaps
from tests.comparing import (
    DTYPES,
    ROUTING_OPTIONS,
    Shape,
    assert_agrees,
    assert_close,
    assert_same_bits,
    call,
    capsules,
    evaluate,
    gradient_of,
    option_name,
    predictions,
    random_tensor,
    require,
)

OPERATOR = "dynamic_routing"
pytestmark = [pytest.mark.operator(OPERATOR), pytest.mark.usefixtures("poisoned_memory")]

# B, N_in, unused, N_out, D_out
SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (1, 130, 1, 10, 16),
    (2, 64, 1, 5, 8),
    (5, 37, 1, 2, 20),
    (9, 65, 1, 1, 16),
    (16, 3, 1, 12, 32),
    (17, 129, 1, 5, 3),
    (33, 7, 1, 3, 1),
    (65, 2, 1, 4, 33),
)
SMALL: Shape = (5, 37, 1, 5, 16)
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("parameters", ["", "bias", "prior", "bias+prior"])
@pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
def test_agrees_with_the_reference_on_every_option(
    backend: str,
    device: torch.device,
    options: dict[str, Any],
    parameters: str,
    dtype: torch.dtype,
) -> None:
    require(backend, OPERATOR, device, dtype)
    bias, prior = "bias" in parameters, "prior" in parameters
    inputs = predictions(SMALL, bias=bias, prior=prior, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, inputs, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@SOFTMAX_OVER
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference_on_every_shape(
    backend: str, device: torch.device, shape: Shape, softmax_over: str, dtype: torch.dtype
) -> None:
    require(backend, OPERATOR, device, dtype)
    plain = predictions(shape, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, plain, softmax_over=softmax_over)
    full = predictions(shape, bias=True, prior=True, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, full, softmax_over=softmax_over, iterations=2)


@SOFTMAX_OVER
def test_is_the_second_half_of_the_fused_layer(
    backend: str, device: torch.device, softmax_over: str
) -> None:
    inputs = capsules((9, 37, 8, 5, 16), bias=True, prior=True, device=device)
    u, weight = inputs.pop("u"), inputs.pop("weight")
    options: dict[str, Any] = inputs | {"softmax_over": softmax_over}
    u_hat = fastcaps.prediction_vectors(u, weight)
    routed = fastcaps.dynamic_routing(u_hat, **options, backend=backend)
    assert_close("v", routed, fastcaps.routed_capsules(u, weight, **options), 1e-5)


@pytest.mark.parametrize("name", ["u_hat", "bias", "prior"])
def test_the_gradient_of_one_input_alone(backend: str, device: torch.device, name: str) -> None:
    inputs = predictions(SMALL, bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    together = evaluate(function, inputs)

    def function_of_one(**leaf: Tensor) -> Tensor:
        return function(**(inputs | leaf))

    alone = evaluate(function_of_one, {name: inputs[name]})
    difference = (alone[gradient_of(name)] - together[gradient_of(name)]).norm()
    assert difference <= 1e-6 * together[gradient_of(name)].norm()


@SOFTMAX_OVER
def test_same_bits_every_run_on_any_number_of_threads(
    backend: str, device: torch.device, threads: None, softmax_over: str
) -> None:
    function = call(OPERATOR, backend)
    for shape in ((1, 700, 1, 5, 16), (33, 130, 1, 5, 16)):
        inputs = predictions(shape, bias=True, prior=True, device=device)
        torch.set_num_threads(1)
        first = evaluate(function, inputs, softmax_over=softmax_over)
        # The order of sums in PyTorch's own operators may depend on the threads.
        for count in (1, 2, 3) if backend == "cpu" else (1, 1):
            torch.set_num_threads(count)
            assert_same_bits(first, evaluate(function, inputs, softmax_over=softmax_over))


@pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
def test_gradcheck(backend: str, device: torch.device, options: dict[str, Any]) -> None:
    if options["detach_routing"] and options["iterations"] > 1:
        pytest.skip("detach_routing leaves out a part of the derivative on purpose")
    require(backend, OPERATOR, device, torch.float64)
    prior = not options["detach_routing"]
    inputs = predictions(
        (2, 3, 1, 2, 2), bias=True, prior=prior, dtype=torch.float64, device=device
    )
    leaves = [x.requires_grad_() for x in inputs.values()]

    def route(*tensors: Tensor) -> Tensor:
        named = dict(zip(inputs, tensors, strict=True))
        return call(OPERATOR, backend)(**named, **options)

    assert gradcheck(route, leaves)
    if backend == "reference" and options["iterations"] == 3:
        assert gradgradcheck(route, leaves)


@SOFTMAX_OVER
def test_strided_inputs_and_gradients(
    backend: str, device: torch.device, softmax_over: str
) -> None:
    wide = random_tensor(12, 20, 7, 10, seed=1, device=device)
    for u_hat in (
        wide.permute(3, 1, 2, 0),
        wide[1::3, ::2, 1:, 2:5],
        wide[:1].expand(4, 20, 7, 10),
        wide[:, :1].expand(12, 5, 7, 10),
    ):
        assert_agrees(OPERATOR, backend, {"u_hat": u_hat}, softmax_over=softmax_over)
    leaf = wide.clone().requires_grad_()
    v = call(OPERATOR, backend)(leaf, softmax_over=softmax_over)
    (expanded,) = torch.autograd.grad(v.sum(), leaf, retain_graph=True)
    (dense,) = torch.autograd.grad(v, leaf, torch.ones_like(v))
    assert_close("gradient", expanded, dense, 1e-6)


@SOFTMAX_OVER
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_numbers_stay_in_their_sample(
    backend: str, device: torch.device, bad: float, softmax_over: str
) -> None:
    inputs = predictions((20, 7, 1, 5, 6), bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    clean = evaluate(function, inputs, softmax_over=softmax_over)
    inputs["u_hat"][17, 4, 2, 3] = bad
    spoiled = evaluate(function, inputs, softmax_over=softmax_over)
    others = torch.arange(20, device=device) != 17
    assert spoiled["result"][17].isnan().any()
    for name in ("result", gradient_of("u_hat")):
        error = (spoiled[name] - clean[name])[others].norm()
        assert error <= 1e-6 * clean[name].norm(), name


@SOFTMAX_OVER
@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-40, 1e15, 1e30])
def test_zero_denormal_and_huge_predictions_stay_finite(
    backend: str, device: torch.device, scale: float, softmax_over: str
) -> None:
    exact = predictions(SMALL, dtype=torch.float64, device=device)
    inputs = {"u_hat": (exact["u_hat"] * scale).float()}
    actual = evaluate(call(OPERATOR, backend), inputs, softmax_over=softmax_over)
    for name, value in actual.items():
        assert value.isfinite().all(), name
    assert actual["result"].norm(dim=-1).max() < 1.01


def test_an_empty_batch_has_zero_gradients(backend: str, device: torch.device) -> None:
    inputs = predictions((0, 5, 1, 4, 2), bias=True, prior=True, device=device)
    actual = evaluate(call(OPERATOR, backend), inputs)
    assert actual["result"].shape == (0, 4, 2)
    for name, x in inputs.items():
        assert actual[gradient_of(name)].shape == x.shape
        assert (actual[gradient_of(name)] == 0).all(), gradient_of(name)
