"""Launching kernels: on the tensor's device, compiled once, then without Triton's lookup."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor

from fastcaps.kernels.tiles import HOPPER

__all__ = ["Launcher", "aligned", "capability", "on_device", "processors"]

INTERPRETED_PROCESSORS = 2
"""What the interpreter pretends to have, so that tests cut their inputs into slices too."""
ALIGNMENT = 16
"""Bytes; a compiled kernel may load this much at once from the start of a tensor."""


class Launcher:
    """A kernel and its compile-time arguments: compiled by the first call, reused by the others.

    Triton's own call finds the compiled kernel by looking at every argument, which takes longer
    than most of these kernels run. A launcher does not look: its callers keep one for each
    device, for arguments of the same dtypes, the same integers (those that the kernel does not
    specialise may differ), and tensors that are all :func:`aligned`.
    """

    def __init__(self, kernel: triton.JITFunction, **constants: Any) -> None:
        self.kernel = kernel
        self.constants = constants
        self.compiled: Any = None

    def __call__(self, grid: tuple[int, int, int], *args: Any) -> None:
        """Launch on the current stream; ``args`` are the kernel's, up to the compile-time ones."""
        if self.compiled is None:
            # The interpreter compiles nothing, and takes this way every time.
            compiled = self._compile(grid, args)
            names = self.kernel.arg_names[len(args) :]
            self.trailing = tuple(self.constants[name] for name in names)
            self.compiled = compiled  # last, since another thread may be here
        else:
            self.compiled[grid](*args, *self.trailing)

    def _compile(self, grid: tuple[int, int, int], args: tuple[Any, ...]) -> Any:
        try:
            return self.kernel[grid](*args, **self.constants)
        except Exception as error:  # Triton's errors, and its compiler's, share no base
            raise RuntimeError(
                f"the Triton kernel {self.kernel.__name__} could not be compiled and launched on "
                f"{grid} programs with {self.constants}: {error}"
            ) from error


def aligned(tensor: Tensor) -> Tensor:
    """The tensor, contiguous and at a multiple of 16 bytes; a copy where it is not."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


def on_device(tensor: Tensor) -> AbstractContextManager[object]:
    """Makes the tensor's GPU current; nothing to do for the interpreter's CPU tensors."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


@cache
def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a device."""
    if device.type != "cuda":
        return INTERPRETED_PROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count


@cache
def capability(device: torch.device) -> int:
    """Major compute capability of a device; Hopper's where there is none."""
    if device.type != "cuda":
        return HOPPER
    return torch.cuda.get_device_capability(device)[0]
