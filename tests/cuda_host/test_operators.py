"""The CUDA operators of the fused layer on CPU tensors: checks, memory, and launches in order."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.comparing import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    Shape,
    assert_close,
    capsules,
    gradient_of,
    incoming_gradient,
    specify,
)

OPERATORS = torch.ops.fastcaps_host
NAMES = ("u", "weight", "bias", "prior")

ON_TENSOR_CORES: Shape = (5, 9, 8, 3, 16)
ANY: Shape = (5, 9, 3, 4, 7)
SHAPES = pytest.mark.parametrize("shape", [ON_TENSOR_CORES, ANY], ids=str)
OVER = pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
ALL_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
MOST_SHARED_MEMORY = 232448
"""Bytes that a block of an H100 may take."""
WORKSPACE = 64 << 20
TF32_TOLERANCE = 5e-3


@pytest.fixture(autouse=True)
def gpu(operators: Path) -> Any:
    """Sets the GPU that the operators believe to be on: multiprocessors, bytes of shared memory,
    and bytes for what is kept of pairs of capsules.
    """
    set_gpu = ctypes.CDLL(str(operators)).set_gpu
    set_gpu.argtypes = [ctypes.c_int64] * 3
    set_gpu(4, MOST_SHARED_MEMORY, WORKSPACE)
    return set_gpu


class Call:
    """A layer and its options.

    Attributes:
        inputs: u, weight and perhaps bias and prior.
        options: iterations, whether the softmax is over inputs, whether routing is detached, and
            whether TF32 is allowed.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: torch.dtype = torch.float32,
        *,
        parameters: bool = True,
        iterations: int = 3,
        over_inputs: bool = False,
        detached: bool = False,
        allow_tf32: bool = False,
    ) -> None:
        self.inputs = capsules(shape, dtype=dtype, bias=parameters, prior=parameters)
        self.options = (iterations, over_inputs, detached, allow_tf32)

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """v, s and log_sum_exp."""
        result: tuple[Tensor, Tensor, Tensor] = OPERATORS.routed_capsules(
            *self._layer(), *self.options
        )
        return result

    def everything(self, *, need_u: bool = True, need_weight: bool = True) -> dict[str, Tensor]:
        """The result and the gradient of every input, named as :func:`evaluate` does."""
        v, s, log_sum_exp = self.forward()
        grad = incoming_gradient(v, v.dtype)
        found = OPERATORS.routed_capsules_backward(
            grad, *self._layer(), s, log_sum_exp, *self.options, need_u, need_weight
        )
        named = {gradient_of(name): x for name, x in zip(NAMES, found, strict=True)}
        return {"result": v} | named

    def assert_agrees(self, tolerance: float | None = None) -> None:
        """The result and every gradient agree with the reference, as well as their dtype can."""
        iterations, over_inputs, detached, _ = self.options
        actual = self.everything()
        expected = specify(
            "routed_capsules",
            self.inputs,
            iterations=iterations,
            softmax_over="inputs" if over_inputs else "outputs",
            detach_routing=detached,
        )
        dtype = self.inputs["u"].dtype
        for name, value in expected.items():
            assert actual[name].dtype == dtype
            tolerances = FORWARD_TOLERANCE if name == "result" else GRADIENT_TOLERANCE
            assert_close(name, actual[name], value, tolerance or tolerances[dtype])
        absent = [name for name in NAMES if name not in self.inputs]
        assert all(actual[gradient_of(name)].numel() == 0 for name in absent)

    def _layer(self) -> list[Tensor | None]:
        return [self.inputs.get(name) for name in NAMES]


@OVER
@pytest.mark.parametrize("parameters", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@SHAPES
def test_agree_with_the_reference(
    shape: Shape, dtype: torch.dtype, parameters: bool, over_inputs: bool
) -> None:
    Call(shape, dtype, parameters=parameters, over_inputs=over_inputs).assert_agrees()


@OVER
@pytest.mark.parametrize("parameters", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize(("iterations", "detached"), [(1, False), (1, True), (3, True)])
@SHAPES
def test_options(
    shape: Shape, iterations: int, detached: bool, parameters: bool, over_inputs: bool
) -> None:
    Call(
        shape,
        iterations=iterations,
        detached=detached,
        parameters=parameters,
        over_inputs=over_inputs,
    ).assert_agrees()


@OVER
@pytest.mark.parametrize("workspace", [0, 1800], ids=["one sample", "two of five"])
@pytest.mark.parametrize("detached", [False, True], ids=["whole", "detached"])
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_a_part_of_the_batch_at_a_time(
    gpu: Any, dtype: torch.dtype, detached: bool, workspace: int, over_inputs: bool
) -> None:
    gpu(4, MOST_SHARED_MEMORY, workspace)
    Call(ANY, dtype, detached=detached, over_inputs=over_inputs).assert_agrees()


def test_parts_of_the_batch_are_added_up_in_another_order(gpu: Any) -> None:
    call, name = Call(ANY), gradient_of("weight")
    gpu(4, MOST_SHARED_MEMORY, 0)
    in_parts = call.everything()[name]
    gpu(4, MOST_SHARED_MEMORY, WORKSPACE)
    assert not call.everything()[name].equal(in_parts)


@OVER
def test_tensor_cores_are_left_out_where_memory_is_too_small(gpu: Any, over_inputs: bool) -> None:
    call = Call(ON_TENSOR_CORES, over_inputs=over_inputs)
    on_tensor_cores = call.forward()[0]
    gpu(4, 128 * 1024, WORKSPACE)
    call.assert_agrees()
    assert not call.forward()[0].equal(on_tensor_cores)
    gpu(4, 129 * 1024, WORKSPACE)
    assert call.forward()[0].equal(on_tensor_cores)


@OVER
def test_tf32_where_it_is_allowed(over_inputs: bool) -> None:
    exact = Call(ON_TENSOR_CORES, over_inputs=over_inputs)
    rounded = Call(ON_TENSOR_CORES, over_inputs=over_inputs, allow_tf32=True)
    rounded.assert_agrees(TF32_TOLERANCE)
    everything = rounded.everything()
    assert not any(value.equal(everything[name]) for name, value in exact.everything().items())


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [*((ANY, dtype) for dtype in ALL_DTYPES), *((ON_TENSOR_CORES, x) for x in ALL_DTYPES[1:])],
    ids=str,
)
def test_tf32_is_for_float32_on_tensor_cores(shape: Shape, dtype: torch.dtype) -> None:
    allowed = Call(shape, dtype, allow_tf32=True).everything()
    for name, value in Call(shape, dtype).everything().items():
        assert value.equal(allowed[name]), name


@pytest.mark.parametrize("needs", [(True, False), (False, True), (False, False)], ids=str)
@SHAPES
def test_the_gradient_of_some_inputs(shape: Shape, needs: tuple[bool, bool]) -> None:
    call = Call(shape)
    together = call.everything()
    some = call.everything(need_u=needs[0], need_weight=needs[1])
    for name, is_needed in zip(("u", "weight"), needs, strict=True):
        if not is_needed:
            assert some.pop(gradient_of(name)).numel() == 0
    for name, value in some.items():
        assert value.equal(together[name]), name


@OVER
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@SHAPES
def test_strided_and_misaligned_inputs(shape: Shape, dtype: torch.dtype, over_inputs: bool) -> None:
    call = Call(shape, dtype, over_inputs=over_inputs)
    expected = call.everything()
    for name, x in call.inputs.items():
        room = torch.full((x.numel() + 1,), torch.nan, dtype=dtype)
        call.inputs[name] = room[1:].view(x.shape).copy_(x)
    for name, value in call.everything().items():
        assert value.equal(expected[name]), name
    call.inputs["u"] = call.inputs["u"].transpose(0, 1).contiguous().transpose(0, 1)
    for name, value in call.everything().items():
        assert value.equal(expected[name]), name


@SHAPES
def test_an_empty_batch(shape: Shape) -> None:
    call = Call((0, *shape[1:]))
    everything = call.everything()
    assert everything["result"].shape == (0, *shape[3:])
    for name in ("weight", "bias", "prior"):
        gradient = everything[gradient_of(name)]
        assert gradient.shape == call.inputs[name].shape
        assert not gradient.any()


@SHAPES
def test_what_does_not_fit_together_is_refused(shape: Shape) -> None:
    call = Call(shape)
    call.inputs["bias"] = torch.zeros(2, 2)
    with pytest.raises(RuntimeError, match="bias has the wrong shape"):
        call.forward()
    call = Call(shape)
    _, s, log_sum_exp = call.forward()
    layer = [call.inputs[name] for name in NAMES]
    with pytest.raises(RuntimeError, match="grad has the wrong shape"):
        OPERATORS.routed_capsules_backward(
            torch.zeros(1, 1, 1), *layer, s, log_sum_exp, *call.options, True, True
        )
    with pytest.raises(RuntimeError, match="s has the wrong shape"):
        OPERATORS.routed_capsules_backward(
            call.forward()[0], *layer, s[1:], log_sum_exp, *call.options, True, True
        )
