"""The fused layer by the CUDA kernels, on a GPU; tests/cuda_host/ runs them without one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastcaps.backends import choose_backend
from tests.comparing import (
    CANCELLATION,
    ROUTING_OPTIONS,
    Shape,
    assert_agrees,
    assert_close,
    assert_same_bits,
    call,
    capsules,
    evaluate,
    incoming_gradient,
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
"""On tensor cores, where a GPU grants the shared memory for it."""
OTHER_SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (33, 130, 4, 13, 10),
    (70, 5, 130, 3, 70),
    (3, 40, 8, 100, 16),
    (500, 600, 8, 70, 8),
)
"""Too large or too odd for tensor cores; the last one is done in parts of the batch."""
LARGE: Shape = (67, 130, 8, 12, 32)
LARGE_OTHER: Shape = (67, 130, 6, 20, 24)
HALF_AND_SINGLE = (torch.float32, torch.float16, torch.bfloat16)
DTYPES = pytest.mark.parametrize("dtype", HALF_AND_SINGLE, ids=str)
LARGE_SHAPES = pytest.mark.parametrize("shape", [LARGE, LARGE_OTHER], ids=str)


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The device, where the CUDA kernels can run on it."""
    require("cuda", OPERATOR, device, torch.float32)
    return device


def layer(
    gpu: torch.device, shape: Shape, dtype: torch.dtype = torch.float32, **options: bool
) -> dict[str, Tensor]:
    """Inputs of a layer."""
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
    inputs = layer(gpu, shape, dtype, bias=parameters, prior=parameters)
    assert_agrees(OPERATOR, "cuda", inputs, **options)


@pytest.mark.usefixtures("restored_precision")
@SOFTMAX_OVER
def test_tf32_where_it_is_allowed(gpu: torch.device, softmax_over: str) -> None:
    """On tensor cores, where the GPU grants a block their memory; elsewhere it changes nothing."""
    properties: Any = torch.cuda.get_device_properties(gpu)  # its type lacks the attribute
    on_tensor_cores = properties.shared_memory_per_block_optin >= 129 * 1024
    inputs = layer(gpu, (67, 130, 8, 12, 16), bias=True, prior=True)
    exact = evaluate(call(OPERATOR, "cuda"), inputs, softmax_over=softmax_over)
    torch.set_float32_matmul_precision("high")
    rounded = evaluate(call(OPERATOR, "cuda"), inputs, softmax_over=softmax_over)
    floor = CANCELLATION * incoming_gradient(exact["result"], torch.float32).norm().item()
    for name, value in exact.items():
        assert rounded[name].equal(value) is not on_tensor_cores, name
        assert_close(name, rounded[name], value.double(), 5e-3, floor)


@pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)
@pytest.mark.parametrize("dtype", [*HALF_AND_SINGLE, torch.float64], ids=str)
@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=str)
def test_any_sizes_agree_with_the_reference(
    gpu: torch.device, shape: Shape, dtype: torch.dtype, options: dict[str, Any]
) -> None:
    inputs = layer(gpu, shape, dtype, bias=True, prior=True)
    assert_agrees(OPERATOR, "cuda", inputs, **options)


@SOFTMAX_OVER
def test_float64_on_sizes_of_tensor_cores(gpu: torch.device, softmax_over: str) -> None:
    inputs = layer(gpu, SMALL, torch.float64, bias=True, prior=True)
    assert_agrees(OPERATOR, "cuda", inputs, softmax_over=softmax_over)


@SOFTMAX_OVER
@DTYPES
def test_strided_and_misaligned_inputs(
    gpu: torch.device, dtype: torch.dtype, softmax_over: str
) -> None:
    inputs = layer(gpu, SMALL, dtype, bias=True, prior=True)
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
    inputs = layer(gpu, SMALL, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    together = evaluate(function, inputs, softmax_over=softmax_over)

    def function_of_some(**leaves: Tensor) -> Tensor:
        return function(**(inputs | leaves), softmax_over=softmax_over)

    some = evaluate(function_of_some, {name: inputs[name] for name in names})
    assert_same_bits(some, {name: together[name] for name in some})


@SOFTMAX_OVER
@DTYPES
@LARGE_SHAPES
def test_same_bits_every_run(
    gpu: torch.device, shape: Shape, dtype: torch.dtype, softmax_over: str
) -> None:
    inputs = layer(gpu, shape, dtype, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    first = evaluate(function, inputs, softmax_over=softmax_over)
    for _ in range(20):
        assert_same_bits(first, evaluate(function, inputs, softmax_over=softmax_over))


@SOFTMAX_OVER
@LARGE_SHAPES
def test_another_stream_and_a_graph(gpu: torch.device, shape: Shape, softmax_over: str) -> None:
    inputs = layer(gpu, shape)
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
@LARGE_SHAPES
def test_gradients_on_another_stream(gpu: torch.device, shape: Shape, softmax_over: str) -> None:
    inputs = layer(gpu, shape, bias=True, prior=True)
    function = call(OPERATOR, "cuda")
    expected = evaluate(function, inputs, softmax_over=softmax_over)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        actual = evaluate(function, inputs, softmax_over=softmax_over)
    torch.cuda.synchronize()
    assert_same_bits(expected, actual)


@pytest.mark.parametrize("shape", [(0, 5, 8, 3, 16), (0, 5, 3, 3, 7)], ids=str)
def test_an_empty_batch(gpu: torch.device, shape: Shape) -> None:
    inputs = layer(gpu, shape, torch.float16, bias=True, prior=True)
    for name, value in evaluate(call(OPERATOR, "cuda"), inputs).items():
        assert not value.any(), name


def test_the_automatic_choice_leaves_it_out(gpu: torch.device) -> None:
    assert choose_backend(None, OPERATOR, torch.empty(1, device=gpu)) != "cuda"
