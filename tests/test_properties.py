"""Random shapes, strides, dtypes and options against the float64 reference."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from fastcaps.backends import why_not
from tests.comparing import DTYPES, assert_agrees, random_tensor

pytest.importorskip("hypothesis", reason="random testing needs hypothesis")

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("poisoned_memory")

random_cases = settings(
    deadline=None,
    max_examples=int(os.environ.get("FASTCAPS_TEST_EXAMPLES", "60")),
    # The same examples every time, so that a failure is a change in the code.
    derandomize=True,
    # The fixtures (backend, device, poisoned memory) are the same for every example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DTYPE = st.sampled_from(DTYPES)
LAYOUT = st.integers(0, 2**16)
BATCH = st.sampled_from((1, 2, 3, 7, 8, 9, 15, 16, 17, 33))
INPUTS = st.integers(1, 9) | st.sampled_from((63, 64, 65, 70))
IN_DIM = st.sampled_from((1, 2, 3, 4, 5, 7, 8, 11, 16, 17))
OUTPUTS = st.sampled_from((1, 2, 3, 5, 7, 10))
OUT_DIM = st.sampled_from((1, 2, 3, 4, 8, 13, 16, 17))
CAPSULES = st.tuples(BATCH, INPUTS, IN_DIM, OUTPUTS, OUT_DIM)
OPTIONS = st.fixed_dictionaries(
    {
        "iterations": st.integers(1, 4),
        "softmax_over": st.sampled_from(("outputs", "inputs")),
        "detach_routing": st.booleans(),
    }
)
PARAMETERS = st.sets(st.sampled_from(("bias", "prior")))


def strided(layout: int, *size: int, seed: int, scale: float = 1.0, **kind: Any) -> Tensor:
    """Random numbers as a view: permuted, stepped, offset or expanded, as ``layout`` decides.

    Layout 0 is a dense tensor.
    """
    choose = Random(layout + seed) if layout else None
    dims = len(size)
    order = choose.sample(range(dims), dims) if choose else list(range(dims))
    steps = [choose.randint(1, 3) if choose else 1 for _ in size]
    offsets = [choose.randint(0, 3) if choose else 0 for _ in size]
    expanded = choose.choice((None, *range(dims))) if choose else None
    room = [
        offset + ((1 if dim == expanded else length) - 1) * step + 1
        for dim, (length, step, offset) in enumerate(zip(size, steps, offsets, strict=True))
    ]
    stored = random_tensor(*(room[dim] for dim in order), seed=seed, scale=scale, **kind)
    view = stored.permute([order.index(dim) for dim in range(dims)])
    cut = tuple(slice(offset, None, step) for offset, step in zip(offsets, steps, strict=True))
    return view[cut].expand(size)


def add_parameters(
    inputs: dict[str, Tensor],
    names: set[str],
    layout: int,
    sizes: tuple[int, int, int],
    **kind: Any,
) -> None:
    """Add the bias and the prior of that name for N_in, N_out, D_out = ``sizes``."""
    n_in, n_out, out_dim = sizes
    if "bias" in names:
        inputs["bias"] = strided(layout, n_out, out_dim, seed=3, scale=0.3, **kind)
    if "prior" in names:
        inputs["prior"] = strided(layout, n_in, n_out, seed=4, scale=0.7, **kind)


def assume_kernel(backend: str, operator: str, device: torch.device, dtype: torch.dtype) -> None:
    """Leave out examples of a dtype that the backend has no kernel for."""
    assume(why_not(backend, operator, torch.empty(1, device=device, dtype=dtype)) is None)


@random_cases
@given(dtype=DTYPE, sizes=CAPSULES, layout=LAYOUT, options=OPTIONS, parameters=PARAMETERS)
@pytest.mark.operator("routed_capsules")
def test_routed_capsules(
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    sizes: tuple[int, int, int, int, int],
    layout: int,
    options: dict[str, Any],
    parameters: set[str],
) -> None:
    assume_kernel(backend, "routed_capsules", device, dtype)
    batch, n_in, in_dim, n_out, out_dim = sizes
    kind: dict[str, Any] = {"dtype": dtype, "device": device}
    scale = in_dim**-0.5
    inputs = {
        "u": strided(layout, batch, n_in, in_dim, seed=1, **kind),
        "weight": strided(layout, n_in, in_dim, n_out, out_dim, seed=2, scale=scale, **kind),
    }
    add_parameters(inputs, parameters, layout, (n_in, n_out, out_dim), **kind)
    assert_agrees("routed_capsules", backend, inputs, **options)


@random_cases
@given(dtype=DTYPE, sizes=CAPSULES, layout=LAYOUT, options=OPTIONS, parameters=PARAMETERS)
@pytest.mark.operator("dynamic_routing")
def test_dynamic_routing(
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    sizes: tuple[int, int, int, int, int],
    layout: int,
    options: dict[str, Any],
    parameters: set[str],
) -> None:
    assume_kernel(backend, "dynamic_routing", device, dtype)
    batch, n_in, _, n_out, out_dim = sizes
    kind: dict[str, Any] = {"dtype": dtype, "device": device}
    inputs = {"u_hat": strided(layout, batch, n_in, n_out, out_dim, seed=1, **kind)}
    add_parameters(inputs, parameters, layout, (n_in, n_out, out_dim), **kind)
    assert_agrees("dynamic_routing", backend, inputs, **options)


@random_cases
@given(dtype=DTYPE, sizes=CAPSULES, layout=LAYOUT)
@pytest.mark.operator("prediction_vectors")
def test_prediction_vectors(
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    sizes: tuple[int, int, int, int, int],
    layout: int,
) -> None:
    assume_kernel(backend, "prediction_vectors", device, dtype)
    batch, n_in, in_dim, n_out, out_dim = sizes
    kind: dict[str, Any] = {"dtype": dtype, "device": device}
    inputs = {
        "u": strided(layout, batch, n_in, in_dim, seed=1, **kind),
        "weight": strided(layout, n_in, in_dim, n_out, out_dim, seed=2, **kind),
    }
    assert_agrees("prediction_vectors", backend, inputs)


@random_cases
@given(
    dtype=DTYPE,
    lengths=st.lists(st.integers(0, 9), max_size=3),
    dim=st.integers(1, 40),
    layout=LAYOUT,
)
@pytest.mark.operator("squash")
def test_squash(
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    lengths: list[int],
    dim: int,
    layout: int,
) -> None:
    assume_kernel(backend, "squash", device, dtype)
    size = (*lengths, dim)
    if 0 in size:
        s = torch.empty(size, dtype=dtype, device=device)
    else:
        s = strided(layout, *size, seed=1, dtype=dtype, device=device)
    assert_agrees("squash", backend, {"s": s})
