"""The CUDA kernels, compiled once for all tests of this folder."""

from __future__ import annotations

import shutil

import pytest

from tests.cuda_host.library import COMPILER, HostLibrary


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostLibrary:
    if shutil.which(COMPILER[0]) is None:
        pytest.skip("there is no C++ compiler")
    return HostLibrary(tmp_path_factory.mktemp("cuda_host"))
