"""The CUDA kernels of the fused layer on tensor cores, run on the host by its operators."""

from __future__ import annotations

import pytest
import torch

from fastcaps.ops import library
from tests.comparing import Shape, assert_close, assert_same_bits
from tests.cuda_host.calls import OVER, PARAMETERS, Call, Gpu
from tests.cuda_host.library import ORDERS

pytestmark = pytest.mark.usefixtures("gpu", "poisoned_memory")

SHAPES: tuple[Shape, ...] = (
    (1, 1, 8, 1, 16),
    (3, 9, 8, 5, 16),
    (35, 4, 8, 12, 16),
    (70, 6, 8, 5, 16),
    (5, 9, 8, 3, 32),
    (18, 6, 8, 12, 32),
)
HALF_TYPES = (torch.float16, torch.bfloat16)
TF32_TOLERANCE = 5e-3
SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)
DETACHED = pytest.mark.parametrize("detached", [False, True], ids=["", "detached"])


@OVER
@DETACHED
@PARAMETERS
@pytest.mark.parametrize("iterations", [1, 3])
@SHAPE
def test_agrees_with_the_reference(
    shape: Shape, iterations: int, parameters: bool, detached: bool, over_inputs: bool
) -> None:
    Call(
        shape,
        iterations=iterations,
        parameters=parameters,
        detached=detached,
        over_inputs=over_inputs,
    ).assert_agrees()


@OVER
@pytest.mark.parametrize(
    ("parameters", "detached"),
    [(False, False), (True, False), (True, True)],
    ids=["plain", "bias and prior", "detached"],
)
@pytest.mark.parametrize("dtype", HALF_TYPES, ids=str)
@SHAPE
def test_half_types_are_only_rounded_in_the_end(
    shape: Shape, dtype: torch.dtype, parameters: bool, detached: bool, over_inputs: bool
) -> None:
    call = Call(shape, dtype, parameters=parameters, detached=detached, over_inputs=over_inputs)
    call.assert_agrees(torch.finfo(dtype).eps)


@pytest.mark.skipif(library.LOAD_ERROR is not None, reason=f"no extension: {library.LOAD_ERROR}")
@OVER
@PARAMETERS
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, *HALF_TYPES], ids=str)
@SHAPE
def test_what_is_saved_is_what_the_cpu_keeps(
    shape: Shape, dtype: torch.dtype, iterations: int, parameters: bool, over_inputs: bool
) -> None:
    """Of the same numbers in float32."""
    call = Call(shape, dtype, iterations=iterations, parameters=parameters, over_inputs=over_inputs)
    _, s, log_sum_exp = call.forward()
    numbers = [None if x is None else x.float() for x in call.layer()]
    _, want, want_log_sum_exp = torch.ops.fastcaps.routed_capsules(*numbers, *call.options)
    assert_close("s", s, want, 1e-5)
    if over_inputs:
        # The CPU kernels shift every column of the prior to the maximum 0.
        shift = call.inputs["prior"].double().amax(0) if parameters else 0
        want_log_sum_exp = want_log_sum_exp.double().sum(-1) + shift
        assert_close("log_sum_exp", log_sum_exp.double().sum(-1), want_log_sum_exp, 1e-5)


@OVER
@pytest.mark.parametrize("dim", [16, 32])
def test_tf32_where_it_is_allowed(dim: int, over_inputs: bool) -> None:
    shape = (5, 9, 8, 3, dim)
    exact = Call(shape, over_inputs=over_inputs).everything()
    rounded = Call(shape, over_inputs=over_inputs, allow_tf32=True)
    rounded.assert_agrees(TF32_TOLERANCE)
    for name, value in rounded.everything().items():
        assert not value.equal(exact[name]), name


@OVER
@pytest.mark.parametrize("processors", [6, 3, 2, 1], ids=["4", "8", "12", "24 inputs a slice"])
def test_any_slices(gpu: Gpu, processors: int, over_inputs: bool) -> None:
    gpu.set(processors=processors)
    Call((5, 23, 8, 3, 16), over_inputs=over_inputs).assert_agrees()


@OVER
@pytest.mark.parametrize("dim", [16, 32])
def test_the_order_of_threads_does_not_matter(gpu: Gpu, dim: int, over_inputs: bool) -> None:
    """Nor where there are several tiles of samples and several slices."""
    call = Call((70, 9, 8, 5, dim), over_inputs=over_inputs)
    gpu.set(processors=9)
    call.assert_agrees()
    first = call.everything()
    for order in ORDERS[1:]:
        gpu.set(processors=9, order=order)
        assert_same_bits(call.everything(), first)


@OVER
@PARAMETERS
def test_large_batches_are_as_exact(parameters: bool, over_inputs: bool) -> None:
    """Tensor cores truncate what they add up: they must not add up all samples."""
    Call((512, 2, 8, 2, 16), parameters=parameters, over_inputs=over_inputs).assert_agrees(1e-5)


@OVER
@PARAMETERS
@pytest.mark.parametrize("tolerance", [None, TF32_TOLERANCE], ids=["exact", "TF32"])
def test_an_output_that_takes_all_has_no_gradient_of_its_own(
    tolerance: float | None, parameters: bool, over_inputs: bool
) -> None:
    """Its slope is the mean: their difference would be rounding, times huge predictions."""
    call = Call(
        (3, 1, 8, 1, 16),
        parameters=parameters,
        over_inputs=over_inputs,
        allow_tf32=tolerance is not None,
    )
    call.inputs["weight"].mul_(1e5)
    call.assert_agrees(tolerance)


@OVER
def test_nan_stays_in_its_sample(over_inputs: bool) -> None:
    call = Call((40, 5, 8, 3, 16), over_inputs=over_inputs)
    whole = call.forward()[0]
    call.inputs["u"][7, 2, 3] = torch.nan
    v = call.forward()[0]
    assert v[7].isnan().all()
    v[7] = whole[7]
    assert v.equal(whole)
