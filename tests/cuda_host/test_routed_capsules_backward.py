"""The gradients of the fused layer by the CUDA kernels, run on the host."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastcaps import reference
from tests.comparing import CANCELLATION, assert_close, random_tensor
from tests.cuda_host.library import ORDERS, STORAGE, HostLibrary
from tests.cuda_host.test_routed_capsules import DTYPES, Layer, layer, route

SHAPES = ((1, 1, 1, 16), (3, 9, 5, 16), (35, 4, 12, 16), (5, 9, 3, 32), (18, 6, 12, 32))
"""B, I, J, D; K is 8."""
OVER = pytest.mark.parametrize("over_inputs", [False, True], ids=["outputs", "inputs"])


def gradients(
    host: HostLibrary,
    given: Layer,
    grad: Tensor,
    iterations: int = 3,
    over_inputs: bool = False,
    detached: bool = False,
    exact: bool = True,
    slice_inputs: int = 4,
    order: int = 0,
) -> dict[str, Tensor]:
    saved = route(host, given, iterations, over_inputs, exact, slice_inputs)
    (batch, inputs, _), (*_, outputs, dim) = given.u.shape, given.weight.shape
    vectors = (batch, outputs, dim)

    def empty(*sizes: int) -> Tensor:
        return torch.full(sizes, torch.nan)

    result = {name: torch.full_like(getattr(given, name), torch.nan) for name in ("u", "weight")}
    if given.prior is not None and not detached:
        result["prior"] = torch.full_like(given.prior, torch.nan)
    agreement, grad_s = empty(iterations, *vectors), empty(iterations, *vectors)
    workspace = (
        agreement,
        grad_s,
        empty(iterations, batch, outputs),
        empty(*vectors),
        empty(-(-inputs // slice_inputs), *vectors),
    )
    sizes = (STORAGE[given.u.dtype], batch, inputs, outputs, dim, iterations)
    switches = (int(over_inputs), int(detached), int(exact))
    host(
        "route_backward",
        grad,
        *given,
        saved["s"],
        saved["log_sum_exp"],
        *workspace,
        result["u"],
        result["weight"],
        result.get("prior"),
        *sizes,
        *switches,
        slice_inputs,
        order,
    )
    if given.bias is not None:
        result["bias"] = grad_s[iterations - 1 if detached else 0 :].sum((0, 1))
    return result


def expected(
    given: Layer, grad: Tensor, iterations: int, over_inputs: bool, detached: bool
) -> dict[str, Tensor]:
    leaves = {
        name: x.double().requires_grad_()
        for name, x in given._asdict().items()
        if x is not None and not (detached and name == "prior")
    }
    constants = {"prior": given.prior.double()} if detached and given.prior is not None else {}
    v = reference.routed_capsules(
        **(leaves | constants),
        iterations=iterations,
        softmax_over="inputs" if over_inputs else "outputs",
        detach_routing=detached,
    )
    return dict(zip(leaves, torch.autograd.grad(v, tuple(leaves.values()), grad), strict=True))


def incoming(given: Layer) -> Tensor:
    *_, outputs, dim = given.weight.shape
    return random_tensor(given.u.shape[0], outputs, dim, seed=5).to(given.u.dtype)


def assert_agree(
    result: dict[str, Tensor], want: dict[str, Tensor], grad: Tensor, tolerance: float = 1e-4
) -> None:
    assert result.keys() == want.keys()
    floor = CANCELLATION * grad.norm().item()
    for name, value in want.items():
        assert_close(f"gradient of {name}", result[name], value, tolerance, floor)


@OVER
@pytest.mark.parametrize("detached", [False, True], ids=["", "detached"])
@pytest.mark.parametrize("options", [False, True], ids=["plain", "bias and prior"])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    host: HostLibrary,
    shape: tuple[int, ...],
    iterations: int,
    options: bool,
    detached: bool,
    over_inputs: bool,
) -> None:
    given = layer(shape, options=options)
    grad = incoming(given)
    result = gradients(host, given, grad, iterations, over_inputs, detached)
    assert_agree(result, expected(given, grad.double(), iterations, over_inputs, detached), grad)


@OVER
@pytest.mark.parametrize("detached", [False, True], ids=["", "detached"])
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_half_types_are_only_rounded_in_the_end(
    host: HostLibrary,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    detached: bool,
    over_inputs: bool,
) -> None:
    given = layer(shape, options=True, dtype=dtype)
    grad = incoming(given)
    result = gradients(host, given, grad, over_inputs=over_inputs, detached=detached)
    want = expected(given, grad.double(), 3, over_inputs, detached)
    assert_agree(result, want, grad, torch.finfo(dtype).eps)


@OVER
def test_tf32_is_close_to_the_reference(host: HostLibrary, over_inputs: bool) -> None:
    given = layer((5, 9, 3, 32), options=True)
    grad = incoming(given)
    result = gradients(host, given, grad, over_inputs=over_inputs, exact=False)
    assert_agree(result, expected(given, grad.double(), 3, over_inputs, False), grad, 5e-3)


@OVER
@pytest.mark.parametrize("slice_inputs", [4, 8, 40])
def test_any_slices(host: HostLibrary, over_inputs: bool, slice_inputs: int) -> None:
    given = layer((5, 23, 3, 16), options=True)
    grad = incoming(given)
    result = gradients(host, given, grad, over_inputs=over_inputs, slice_inputs=slice_inputs)
    assert_agree(result, expected(given, grad.double(), 3, over_inputs, False), grad)


@OVER
def test_the_order_of_threads_does_not_matter(host: HostLibrary, over_inputs: bool) -> None:
    given = layer((35, 9, 5, 16), options=True)
    grad = incoming(given)
    first = gradients(host, given, grad, over_inputs=over_inputs, slice_inputs=8)
    for order in ORDERS[1:]:
        again = gradients(host, given, grad, over_inputs=over_inputs, slice_inputs=8, order=order)
        for name, value in first.items():
            assert again[name].equal(value), name


@OVER
def test_large_batches_are_as_exact(host: HostLibrary, over_inputs: bool) -> None:
    """Tensor cores truncate what they add up: they must not add up all samples."""
    given = layer((512, 2, 2, 16))
    grad = incoming(given)
    result = gradients(host, given, grad, over_inputs=over_inputs)
    assert_agree(result, expected(given, grad.double(), 3, over_inputs, False), grad, 1e-5)


@OVER
def test_an_output_that_takes_all_has_no_gradient_of_its_own(
    host: HostLibrary, over_inputs: bool
) -> None:
    """Its slope is the mean: their difference would be rounding, times huge predictions."""
    given = layer((3, 1, 1, 16))
    given.weight.mul_(1e5)
    grad = incoming(given)
    result = gradients(host, given, grad, over_inputs=over_inputs)
    assert_agree(result, expected(given, grad.double(), 3, over_inputs, False), grad)
