"""Memory: what there is, what a call needs at its peak, and what it keeps for the backward pass."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["SavedBytes", "available_bytes", "counting_saved_bytes", "peak_bytes"]

STATUS = Path("/proc/self/status")

Call = Callable[[], tuple[Tensor, ...]]


class SavedBytes:
    """The storages that autograd saved, each counted once, those of ``excluded`` not at all."""

    def __init__(self, excluded: tuple[Tensor, ...]) -> None:
        self._excluded = {tensor.untyped_storage().data_ptr() for tensor in excluded}
        self._sizes: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Bytes counted so far."""
        return sum(self._sizes.values())

    def pack(self, tensor: Tensor) -> Tensor:
        """Count a tensor that autograd saves."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._excluded:
            self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor


@contextmanager
def counting_saved_bytes(*excluded: Tensor) -> Iterator[SavedBytes]:
    """Count what autograd saves for backward within the block, beyond ``excluded``."""
    saved = SavedBytes(excluded)
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
        yield saved


def available_bytes(device: str) -> int | None:
    """Memory that may still be allocated on the device, or None where unknown."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    known = (_kilobytes(Path("/proc/meminfo"), "MemAvailable"), _control_group_bytes())
    return min((count for count in known if count is not None), default=None)


def peak_bytes(call: Call, device: str) -> tuple[tuple[Tensor, ...], int | None]:
    """What ``call`` returns, and the peak memory it adds while it runs beyond what it returns.

    On CUDA this is what PyTorch's allocator hands out. On the CPU it is resident memory as
    Linux counts it, with what the allocator holds in reserve given back first, so that it
    cannot hide an allocation; None elsewhere.
    """
    return _cuda_peak(call) if device == "cuda" else _resident_peak(call)


def _cuda_peak(call: Call) -> tuple[tuple[Tensor, ...], int]:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    returned = call()
    torch.cuda.synchronize()
    added = torch.cuda.max_memory_allocated() - before - _size(returned)
    return returned, max(0, added)


def _resident_peak(call: Call) -> tuple[tuple[Tensor, ...], int | None]:
    gc.collect()
    _give_back_free_memory()
    if not _forget_peak():
        return call(), None
    before = _kilobytes(STATUS, "VmRSS")
    returned = call()
    peak = _kilobytes(STATUS, "VmHWM")
    if before is None or peak is None:
        return returned, None
    return returned, max(0, peak - before - _size(returned))


def _forget_peak() -> bool:
    """Start the kernel's record of this process's peak anew; False where that is not possible."""
    try:
        # Writing 5 does it, see proc(5).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _give_back_free_memory() -> None:
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library; what it keeps in reserve stays unseen


def _kilobytes(path: Path, key: str) -> int | None:
    """The bytes of a line like "VmRSS:  1932 kB", or None."""
    if not path.exists():
        return None
    found = re.search(rf"^{key}:\s+(\d+) kB", path.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _control_group_bytes() -> int | None:
    """What a container's memory limit leaves, or None without one."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return limit - used


def _size(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
