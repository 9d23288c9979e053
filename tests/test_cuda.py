"""The fused layer by the CUDA kernels, on a GPU; tests/cuda_host/ runs them without one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fastcaps
from fastcaps.backends import BackendError, choose_backend
from tests.comparing import (
    ROUTING_OPTIONS,
    Shape,
    assert_agrees,
    assert_same_bits,
    call,
    capsules,
    evaluate,
    option_name,
    require,
)

OPERATOR = "routed_capsules"
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
SMALL: Shape = (3, 37, 8, 5, 16)
SHAPES: tuple[Shape, ...] = (
    SMALL,
    (1, 1, 8, 1, 16),
    (33, 130, 8, 12, 16),
    (67, 37, 8, 12, 32),
    (200, 70, 8, 7, 32),
    (4096, 5, 8, 3, 16),
)


LARGE: Shape = (67, 130, 8, 12, 32)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The device, where some of the fused CUDA kernels can run on it."""
    require("cuda", OPERATOR, device, torch.float16, D_out=16)
    return device


def fitting(
    gpu: torch.device, shape: Shape, dtype: torch.dtype = torch.float32, **options: bool
) -> dict[str, Tensor]:
    """Inputs of a layer; the test is skipped where a GPU has too little shared memory for it."""
    require("cuda", OPERATOR, gpu, dtype, D_out=shape[-1])
    return capsules(shape, dtype=dtype, device=gpu, **options)


@pytest.mark.parametrize("parameters", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    gpu: torch.device,
    shape: Shape,
    dtype: torch.dtype,
    options: dict[str, Any],
    parameters: bool,
) -> None:
    inputs = fitting(gpu, shape, dtype, bias=parameters, prior=parameters)
    assert_agrees(OPERATOR, "cuda", inputs, **options)


@SOFTMAX_OVER
@DTYPES
def test_strided_and_misaligned_inputs(
    gpu: torch.device, dtype: torch.dtype, softmax_over: str
) -> None:
    inputs = fitting(gpu, SMALL, dtype, bias=True, prior=True)
    moved = {}
    for name, x in inputs.items():
        room = torch.full((x.numel() + 1,), torch.nan, dtype=dtype, device=gpu)
        moved[name] = room[1:].view(x.shape).copy_(x)
    function = call(OPERATOR, "cuda")
    expected = evaluate(function, inputs, softmax_over=softmax_over)
    assert_same_bits(expected, evaluate(function, moved, softmax_over=softmax_over))
    moved["u"] = inputs["u"].transpose(0, 1).contiguous().transpose(0, 1)
    assert_same_bits(expected, evaluate(function, moved, softmax_over=softmax_over))


@SOFTMAX_OVER
@pytest.mark.parametrize("names", [("u",), ("weight",), ("bias",), ("prior",)], ids=str)
def test_the_gradient_of_some_inputs(
    gpu: torch.device, softmax_over: str, names: tuple[str, ...]
) -> None:
    inputs = fitting(gpu, SMALL, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    together = evaluate(function, inputs, softmax_over=softmax_over)

    def function_of_some(**leaves: Tensor) -> Tensor:
        return function(**(inputs | leaves), softmax_over=softmax_over)

    some = evaluate(function_of_some, {name: inputs[name] for name in names})
    assert_same_bits(some, {name: together[name] for name in some})


@SOFTMAX_OVER
@DTYPES
def test_same_bits_every_run(gpu: torch.device, dtype: torch.dtype, softmax_over: str) -> None:
    inputs = fitting(gpu, LARGE, dtype, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    first = evaluate(function, inputs, softmax_over=softmax_over)
    for _ in range(20):
        assert_same_bits(first, evaluate(function, inputs, softmax_over=softmax_over))


@SOFTMAX_OVER
def test_another_stream_and_a_graph(gpu: torch.device, softmax_over: str) -> None:
    inputs = fitting(gpu, LARGE)
    function = call(OPERATOR, "cuda")
    expected = function(**inputs, softmax_over=softmax_over)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        v = function(**inputs, softmax_over=softmax_over)
    torch.cuda.synchronize()
    assert v.equal(expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        v = function(**inputs, softmax_over=softmax_over)
    v.fill_(torch.nan)
    graph.replay()
    assert v.equal(expected)


@SOFTMAX_OVER
def test_gradients_on_another_stream(gpu: torch.device, softmax_over: str) -> None:
    inputs = fitting(gpu, LARGE, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    expected = evaluate(function, inputs, softmax_over=softmax_over)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        actual = evaluate(function, inputs, softmax_over=softmax_over)
    torch.cuda.synchronize()
    assert_same_bits(expected, actual)


def test_an_empty_batch(gpu: torch.device) -> None:
    inputs = fitting(gpu, (0, 5, 8, 3, 16), torch.float16, bias=True, prior=True)
    for name, value in evaluate(call(OPERATOR, "cuda"), inputs).items():
        assert not value.any(), name


def test_what_does_not_fit_is_said(gpu: torch.device) -> None:
    with pytest.raises(BackendError, match="D_in = 8, N_out <= 12 and D_out = 16 or 32, got"):
        fastcaps.routed_capsules(**capsules((2, 5, 8, 13, 16), device=gpu), backend="cuda")
    double = capsules(SMALL, dtype=torch.float64, device=gpu)
    with pytest.raises(BackendError, match="it computes in float32"):
        fastcaps.routed_capsules(**double, backend="cuda")


def test_the_automatic_choice_leaves_it_out(gpu: torch.device) -> None:
    assert choose_backend(None, OPERATOR, torch.empty(1, device=gpu)) != "cuda"
