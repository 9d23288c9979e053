"""The fused capsule layer on every backend: accuracy, gradients, determinism, odd inputs."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import fastcaps
from tests.comparing import (
    DTYPES,
    HALF_TYPES,
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
    random_tensor,
    require,
)

OPERATOR = "routed_capsules"
pytestmark = [pytest.mark.operator(OPERATOR), pytest.mark.usefixtures("poisoned_memory")]

# B, N_in, D_in, N_out, D_out. Batches below and above 8, and on and beside multiples of 16 and
# 32; inputs on and beside multiples of 64; D_in that kernels are specialised for and others.
# Last come shapes and, below, a batch that are taken by matrix products where there are any.
SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (1, 1, 8, 5, 16),
    (1, 130, 8, 10, 16),
    (2, 64, 4, 5, 8),
    (2, 257, 16, 2, 3),
    (3, 300, 8, 12, 32),
    (5, 37, 3, 2, 20),
    (7, 65, 16, 3, 20),
    (8, 128, 8, 10, 16),
    (9, 37, 8, 1, 16),
    (15, 63, 7, 5, 16),
    (16, 64, 8, 10, 16),
    (17, 130, 8, 2, 32),
    (31, 37, 1, 10, 8),
    (32, 3, 16, 2, 20),
    (33, 129, 4, 5, 3),
    (33, 128, 16, 10, 1),
    (48, 1, 8, 10, 16),
    (65, 5, 8, 3, 17),
    (130, 3, 12, 4, 33),
    (64, 70, 2, 3, 32),
    (65, 21, 8, 3, 16),
    (127, 40, 4, 5, 32),
    (130, 7, 32, 2, 48),
    (80, 40, 16, 1, 64),
)
SMALL_BATCH: Shape = (3, 37, 8, 5, 16)
BATCH: Shape = (33, 37, 8, 5, 16)
LARGE_BATCH: Shape = (67, 37, 8, 5, 16)
OPTIONS = pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
BATCHES = pytest.mark.parametrize(
    "shape", [SMALL_BATCH, BATCH, LARGE_BATCH], ids=("small-batch", "batch", "large-batch")
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [SMALL_BATCH, BATCH], ids=("small-batch", "batch"))
@pytest.mark.parametrize("parameters", ["", "bias", "prior", "bias+prior"])
@OPTIONS
def test_agrees_with_the_reference_on_every_option(
    backend: str,
    device: torch.device,
    options: dict[str, Any],
    parameters: str,
    shape: Shape,
    dtype: torch.dtype,
) -> None:
    require(backend, OPERATOR, device, dtype)
    bias, prior = "bias" in parameters, "prior" in parameters
    inputs = capsules(shape, bias=bias, prior=prior, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, inputs, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@SOFTMAX_OVER
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference_on_every_shape(
    backend: str,
    device: torch.device,
    shape: Shape,
    softmax_over: str,
    dtype: torch.dtype,
) -> None:
    require(backend, OPERATOR, device, dtype)
    plain = capsules(shape, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, plain, softmax_over=softmax_over)
    full = capsules(shape, bias=True, prior=True, dtype=dtype, device=device)
    assert_agrees(OPERATOR, backend, full, softmax_over=softmax_over, iterations=2)


@SOFTMAX_OVER
@BATCHES
def test_agrees_where_coefficients_are_nearly_zero_or_one(
    backend: str, device: torch.device, shape: Shape, softmax_over: str
) -> None:
    inputs = capsules(shape, prior=True, scale=4.0, device=device)
    inputs["prior"] *= 30  # logits of about 100, whose exponentials overflow float32
    assert_agrees(OPERATOR, backend, inputs, softmax_over=softmax_over)


@SOFTMAX_OVER
@pytest.mark.parametrize("shape", [SMALL_BATCH, (33, 130, 8, 5, 16)], ids=("small-batch", "batch"))
def test_agrees_for_long_predictions(
    backend: str, device: torch.device, shape: Shape, softmax_over: str
) -> None:
    """Where one input or output takes nearly all, its terms of the gradient cancel."""
    inputs = capsules(shape, bias=True, prior=True, scale=30.0, device=device)
    # Tensor cores truncate what they add up: logits of hundreds are off by 1e-4.
    tolerance = 3e-4 if backend == "triton" and device.type == "cuda" else None
    assert_agrees(
        OPERATOR, backend, inputs, softmax_over=softmax_over, gradient_tolerance=tolerance
    )


@SOFTMAX_OVER
@pytest.mark.parametrize("shape", [SMALL_BATCH, BATCH], ids=("small-batch", "batch"))
@pytest.mark.parametrize("name", ["u", "weight", "bias", "prior"])
def test_the_gradient_of_one_input_alone(
    backend: str, device: torch.device, name: str, shape: Shape, softmax_over: str
) -> None:
    inputs = capsules(shape, bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    together = evaluate(function, inputs, softmax_over=softmax_over)

    def function_of_one(**leaf: Tensor) -> Tensor:
        return function(**(inputs | leaf), softmax_over=softmax_over)

    alone = evaluate(function_of_one, {name: inputs[name]})
    difference = (alone[gradient_of(name)] - together[gradient_of(name)]).norm()
    assert difference <= 1e-6 * together[gradient_of(name)].norm()


@SOFTMAX_OVER
def test_without_gradient_the_result_is_the_same(
    backend: str, device: torch.device, softmax_over: str
) -> None:
    inputs = capsules(BATCH, bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    with_gradient = evaluate(function, inputs, softmax_over=softmax_over)["result"]
    with torch.inference_mode():
        result = function(**inputs, softmax_over=softmax_over)
    assert not result.requires_grad
    assert torch.equal(result, with_gradient)


@SOFTMAX_OVER
@pytest.mark.parametrize("dtype", [torch.float32, *HALF_TYPES], ids=str)
@pytest.mark.parametrize("shape", [SMALL_BATCH, BATCH, LARGE_BATCH, (2, 700, 8, 5, 16)], ids=str)
def test_same_bits_every_run(
    backend: str, device: torch.device, shape: Shape, dtype: torch.dtype, softmax_over: str
) -> None:
    require(backend, OPERATOR, device, dtype)
    inputs = capsules(shape, bias=True, prior=True, dtype=dtype, device=device)
    function = call(OPERATOR, backend)
    first = evaluate(function, inputs, softmax_over=softmax_over)
    for _ in range(3):
        assert_same_bits(first, evaluate(function, inputs, softmax_over=softmax_over))


@SOFTMAX_OVER
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 700, 8, 5, 16), (5, 130, 8, 5, 16), BATCH, (130, 40, 8, 5, 16)], ids=str
)
def test_same_bits_on_any_number_of_threads(
    backend: str,
    device: torch.device,
    threads: None,
    shape: Shape,
    dtype: torch.dtype,
    softmax_over: str,
) -> None:
    if backend != "cpu":
        pytest.skip("the order of sums in PyTorch's own operators may depend on the threads")
    function = call(OPERATOR, backend)
    for prior in (False, True):
        inputs = capsules(shape, bias=True, prior=prior, dtype=dtype, device=device)
        torch.set_num_threads(1)
        alone = evaluate(function, inputs, softmax_over=softmax_over)
        for count in (2, 3):
            torch.set_num_threads(count)
            assert_same_bits(alone, evaluate(function, inputs, softmax_over=softmax_over))


@pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
@pytest.mark.parametrize("batch", [2, 9])
def test_gradcheck(backend: str, device: torch.device, batch: int, options: dict[str, Any]) -> None:
    """Detached coefficients are no derivative, unless the coefficients do not depend on u."""
    if options["detach_routing"] and options["iterations"] > 1:
        pytest.skip("detach_routing leaves out a part of the derivative on purpose")
    require(backend, OPERATOR, device, torch.float64)
    prior = not options["detach_routing"]
    shape = (batch, 3, 2, 2, 2)
    inputs = capsules(shape, bias=True, prior=prior, dtype=torch.float64, device=device)
    leaves = [x.requires_grad_() for x in inputs.values()]

    def route(*tensors: Tensor) -> Tensor:
        named = dict(zip(inputs, tensors, strict=True))
        return call(OPERATOR, backend)(**named, **options)

    assert gradcheck(route, leaves)
    if backend == "reference" and options["iterations"] == 3 and batch == 2:
        assert gradgradcheck(route, leaves)


@SOFTMAX_OVER
def test_strided_inputs(backend: str, device: torch.device, softmax_over: str) -> None:
    kind: dict[str, Any] = {"device": device}
    u = random_tensor(40, 12, 9, seed=1, **kind)[1::2, 1:11, 3:7]  # [20, 10, 4]
    weight = random_tensor(6, 5, 4, 10, seed=2, **kind).permute(3, 2, 1, 0)  # [10, 4, 5, 6]
    bias = random_tensor(6, 5, seed=3, **kind).t()
    prior = random_tensor(10, 1, seed=4, **kind).expand(10, 5)
    options = {"softmax_over": softmax_over}
    assert_agrees(
        OPERATOR,
        backend,
        {"u": u, "weight": weight, "bias": bias, "prior": prior},
        **options,
    )
    for view in (
        random_tensor(4, 10, 20, seed=1, **kind).permute(2, 1, 0),
        u[:1].expand(20, 10, 4),
        u[:, :1].expand(20, 10, 4),
        random_tensor(20 * 40 + 1, seed=1, **kind)[1:].view(20, 10, 4),
        u[3:5],
        torch._neg_view(u),
    ):
        assert_agrees(OPERATOR, backend, {"u": view, "weight": weight}, **options)


@SOFTMAX_OVER
@pytest.mark.parametrize("shape", [SMALL_BATCH, BATCH], ids=("small-batch", "batch"))
def test_strided_incoming_gradients(
    backend: str, device: torch.device, shape: Shape, softmax_over: str
) -> None:
    batch, _, _, outputs, out_dim = shape
    inputs = capsules(shape, bias=True, device=device)
    leaves = [x.requires_grad_() for x in inputs.values()]
    v = call(OPERATOR, backend)(**inputs, softmax_over=softmax_over)
    strided = random_tensor(out_dim, outputs, batch * 2, seed=5, device=device)
    one = torch.ones((), device=device)
    for gradient in (one.expand_as(v), strided.permute(2, 1, 0)[::2]):
        actual = torch.autograd.grad(v, leaves, gradient, retain_graph=True)
        dense = torch.autograd.grad(v, leaves, gradient.contiguous(), retain_graph=True)
        for name, strided_result, dense_result in zip(inputs, actual, dense, strict=True):
            assert_close(gradient_of(name), strided_result, dense_result, 1e-6)


@SOFTMAX_OVER
@BATCHES
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_numbers_stay_in_their_sample(
    backend: str, device: torch.device, bad: float, shape: Shape, softmax_over: str
) -> None:
    inputs = capsules(shape, bias=True, prior=True, device=device)
    function = call(OPERATOR, backend)
    clean = evaluate(function, inputs, softmax_over=softmax_over)
    for sample in (0, shape[0] - 1):
        spoiled_inputs = inputs | {"u": inputs["u"].clone()}
        spoiled_inputs["u"][sample, 5, 2] = bad
        spoiled = evaluate(function, spoiled_inputs, softmax_over=softmax_over)
        others = torch.arange(shape[0], device=device) != sample
        assert spoiled["result"][sample].isnan().any()
        for name in ("result", gradient_of("u")):
            error = (spoiled[name] - clean[name])[others].norm()
            assert error <= 1e-6 * clean[name].norm(), name


@SOFTMAX_OVER
@pytest.mark.parametrize("iterations", [1, 3])
@BATCHES
def test_nan_everywhere_in_a_sample_gives_nan_everywhere_in_that_sample(
    backend: str, device: torch.device, shape: Shape, iterations: int, softmax_over: str
) -> None:
    inputs = capsules(shape, device=device)
    inputs["u"][1] = float("nan")
    options: dict[str, Any] = {"iterations": iterations, "softmax_over": softmax_over}
    actual = evaluate(call(OPERATOR, backend), inputs, **options)
    for name in ("result", gradient_of("u")):
        expected = torch.zeros_like(actual[name], dtype=torch.bool)
        expected[1] = True
        assert torch.equal(actual[name].isnan(), expected), name


@SOFTMAX_OVER
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@BATCHES
def test_zero_capsules_give_zero_and_finite_gradients(
    backend: str, device: torch.device, shape: Shape, dtype: torch.dtype, softmax_over: str
) -> None:
    require(backend, OPERATOR, device, dtype)
    inputs = capsules(shape, dtype=dtype, device=device)
    zeros = inputs | {"u": torch.zeros_like(inputs["u"])}
    actual = evaluate(call(OPERATOR, backend), zeros, softmax_over=softmax_over)
    for name, value in actual.items():
        assert (value == 0).all(), name
    some = inputs | {"u": inputs["u"].clone()}
    some["u"][1] = 0
    assert_agrees(OPERATOR, backend, some, softmax_over=softmax_over)


@OPTIONS
def test_an_empty_batch_has_zero_gradients(
    backend: str, device: torch.device, options: dict[str, Any]
) -> None:
    inputs = capsules((0, 5, 3, 4, 2), bias=True, prior=True, device=device)
    actual = evaluate(call(OPERATOR, backend), inputs, **options)
    assert actual["result"].shape == (0, 4, 2)
    for name, x in inputs.items():
        assert actual[gradient_of(name)].shape == x.shape
        assert (actual[gradient_of(name)] == 0).all(), gradient_of(name)


@SOFTMAX_OVER
@BATCHES
@pytest.mark.parametrize(
    ("scales", "dtype"),
    [
        *product(((1e15, 1), (1, 1e20), (1e30, 1), (1e-40, 1), (1, 1e-44)), (torch.float32,)),
        *product(((1e100, 1), (1, 1e200), (1e-320, 1)), (torch.float64,)),
        *product(((1e30, 1), (1, 1e20), (1e-40, 1)), (torch.bfloat16,)),
        *product(((1e4, 1), (6e-8, 1)), (torch.float16,)),
    ],
    ids=str,
)
def test_huge_and_denormal_magnitudes_stay_finite(
    backend: str,
    device: torch.device,
    scales: tuple[float, float],
    dtype: torch.dtype,
    shape: Shape,
    softmax_over: str,
) -> None:
    require(backend, OPERATOR, device, dtype)
    inputs = capsules(shape, dtype=torch.float64, device=device)
    scaled = {
        name: (x * scale).to(dtype) for (name, x), scale in zip(inputs.items(), scales, strict=True)
    }
    actual = evaluate(call(OPERATOR, backend), scaled, softmax_over=softmax_over)
    for name, value in actual.items():
        assert value.isfinite().all(), name
    lengths = actual["result"].double().norm(dim=-1)
    assert lengths.max() < 1.01
    if max(scales) > 1:
        # A long vector keeps its direction; which of the inputs an output listens to is decided
        # by differences of logits that are themselves huge, so the direction is exact.
        assert lengths.max() > 0.99


@SOFTMAX_OVER
@BATCHES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("power", [-120, 120])
def test_agrees_where_only_the_products_are_of_moderate_size(
    backend: str,
    device: torch.device,
    power: int,
    dtype: torch.dtype,
    shape: Shape,
    softmax_over: str,
) -> None:
    require(backend, OPERATOR, device, dtype)
    if backend == "triton" and dtype == torch.float32 and device.type == "cuda":
        power = power * 5 // 6  # the terms of a product in TF32 have no digits below 2^-136
    inputs = capsules(shape, dtype=dtype, device=device)
    inputs["u"] *= 2.0**power
    inputs["weight"] *= 2.0**-power
    assert_agrees(OPERATOR, backend, inputs, softmax_over=softmax_over)


def test_more_iterations_sharpen_the_agreement(backend: str, device: torch.device) -> None:
    """Inputs that agree about one output, and not about the others, get to that output."""
    weight = random_tensor(64, 8, 5, 16, seed=2, scale=0.3, device=device)
    weight[:, :, 3] = weight[:1, :, 3]
    u = random_tensor(2, 1, 8, seed=1, device=device).expand(2, 64, 8)
    lengths = [
        fastcaps.routed_capsules(u, weight, iterations=iterations, backend=backend).norm(dim=-1)
        for iterations in (1, 2, 3, 6)
    ]
    for before, after in pairwise(lengths):
        assert (after[:, 3] > before[:, 3]).all()
    assert_close("winner", lengths[-1].argmax(-1), torch.full_like(lengths[-1][:, 0], 3), 0)
