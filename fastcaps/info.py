"""``python -m fastcaps.info``: versions, processor, GPUs, and which backends can run here."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

import fastcaps
from fastcaps.backends import BACKENDS, ENVIRONMENT_CHOICE, why_not
from fastcaps.ops import library

__all__ = ["describe"]


def describe() -> str:
    """The report as text, one fact a line."""
    return "\n".join([*_versions(), *_processor(), *_gpus(), *_backends()])


def _versions() -> Iterator[str]:
    yield f"fastcaps {fastcaps.__version__}"
    yield f"python   {platform.python_version()} on {platform.platform()}"
    yield f"torch    {torch.__version__} (CUDA {torch.version.cuda or 'none'})"
    yield f"triton   {_installed('triton')}"


def _processor() -> Iterator[str]:
    yield f"cpu      {_processor_name()}, {torch.get_num_threads()} threads"
    if library.LOAD_ERROR is None:
        kernels = _why_no_cpu_kernels() or torch.ops.fastcaps.instruction_set()
        yield f"         kernels for {kernels}"


def _why_no_cpu_kernels() -> str | None:
    """Why the extension finds no instruction set to compute with, or None if it does."""
    try:
        torch.ops.fastcaps.instruction_set()
    except RuntimeError as error:  # of a FASTCAPS_CPU_ISA that does not exist here
        return f"none, {error}"
    return None


def _processor_name() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, torch uses {capability}"


def _gpus() -> Iterator[str]:
    if not torch.cuda.is_available():
        yield "gpu      none that torch can use"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield (
            f"gpu {index}    {properties.name}, sm_{properties.major}{properties.minor}, "
            f"{properties.total_memory / 2**30:.0f} GiB"
        )
    if library.LOAD_ERROR is None and hasattr(torch.ops.fastcaps, "cuda_build"):
        yield f"         extension built with {torch.ops.fastcaps.cuda_build()}"


def _backends() -> Iterator[str]:
    if ENVIRONMENT_CHOICE is not None:
        yield f"FASTCAPS_BACKEND={ENVIRONMENT_CHOICE}"
    for backend in BACKENDS:
        device = "cuda" if backend in ("cuda", "triton") else "cpu"
        yield f"backend  {backend:<10}{_ability(backend, device)}"


def _ability(backend: str, device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        return "no: torch sees no CUDA device"
    tensor = torch.empty(0, device=device)
    reasons = {why_not(backend, operator, tensor) for operator in library.OPERATORS}
    if None in reasons:
        reason = _why_no_cpu_kernels() if backend == "cpu" else None
        return f"no: {reason}" if reason else "runs"
    return f"no: {'; '.join(sorted(reason for reason in reasons if reason is not None))}"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.stdout.write(describe() + "\n")
