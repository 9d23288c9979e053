"""Shared by all tests: the device, the backends that can run on it, poisoned memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Threads that wait without spinning: tests start many small parallel regions, and on a busy
# machine a spinning thread keeps the one it waits for from running.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from fastcaps.backends import BACKENDS, why_not
from fastcaps.ops import library

DEVICES = ("cpu", "cuda")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=DEVICES,
        default=os.environ.get("FASTCAPS_TEST_DEVICE", "cpu"),
        help="where the tensors of the tests lie (default: FASTCAPS_TEST_DEVICE, else cpu)",
    )
    parser.addoption(
        "--package",
        metavar="FOLDER",
        help="refuse to test another fastcaps than the one in this folder, or one not compiled",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: runs on the GPU (given by --device cuda)")
    config.addinivalue_line("markers", "operator(name): the operator under test")
    if config.getoption("device") == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: PyTorch finds no CUDA device here")
    if config.getoption("device") == "cpu":
        # Read when Triton's kernels are imported, which no test module has done yet.
        os.environ.setdefault("TRITON_INTERPRET", "1")
    if config.getoption("package") is not None:
        refuse_other_packages(Path(config.getoption("package")).resolve())


def refuse_other_packages(folder: Path) -> None:
    """Raise unless fastcaps and its extension were imported from ``folder``."""
    if library.LOAD_ERROR is not None:
        raise pytest.UsageError(f"--package {folder}: no extension: {library.LOAD_ERROR}")
    for name in ("fastcaps", "fastcaps._C"):
        file = Path(str(sys.modules[name].__file__))
        if not file.is_relative_to(folder):
            raise pytest.UsageError(f"--package {folder}: {name} was imported from {file}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("device") == "cuda":
        for item in items:
            if "device" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.gpu)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``backend`` on every backend with a kernel for its operator.

    Interpreted kernels are slow, and have tests of their own in test_triton.py.
    """
    if "backend" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("operator")
        operator = "routed_capsules" if marker is None else marker.args[0]
        sample = torch.empty(1, device=metafunc.config.getoption("device"))
        usable = [
            name
            for name in BACKENDS
            if why_not(name, operator, sample) is None and (name != "triton" or sample.is_cuda)
        ]
        metafunc.parametrize("backend", usable)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where the test puts its tensors."""
    return torch.device(request.config.getoption("device"))


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives back the number of threads that a test changes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def restored_precision() -> Iterator[None]:
    """Gives back the precision of float32 products that a test changes."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Memory comes filled with NaN, so an element that a kernel forgets to write shows."""
    deterministic: Any = torch.utils.deterministic  # its attribute is not in its type
    mode = torch.get_deterministic_debug_mode()
    fill = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True
    yield
    deterministic.fill_uninitialized_memory = fill
    torch.set_deterministic_debug_mode(mode)
