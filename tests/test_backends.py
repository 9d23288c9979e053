"""Choice of a backend: silent when automatic, loud when named."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

import fastcaps
from fastcaps import backends
from fastcaps.backends import BackendError, choose_backend, why_not
from fastcaps.ops import library
from tests.comparing import assert_close, capsules, predictions, require
from tests.subprocesses import run_python

OPERATORS = library.OPERATORS
CPU_TENSOR = torch.empty(1)
needs_extension = pytest.mark.skipif(
    library.LOAD_ERROR is not None, reason=f"no extension: {library.LOAD_ERROR}"
)


@pytest.mark.skipif(
    "FASTCAPS_ALLOW_NO_EXTENSION" in os.environ,
    reason="FASTCAPS_ALLOW_NO_EXTENSION allows testing without the compiled extension",
)
def test_the_extension_is_loaded() -> None:
    """So that a broken build does not pass by testing the reference against itself."""
    assert library.LOAD_ERROR is None
    for operator in OPERATORS:
        assert "CPU" in library.KERNELS[operator], operator


@needs_extension
@pytest.mark.parametrize("operator", OPERATORS)
def test_cpu_tensors_take_the_cpu_kernels(monkeypatch: pytest.MonkeyPatch, operator: str) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", None)
    assert choose_backend(None, operator, CPU_TENSOR) == "cpu"


def test_automatic_choice_takes_the_first_that_can_run(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", None)
    tensor = torch.empty(1, device=device)
    able = [name for name in backends.BACKENDS if why_not(name, "squash", tensor) is None]
    if not tensor.is_cuda:
        able.remove("triton")  # interpreted in these tests, which is never chosen
    assert choose_backend(None, "squash", tensor) == able[0]
    assert list(backends.BACKENDS) == ["cuda", "triton", "cpu", "reference"]
    assert able[-1] == "reference"


@pytest.mark.parametrize("operator", OPERATORS)
def test_without_the_extension_the_reference_runs(
    monkeypatch: pytest.MonkeyPatch, operator: str
) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", None)
    monkeypatch.setattr(library, "LOAD_ERROR", "no such file")
    assert choose_backend(None, operator, CPU_TENSOR) == "reference"
    message = (
        f"backend 'cpu' cannot run {operator}: "
        "the compiled extension fastcaps._C did not load: no such file"
    )
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        choose_backend("cpu", operator, CPU_TENSOR)


def test_without_the_extension_results_are_those_of_the_reference(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", None)
    inputs = capsules((3, 5, 4, 3, 2), device=device)
    expected = fastcaps.routed_capsules(**inputs, backend="reference")
    monkeypatch.setattr(library, "LOAD_ERROR", "no such file")
    v = fastcaps.routed_capsules(**inputs)
    assert_close("v", v, expected, 1e-6)


@needs_extension
def test_an_operator_without_a_kernel_falls_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", None)
    monkeypatch.setitem(library.KERNELS, "squash", frozenset())
    assert choose_backend(None, "squash", CPU_TENSOR) == "reference"
    with pytest.raises(BackendError, match="this build of fastcaps has no CPU kernel for squash"):
        choose_backend("cpu", "squash", CPU_TENSOR)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", ["cuda", "triton"])
def test_a_gpu_backend_refuses_cpu_tensors(
    monkeypatch: pytest.MonkeyPatch, name: str, operator: str
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    message = (
        f"backend {name!r} cannot run {operator}: it runs on CUDA tensors, and this one is on cpu"
    )
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        choose_backend(name, operator, CPU_TENSOR)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_public_functions_pass_the_refusal_on(operator: str) -> None:
    shape = (3, 5, 4, 3, 2)
    arguments = {
        "squash": {"s": torch.ones(2, 3)},
        "dynamic_routing": predictions(shape),
    }.get(operator, capsules(shape))
    with pytest.raises(BackendError, match=f"'cuda' cannot run {operator}: it runs on CUDA"):
        getattr(fastcaps, operator)(**arguments, backend="cuda")


def test_other_devices_run_on_the_reference_and_the_cpu_backend_says_why_not() -> None:
    meta = capsules((3, 5, 4, 3, 2), device="meta")
    assert fastcaps.routed_capsules(**meta).shape == (3, 3, 2)
    message = (
        "backend 'cpu' cannot run routed_capsules: it runs on CPU tensors, and this one is on meta"
    )
    with pytest.raises(BackendError, match=f"^{message}$"):
        fastcaps.routed_capsules(**meta, backend="cpu")


def test_an_explicit_backend_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "ENVIRONMENT_CHOICE", "cuda")
    assert choose_backend("reference", "squash", CPU_TENSOR) == "reference"
    with pytest.raises(BackendError, match="FASTCAPS_BACKEND 'cuda' cannot run squash"):
        choose_backend(None, "squash", CPU_TENSOR)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("reference", "reference"),
        ("cuda", "BackendError: FASTCAPS_BACKEND 'cuda' cannot run squash: it runs on CUDA"),
        ("fastest", "ValueError: FASTCAPS_BACKEND: expected one of cuda, triton, cpu, reference"),
    ],
)
def test_the_environment_variable(tmp_path: Path, value: str, outcome: str) -> None:
    script = """
import torch, fastcaps
from fastcaps.backends import choose_backend
s = torch.ones(2)
try:
    fastcaps.squash(s)
    print(choose_backend(None, "squash", s))
except Exception as error:
    print(type(error).__name__ + ":", error)
"""
    printed = run_python(script, folder=tmp_path, FASTCAPS_BACKEND=value)
    assert printed.startswith(outcome)


def test_half_types_run_on_every_backend(backend: str, device: torch.device) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        require(backend, "routed_capsules", device, dtype)
        inputs = capsules((3, 5, 4, 3, 2), dtype=dtype, device=device)
        assert fastcaps.routed_capsules(**inputs, backend=backend).dtype == dtype
