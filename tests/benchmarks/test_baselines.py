"""The baselines compute what the reference computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks import baselines
from benchmarks.baselines import Formulation
from fastcaps import reference


def _leaf(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.parametrize("formulation", [baselines.broadcast, baselines.einsum])
@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
@pytest.mark.parametrize("with_parameters", [False, True])
@pytest.mark.parametrize("detached", [False, True])
def test_baseline_equals_reference(
    formulation: Formulation,
    iterations: int,
    softmax_over: str,
    with_parameters: bool,
    detached: bool,
) -> None:
    u, weight = _leaf(3, 7, 4), _leaf(7, 4, 5, 6)
    bias = _leaf(5, 6) if with_parameters else None
    prior = _leaf(7, 5) if with_parameters else None
    v = formulation(
        u,
        weight,
        iterations=iterations,
        softmax_over=softmax_over,
        bias=bias,
        prior=prior,
        detached=detached,
    )
    expected = reference.routed_capsules(
        u,
        weight,
        iterations=iterations,
        softmax_over=softmax_over,
        bias=bias,
        prior=prior,
        detach_routing=detached,
    )
    torch.testing.assert_close(v, expected, rtol=1e-12, atol=1e-12)

    leaves = [leaf for leaf in (u, weight, bias, prior) if leaf is not None]
    weights = torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view_as(v)
    grads = torch.autograd.grad(v, leaves, weights, allow_unused=True)
    expected_grads = torch.autograd.grad(expected, leaves, weights, allow_unused=True)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=1e-10, atol=1e-12)
