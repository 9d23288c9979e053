"""The CUDA kernels' machine code: no spills, and a committed report of today's sources."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest

for needed in ("triton", "typer", "rich"):
    pytest.importorskip(needed)
cuda_report = import_module("benchmarks.cuda_report")

RERUN = "run make kernel-report"
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc")


def test_the_committed_report_is_of_these_sources() -> None:
    made_from, kernels = cuda_report.read()
    assert made_from["sources"] == cuda_report.source_digest(), RERUN
    assert cuda_report.MARKDOWN.read_text() == cuda_report.markdown(made_from, kernels), RERUN
    assert {kernel.architecture for kernel in kernels} == set(cuda_report.ARCHITECTURES)
    assert cuda_report.problems(kernels) == []


@needs_nvcc
def test_the_sources_compile_to_the_kernels_of_the_report() -> None:
    compiled = cuda_report.compile_sources(("sm_90",))
    _, kernels = cuda_report.read()
    reported = {kernel.name for kernel in kernels if kernel.architecture == "sm_90"}
    assert {kernel.name for kernel in compiled} == reported, RERUN
    assert cuda_report.problems(compiled) == []


def test_a_spill_is_a_problem() -> None:
    spilling = cuda_report.Kernel("some<1>", "some.cu", "sm_90", 255, 8, 2, 0, 0, {}, {})
    found = cuda_report.problems([spilling])
    assert found == [
        "some<1> on sm_90 spills: 255 registers, 8 bytes of stack, 2 accesses to local memory"
    ]


@needs_nvcc
def test_blocks_are_known_of_kernels_that_there_are() -> None:
    _, kernels = cuda_report.read()
    known = cuda_report.blocks()
    assert known.keys() == {kernel.name for kernel in kernels if kernel.shared}


def test_registers_shared_memory_or_threads_bound_the_blocks() -> None:
    def kernel(registers: int, threads: int, shared: int) -> int:
        sizes = {"registers": registers, "threads": threads, "shared": shared}
        counts = {"stack": 0, "local_accesses": 0, "tensor_cores": {}, "global_accesses": {}}
        code = cuda_report.Kernel("some", "some.cu", "sm_90", **sizes, **counts)
        return int(code.blocks)

    assert kernel(168, 384, 1024) == 1
    assert kernel(80, 384, 1024) == 2
    assert kernel(32, 384, 100 * 1024) == 2
    assert kernel(32, 256, 1024) == 8


@needs_nvcc
def test_accesses_to_global_memory_are_counted_by_width(tmp_path: Path) -> None:
    source = tmp_path / "copy.cu"
    source.write_text(
        "__global__ void copy(const float4* from, float4* to, float* one) "
        "{ to[threadIdx.x] = from[threadIdx.x]; one[threadIdx.x] = 1; }\n"
    )
    (kernel,) = cuda_report.compile_source(source, "sm_90", {})
    assert kernel.name == "copy"
    assert kernel.global_accesses == {"LDG 128": 1, "STG 128": 1, "STG 32": 1}
