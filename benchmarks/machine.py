"""What the benchmark runs on, and how fast that is at the two things routing is made of."""

from __future__ import annotations

import platform
import statistics
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.results import Machine
from benchmarks.timing import synchronize, timed

__all__ = ["measure_machine", "read_weight"]

REPEATS = 7
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
COPY_BYTES = {"cpu": 256 << 20, "cuda": 1 << 30}


def measure_machine(device: str, dtype: torch.dtype) -> Machine:
    """Describe the machine and measure its matrix product and copy rates, in about two seconds."""
    return Machine(
        device=device,
        name=_name(device),
        capability=_capability(device),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        versions=_versions(device),
        flops_per_second=_matrix_product_rate(device, dtype),
        bytes_per_second=_copy_rate(device),
    )


def read_weight(weight: torch.Tensor) -> torch.Tensor:
    """Read every byte of ``weight`` once and do next to nothing with it."""
    # Sums of half types are slower than reading them, so pairs are read as float32.
    pairs = weight.element_size() == 2 and weight.shape[-1] % 2 == 0
    return (weight.view(torch.float32) if pairs else weight).sum()


def _matrix_product_rate(device: str, dtype: torch.dtype) -> float:
    side = MATRIX_SIDE[device]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(left)
    return 2 * side**3 / _median_seconds(lambda: torch.mm(left, right, out=product), device)


def _copy_rate(device: str) -> float:
    source = torch.ones(COPY_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _median_seconds(lambda: target.copy_(source), device)


def _median_seconds(call: Callable[[], object], device: str) -> float:
    call()
    synchronize(device)
    return statistics.median(timed(call, 1, device) for _ in range(REPEATS))


def _name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _capability(device: str) -> str:
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        return f"sm_{major}{minor}"
    return torch.backends.cpu.get_cpu_capability().replace("_", "-")


def _versions(device: str) -> dict[str, str]:
    packages = ("fastcaps", "torch", "triton", "numpy")
    versions = {name: found for name in packages if (found := _package_version(name))}
    versions["python"] = platform.python_version()
    if device == "cuda":
        versions["cuda"] = str(torch.version.cuda)
        versions["driver"] = _driver_version()
    return versions


def _package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver_version() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.splitlines()[0].strip()
