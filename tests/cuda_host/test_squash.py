"""The CUDA kernels of squash, run on the host, against the float64 reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastcaps import reference
from tests.comparing import FORWARD_TOLERANCE, GRADIENT_TOLERANCE, assert_close, random_tensor
from tests.cuda_host.library import ORDERS, STORAGE, HostLibrary

SHAPES = ((1, 1), (7, 4), (300, 8), (33, 16), (40, 3), (9, 32), (5, 128), (3, 129), (2, 1030))


def squash(host: HostLibrary, s: Tensor, *, aligned: bool = True, order: int = 0) -> Tensor:
    v = torch.full_like(s, torch.nan)
    host("squash", STORAGE[s.dtype], s, v, *s.shape, int(aligned), order)
    return v


def gradient(
    host: HostLibrary, s: Tensor, grad: Tensor, *, aligned: bool = True, order: int = 0
) -> Tensor:
    grad_s = torch.full_like(s, torch.nan)
    host("squash_gradient", STORAGE[s.dtype], s, grad, grad_s, *s.shape, int(aligned), order)
    return grad_s


def expected(s: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    leaf = s.double().requires_grad_()
    v = reference.squash(leaf)
    return v.detach(), torch.autograd.grad(v, leaf, grad.double())[0]


@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "unaligned"])
@pytest.mark.parametrize("dtype", STORAGE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(
    host: HostLibrary, shape: tuple[int, int], dtype: torch.dtype, aligned: bool
) -> None:
    s = random_tensor(*shape, seed=1, dtype=dtype)
    grad = random_tensor(*shape, seed=2, dtype=dtype)
    v, grad_s = expected(s, grad)
    assert_close("v", squash(host, s, aligned=aligned), v, FORWARD_TOLERANCE[dtype])
    actual = gradient(host, s, grad, aligned=aligned)
    assert_close("grad_s", actual, grad_s, GRADIENT_TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(40, 8), (3, 129), (2, 1030)], ids=str)
def test_the_order_of_threads_does_not_matter(host: HostLibrary, shape: tuple[int, int]) -> None:
    s, grad = random_tensor(*shape, seed=1), random_tensor(*shape, seed=2)
    for order in ORDERS[1:]:
        assert squash(host, s, order=order).equal(squash(host, s))
        assert gradient(host, s, grad, order=order).equal(gradient(host, s, grad))


@pytest.mark.parametrize("dim", [4, 5, 300])
@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-18, 1e19, 1e25, 3e38])
def test_any_magnitude(host: HostLibrary, dim: int, value: float) -> None:
    s = torch.full((3, dim), value)
    grad = random_tensor(3, dim, seed=2)
    v, grad_s = expected(s, grad)
    least = torch.finfo(torch.float32).tiny * s.numel() / 1e-5
    assert_close("v", squash(host, s), v, 1e-5, floor=least)
    assert_close("grad_s", gradient(host, s, grad), grad_s, 1e-4, floor=least)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_in_its_row(host: HostLibrary, value: float) -> None:
    s = random_tensor(70, 8, seed=1)
    whole = squash(host, s)
    s[5, 3] = value
    v = squash(host, s)
    assert v[5].isnan().all()
    v[5] = whole[5]
    assert v.equal(whole)
