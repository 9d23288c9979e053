"""The CUDA kernels, compiled once for all tests of this folder."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fastcaps.ops.library import SCHEMAS
from tests.cuda_host.calls import Gpu
from tests.cuda_host.library import COMPILER, HostLibrary, compile_operators


@contextmanager
def _compiling(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what is compiled, one process at a time; processes of one run share it."""
    if shutil.which(COMPILER[0]) is None:
        pytest.skip("there is no C++ compiler")
    is_shared = hasattr(request.config, "workerinput")
    folder = factory.getbasetemp().parent if is_shared else factory.mktemp("cuda_host")
    with (folder / "cuda_host.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HostLibrary:
    with _compiling(request, tmp_path_factory) as folder:
        return HostLibrary(folder)


@pytest.fixture(scope="session")
def operators(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the CUDA operators, loaded: ``torch.ops.fastcaps_host``."""
    with _compiling(request, tmp_path_factory) as folder:
        library = compile_operators(folder)
    for name in ("routed_capsules", "routed_capsules_backward"):
        torch.library.define(f"fastcaps_host::{name}", SCHEMAS[name])
    torch.ops.load_library(library)
    return library


@pytest.fixture
def gpu(operators: Path) -> Gpu:
    """The GPU that the operators believe to be on, as it is where a test does not change it."""
    gpu = Gpu(operators)
    gpu.set()
    return gpu
