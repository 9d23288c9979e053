"""Squash on every backend: accuracy, gradients, zero, huge and tiny vectors, strides."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import fastcaps
from tests.comparing import (
    DTYPES,
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    assert_agrees,
    assert_close,
    assert_same_bits,
    call,
    evaluate,
    gradient_of,
    random_tensor,
    require,
    specify,
)

pytestmark = [pytest.mark.operator("squash"), pytest.mark.usefixtures("poisoned_memory")]

SHAPES = ((1,), (7,), (5, 1), (3, 16), (2, 9, 32), (4, 1, 3, 17), (1000, 8), (0, 4), (2, 0, 3))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    backend: str, device: torch.device, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    require(backend, "squash", device, dtype)
    s = random_tensor(*shape, seed=1, dtype=dtype, device=device)
    assert_agrees("squash", backend, {"s": s})


@pytest.mark.parametrize("dim", range(-3, 3))
def test_any_dimension(backend: str, device: torch.device, dim: int) -> None:
    s = random_tensor(3, 5, 4, seed=1, device=device)
    expected = specify("squash", {"s": s.movedim(dim, -1)})["result"].movedim(-1, dim)
    result = fastcaps.squash(s, dim, backend=backend)
    assert result.shape == s.shape
    assert_close("result", result, expected, 1e-6)


@pytest.mark.parametrize("exponent", [-18, -10, -3, 3, 10, 15, 18, 19, 20, 25, 30, 37])
def test_any_magnitude_in_float32(backend: str, device: torch.device, exponent: int) -> None:
    s = random_tensor(6, 16, seed=1, scale=10.0**exponent, device=device).double()
    s = s.clamp(-3e38, 3e38).float()
    expected = specify("squash", {"s": s})
    actual = evaluate(call("squash", backend), {"s": s})
    # Results below the least normal number may be flushed to zero.
    least = torch.finfo(torch.float32).tiny * s.numel() / 1e-5
    for name, value in expected.items():
        tolerance = (FORWARD_TOLERANCE if name == "result" else GRADIENT_TOLERANCE)[s.dtype]
        assert_close(name, actual[name], value, tolerance, floor=least)


def test_huge_vectors_become_unit_vectors(backend: str, device: torch.device) -> None:
    s = torch.full((2, 4), torch.finfo(torch.float32).max, device=device)
    assert_close("result", call("squash", backend)(s), torch.full_like(s, 0.5), 1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("length", [0.0, -0.0, 5e-324, 1e-45, 1e-40, 6e-8])
def test_zero_and_denormal_vectors(
    backend: str, device: torch.device, dtype: torch.dtype, length: float
) -> None:
    require(backend, "squash", device, dtype)
    s = torch.full((3, 5), length, dtype=dtype, device=device)
    s[1] = 0
    actual = evaluate(call("squash", backend), {"s": s})
    assert (actual["result"].abs() <= s.abs()).all()
    assert (actual["result"][1] == 0).all()
    assert actual[gradient_of("s")].isfinite().all()
    assert (actual[gradient_of("s")][1] == 0).all()
    assert actual[gradient_of("s")].abs().max() < 1e-5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_numbers_stay_in_their_vector(
    backend: str, device: torch.device, bad: float
) -> None:
    s = random_tensor(70, 8, seed=1, device=device)
    clean = evaluate(call("squash", backend), {"s": s})
    s[33, 3] = bad
    spoiled = evaluate(call("squash", backend), {"s": s})
    for name, value in spoiled.items():
        assert value[33].isnan().any(), name
        others = torch.arange(70, device=device) != 33
        assert torch.equal(value[others], clean[name][others]), name


def test_strided_inputs_and_gradients(backend: str, device: torch.device) -> None:
    s = random_tensor(6, 7, 10, seed=1, device=device)
    for view in (s.transpose(0, 2), s[::2, 1:, ::3], s[1:, :, 3:], s[:1].expand(4, 7, 10)):
        assert_agrees("squash", backend, {"s": view})
    leaf = s.clone().requires_grad_()
    (expanded,) = torch.autograd.grad(fastcaps.squash(leaf, backend=backend).sum(), leaf)
    ones = torch.ones_like(s)
    (dense,) = torch.autograd.grad(fastcaps.squash(leaf, backend=backend), leaf, ones)
    assert_close("gradient", expanded, dense, 1e-6)


def test_same_bits_every_run(backend: str, device: torch.device) -> None:
    s = {"s": random_tensor(333, 17, seed=1, device=device)}
    first = evaluate(call("squash", backend), s)
    assert_same_bits(first, evaluate(call("squash", backend), s))


def test_gradcheck(backend: str, device: torch.device) -> None:
    require(backend, "squash", device, torch.float64)
    s = random_tensor(3, 4, seed=1, dtype=torch.float64, device=device).requires_grad_()

    def squash(s: Tensor) -> Tensor:
        return fastcaps.squash(s, backend=backend)

    assert gradcheck(squash, s)
    if backend == "reference":
        assert gradgradcheck(squash, s)
