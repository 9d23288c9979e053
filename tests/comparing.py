"""What the tests of the operators share: random inputs, evaluation, the float64 comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import fastcaps
from fastcaps import reference
from fastcaps.backends import why_not

Tensors = dict[str, Any]
"""Tensors by name, to be given by keyword."""
Shape = tuple[int, int, int, int, int]
"""B, N_in, D_in, N_out, D_out."""

HALF_TYPES = (torch.float16, torch.bfloat16)
DTYPES = (torch.float32, torch.float64, *HALF_TYPES)

FORWARD_TOLERANCE = {
    torch.float32: 1e-5,
    torch.float64: 1e-12,
    torch.float16: 1e-2,
    torch.bfloat16: 1e-2,
}
GRADIENT_TOLERANCE = {**FORWARD_TOLERANCE, torch.float32: 1e-4}
CANCELLATION = 1e-3
"""Gradients smaller than this part of the incoming gradient are compared on that scale: they
are sums that cancel, exactly so for one output capsule, and what is left of them is rounding."""

ROUTING_OPTIONS = tuple(
    {
        "iterations": iterations,
        "softmax_over": softmax_over,
        "detach_routing": detach_routing,
    }
    for softmax_over, detach_routing, iterations in product(
        ("outputs", "inputs"), (False, True), (1, 2, 3, 5)
    )
)


def option_name(options: Mapping[str, Any]) -> str:
    """A short name of routing options for the name of a test."""
    detached = "-detached" if options.get("detach_routing") else ""
    return f"{options['softmax_over']}-{options['iterations']}{detached}"


def require(
    backend: str, operator: str, device: torch.device, dtype: torch.dtype, **sizes: int
) -> None:
    """Skip the test where ``backend`` has no kernel for this dtype and sizes, with its reason."""
    reason = why_not(backend, operator, torch.empty(1, device=device, dtype=dtype), **sizes)
    if reason is not None:
        pytest.skip(f"{backend}: {reason}")


def random_tensor(
    *size: int,
    seed: int,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Normal numbers, the same on every device, of standard deviation ``scale``."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, generator=generator, dtype=torch.float64) * scale
    return x.to(device=device, dtype=dtype)


def capsules(
    shape: Shape, *, bias: bool = False, prior: bool = False, scale: float = 1.0, **kind: Any
) -> Tensors:
    """Inputs of routed_capsules; prediction vectors of about ``scale`` per component."""
    batch, inputs, in_dim, outputs, out_dim = shape
    weight_scale = scale / in_dim**0.5
    tensors = {
        "u": random_tensor(batch, inputs, in_dim, seed=1, **kind),
        "weight": random_tensor(
            inputs, in_dim, outputs, out_dim, seed=2, scale=weight_scale, **kind
        ),
    }
    return tensors | _parameters(shape, bias, prior, **kind)


def predictions(
    shape: Shape, *, bias: bool = False, prior: bool = False, scale: float = 1.0, **kind: Any
) -> Tensors:
    """Inputs of dynamic_routing; N_in * D_out components of about ``scale``."""
    batch, inputs, _, outputs, out_dim = shape
    u_hat = random_tensor(batch, inputs, outputs, out_dim, seed=1, scale=scale, **kind)
    return {"u_hat": u_hat} | _parameters(shape, bias, prior, **kind)


def _parameters(shape: Shape, bias: bool, prior: bool, **kind: Any) -> Tensors:
    _, inputs, _, outputs, out_dim = shape
    tensors = {}
    if bias:
        tensors["bias"] = random_tensor(outputs, out_dim, seed=3, scale=0.3, **kind)
    if prior:
        tensors["prior"] = random_tensor(inputs, outputs, seed=4, scale=0.7, **kind)
    return tensors


def evaluate(
    function: Callable[..., Tensor],
    inputs: Tensors,
    *,
    rounded_to: torch.dtype | None = None,
    **options: Any,
) -> Tensors:
    """The result of ``function`` and the gradient of every input, by name.

    The incoming gradient is always the same random numbers, rounded to the dtype
    ``rounded_to`` (that of the inputs where None).
    """
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    result = function(**leaves, **options)
    gradients = torch.autograd.grad(
        result,
        tuple(leaves.values()),
        incoming_gradient(result, rounded_to or result.dtype),
        allow_unused=True,
        materialize_grads=True,
    )
    named = {gradient_of(name): g for name, g in zip(leaves, gradients, strict=True)}
    return {"result": result.detach()} | named


def gradient_of(name: str) -> str:
    """The name of the gradient of an input in the tensors that :func:`evaluate` returns."""
    return f"gradient of {name}"


def incoming_gradient(result: Tensor, rounded_to: torch.dtype) -> Tensor:
    """The random gradient that :func:`evaluate` sends into ``result``."""
    gradient = random_tensor(*result.shape, seed=5, dtype=rounded_to, device=result.device)
    return gradient.to(result.dtype)


def call(operator: str, backend: str) -> Callable[..., Tensor]:
    """The public function of this name on this backend."""
    return partial(getattr(fastcaps, operator), backend=backend)


def specify(operator: str, inputs: Tensors, **options: Any) -> Tensors:
    """What :func:`evaluate` must give: the reference, in float64, on the same rounded numbers."""
    exact = {name: x.double() for name, x in inputs.items()}
    function = getattr(reference, operator)
    return evaluate(function, exact, rounded_to=_dtype(inputs), **options)


def assert_agrees(
    operator: str,
    backend: str,
    inputs: Tensors,
    *,
    gradient_tolerance: float | None = None,
    **options: Any,
) -> None:
    """The result and every gradient of a backend agree with the float64 reference.

    Gradients to ``gradient_tolerance``, where None to that of the dtype.
    """
    dtype = _dtype(inputs)
    gradient_tolerance = gradient_tolerance or GRADIENT_TOLERANCE[dtype]
    actual = evaluate(call(operator, backend), inputs, **options)
    expected = specify(operator, inputs, **options)
    floor = CANCELLATION * incoming_gradient(expected["result"], dtype).norm().item()
    assert_all_close(actual, expected, dtype, FORWARD_TOLERANCE[dtype], gradient_tolerance, floor)


def assert_all_close(
    actual: Tensors,
    expected: Tensors,
    dtype: torch.dtype,
    tolerance: float,
    gradient_tolerance: float,
    floor: float = 0.0,
) -> None:
    """What :func:`evaluate` gave is of a dtype and close to what it must give.

    ``floor`` is the least norm that the errors of gradients are taken relative to.
    """
    for name, value in expected.items():
        assert actual[name].dtype == dtype, f"{name}: {actual[name].dtype}, expected {dtype}"
        if name == "result":
            assert_close(name, actual[name], value, tolerance)
        else:
            assert_close(name, actual[name], value, gradient_tolerance, floor)


def assert_close(
    name: str, actual: Tensor, expected: Tensor, tolerance: float, floor: float = 0.0
) -> None:
    """The relative Frobenius error of ``actual`` is at most ``tolerance``.

    ``floor`` is the least norm that the error is taken relative to.
    """
    assert actual.shape == expected.shape, (
        f"{name}: shape {list(actual.shape)}, expected {list(expected.shape)}"
    )
    assert actual.isfinite().all(), f"{name}: not finite at {(~actual.isfinite()).nonzero()[:3]}"
    error = (actual.double() - expected.double()).norm().item()
    scale = max(expected.double().norm().item(), floor)
    assert error <= tolerance * scale, (
        f"{name}: relative error {error / scale if scale else float('inf'):.3g}, "
        f"allowed {tolerance:.1g}"
    )


def assert_same_bits(first: Tensors, second: Tensors) -> None:
    """All tensors are equal, element by element."""
    for name, value in first.items():
        difference = (value != second[name]).sum().item()
        assert difference == 0, f"{name}: {difference} of {value.numel()} elements differ"


def _dtype(inputs: Tensors) -> torch.dtype:
    first: Tensor = next(iter(inputs.values()))
    return first.dtype
