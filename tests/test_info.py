"""``python -m fastcaps.info``: what it says here, and where something is wrong."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

import fastcaps
from fastcaps.backends import BACKENDS
from fastcaps.ops import library
from tests.subprocesses import run_python

REPORT = "from fastcaps.info import describe; print(describe())"


def line_of(report: str, start: str) -> str:
    """The one line that begins with ``start``, without it."""
    (line,) = (line for line in report.splitlines() if line.startswith(start))
    return line.removeprefix(start).strip()


def test_versions_and_every_backend(tmp_path: Path) -> None:
    report = run_python(REPORT, folder=tmp_path, FASTCAPS_BACKEND="reference")
    assert line_of(report, "fastcaps ") == fastcaps.__version__
    assert line_of(report, "torch ").startswith(version("torch"))
    assert line_of(report, "FASTCAPS_BACKEND=") == "reference"
    assert line_of(report, "backend  reference") == "runs"
    for backend in BACKENDS:
        assert line_of(report, f"backend  {backend}").startswith(("runs", "no: "))


@pytest.mark.skipif(library.LOAD_ERROR is not None, reason=str(library.LOAD_ERROR))
@pytest.mark.parametrize("isa", ["portable", "sse9"])
def test_the_instruction_set_that_was_asked_for(tmp_path: Path, isa: str) -> None:
    report = run_python(REPORT, folder=tmp_path, FASTCAPS_CPU_ISA=isa)
    kernels, ability = line_of(report, "         kernels for"), line_of(report, "backend  cpu")
    if isa == "portable":
        assert (kernels, ability) == ("portable", "runs")
    else:
        reason = "none, FASTCAPS_CPU_ISA: expected portable, avx2, avx512 or amx, got sse9"
        assert kernels.startswith(reason)
        assert ability.startswith(f"no: {reason}")
