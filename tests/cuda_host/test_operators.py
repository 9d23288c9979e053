"""The CUDA operators of the fused layer on CPU tensors: checks, memory, and which kernels run."""

from __future__ import annotations

import pytest
import torch

from tests.comparing import Shape, gradient_of
from tests.cuda_host.calls import NAMES, OPERATORS, OVER, PARAMETERS, Call, Gpu

pytestmark = pytest.mark.usefixtures("gpu", "poisoned_memory")

ON_TENSOR_CORES: Shape = (5, 9, 8, 3, 16)
ANY: Shape = (5, 9, 3, 4, 7)
SHAPES = pytest.mark.parametrize("shape", [ON_TENSOR_CORES, ANY], ids=str)
ALL_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@OVER
@PARAMETERS
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@SHAPES
def test_agree_with_the_reference(
    shape: Shape, dtype: torch.dtype, parameters: bool, over_inputs: bool
) -> None:
    Call(shape, dtype, parameters=parameters, over_inputs=over_inputs).assert_agrees()


@OVER
@PARAMETERS
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
    gpu: Gpu, dtype: torch.dtype, detached: bool, workspace: int, over_inputs: bool
) -> None:
    gpu.set(workspace=workspace)
    Call(ANY, dtype, detached=detached, over_inputs=over_inputs).assert_agrees()


def test_parts_of_the_batch_are_added_up_in_another_order(gpu: Gpu) -> None:
    call, name = Call(ANY), gradient_of("weight")
    gpu.set(workspace=0)
    in_parts = call.everything()[name]
    gpu.set()
    assert not call.everything()[name].equal(in_parts)


@OVER
def test_tensor_cores_are_left_out_where_memory_is_too_small(gpu: Gpu, over_inputs: bool) -> None:
    call = Call(ON_TENSOR_CORES, over_inputs=over_inputs)
    on_tensor_cores = call.forward()[0]
    gpu.set(shared_memory=128 * 1024)
    call.assert_agrees()
    assert not call.forward()[0].equal(on_tensor_cores)
    gpu.set(shared_memory=129 * 1024)
    assert call.forward()[0].equal(on_tensor_cores)


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
