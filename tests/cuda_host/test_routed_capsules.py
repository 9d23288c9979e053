"""The CUDA kernels of the fused layer, run on the host, against the float64 reference."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastcaps import reference
from fastcaps.ops import library
from tests.comparing import FORWARD_TOLERANCE, assert_close, random_tensor
from tests.cuda_host.library import ORDERS, STORAGE, HostLibrary

needs_extension = pytest.mark.skipif(
    library.LOAD_ERROR is not None, reason=f"no extension: {library.LOAD_ERROR}"
)
SHAPES = (
    (1, 1, 1, 8),
    (5, 9, 20, 8),
    (3, 4, 2, 16),
    (70, 6, 5, 16),
    (6, 5, 12, 16),
    (5, 9, 3, 32),
    (64, 10, 12, 32),
)
"""B, I, J, D; K is 8."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class Layer(NamedTuple):
    u: Tensor
    weight: Tensor
    bias: Tensor | None
    prior: Tensor | None

    def to(self, dtype: torch.dtype) -> Layer:
        return Layer(*(None if x is None else x.to(dtype) for x in self))


def layer(
    shape: tuple[int, ...], *, options: bool = False, dtype: torch.dtype = torch.float32
) -> Layer:
    batch, inputs, outputs, dim = shape
    wide = Layer(
        random_tensor(batch, inputs, 8, seed=1),
        random_tensor(inputs, 8, outputs, dim, seed=2, scale=0.4),
        random_tensor(outputs, dim, seed=3) if options else None,
        random_tensor(inputs, outputs, seed=4) if options else None,
    )
    return wide.to(dtype)


def route(
    host: HostLibrary,
    given: Layer,
    iterations: int = 3,
    over_inputs: bool = False,
    exact: bool = True,
    slice_inputs: int = 4,
    order: int = 0,
) -> dict[str, Tensor]:
    (batch, inputs, _), (*_, outputs, dim) = given.u.shape, given.weight.shape
    slices = -(-inputs // slice_inputs)

    def empty(*sizes: int) -> Tensor:
        return torch.full(sizes, torch.nan)

    result = {
        "v": empty(batch, outputs, dim).to(given.u.dtype),
        "s": empty(iterations, batch, outputs, dim),
        "log_sum_exp": empty(iterations, batch, outputs, 2),
    }
    workspace = [empty(batch, outputs, dim), empty(slices, batch, outputs, dim)]
    workspace += [empty(slices, batch, outputs) for _ in range(2)]
    sizes = (STORAGE[given.u.dtype], batch, inputs, outputs, dim, iterations)
    switches = (int(over_inputs), int(exact))
    host("route", *given, *result.values(), *workspace, *sizes, *switches, slice_inputs, order)
    return result


def assert_saved(result: dict[str, Tensor], given: Layer, over_inputs: bool) -> None:
    """What the backward pass needs is what the CPU kernels keep of the same numbers in float32."""
    iterations = len(result["s"])
    given = given.to(torch.float32)
    options = (iterations, over_inputs, False, False)
    _, s, log_sum_exp = torch.ops.fastcaps.routed_capsules(*given, *options)
    assert_close("s", result["s"], s.double(), 1e-5)
    if over_inputs:
        # The CPU kernels shift every column of the prior to the maximum 0.
        shift = 0 if given.prior is None else given.prior.double().amax(0)
        want = log_sum_exp.double().sum(-1) + shift
        assert_close("log_sum_exp", result["log_sum_exp"].double().sum(-1), want, 1e-5)


def expected(given: Layer, iterations: int, over_inputs: bool) -> Tensor:
    wide = given.to(torch.float64)
    return reference.routed_capsules(
        wide.u,
        wide.weight,
        bias=wide.bias,
        prior=wide.prior,
        iterations=iterations,
        softmax_over="inputs" if over_inputs else "outputs",
    )


@needs_extension
@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
@pytest.mark.parametrize("options", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    host: HostLibrary, shape: tuple[int, ...], iterations: int, options: bool, over_inputs: bool
) -> None:
    given = layer(shape, options=options)
    result = route(host, given, iterations, over_inputs)
    want = expected(given, iterations, over_inputs)
    assert_close("v", result["v"], want, FORWARD_TOLERANCE[torch.float32])
    assert_saved(result, given, over_inputs)


@needs_extension
@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
@pytest.mark.parametrize("options", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_half_types_are_only_rounded_in_the_end(
    host: HostLibrary, shape: tuple[int, ...], dtype: torch.dtype, options: bool, over_inputs: bool
) -> None:
    given = layer(shape, options=options, dtype=dtype)
    result = route(host, given, over_inputs=over_inputs)
    want = expected(given, 3, over_inputs)
    assert_close("v", result["v"], want, torch.finfo(dtype).eps)
    assert_saved(result, given, over_inputs)


@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
def test_tf32_is_close_to_the_reference(host: HostLibrary, over_inputs: bool) -> None:
    given = layer((5, 9, 3, 32), options=True)
    v = route(host, given, over_inputs=over_inputs, exact=False)["v"]
    assert_close("v", v, expected(given, 3, over_inputs), 5e-3)


@pytest.mark.parametrize("slice_inputs", [4, 8, 12, 40])
@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
def test_any_slices(host: HostLibrary, over_inputs: bool, slice_inputs: int) -> None:
    given = layer((5, 23, 3, 16), options=True)
    result = route(host, given, over_inputs=over_inputs, slice_inputs=slice_inputs)
    assert_close("v", result["v"], expected(given, 3, over_inputs), 1e-5)


@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
def test_the_order_of_threads_does_not_matter(host: HostLibrary, over_inputs: bool) -> None:
    given = layer((70, 9, 5, 16), options=True)
    first = route(host, given, over_inputs=over_inputs, slice_inputs=8)
    for order in ORDERS[1:]:
        again = route(host, given, over_inputs=over_inputs, slice_inputs=8, order=order)
        for name, value in first.items():
            if name != "log_sum_exp" or over_inputs:
                assert again[name].equal(value), name


@pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])
def test_nan_stays_in_its_sample(host: HostLibrary, over_inputs: bool) -> None:
    given = layer((40, 5, 3, 16))
    whole = route(host, given, over_inputs=over_inputs)["v"]
    given.u[7, 2, 3] = torch.nan
    v = route(host, given, over_inputs=over_inputs)["v"]
    assert v[7].isnan().all()
    v[7] = whole[7]
    assert v.equal(whole)
