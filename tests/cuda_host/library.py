"""The CUDA kernels compiled for the host, as functions that take tensors and numbers."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.cpp_extension import include_paths, library_paths

__all__ = ["COMPILER", "ORDERS", "STORAGE", "HostLibrary", "KernelError", "compile_operators"]

FOLDER = Path(__file__).parent
OPERATORS = "operators.cpp"
"""Needs PyTorch's headers, and is a library of its own."""
COMPILER = shlex.split(os.environ.get("CXX") or "g++")
FLAGS = (
    "-std=c++17 -O1 -U_FORTIFY_SOURCE -fPIC -fvisibility=hidden -shared -Wall -Wextra -Werror "
    "-Wno-unknown-pragmas -fsanitize=alignment -fsanitize-undefined-trap-on-error"
)
"""A misaligned access ends the process, as it would a GPU's kernel."""
STORAGE = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
"""Every dtype's number in ``csrc/storage.h``."""
ORDERS = (0, 1, 2, 3, 4)
"""In which threads run: forward, backward, and three that are shuffled."""


class KernelError(RuntimeError):
    """What real threads would have hung or gone wrong in."""


class HostLibrary:
    """Calls what ``tests/cuda_host/*.cpp`` exports; pointers are of tensors, which may be None."""

    def __init__(self, folder: Path) -> None:
        library = folder / "cuda_host.so"
        if not library.exists():
            sources = sorted(path for path in FOLDER.glob("*.cpp") if path.name != OPERATORS)
            _compile(sources, library)
        self.functions = ctypes.CDLL(str(library))

    def __call__(self, name: str, *args: Any) -> None:
        """Call an exported function.

        Raises:
            KernelError: threads waited for ever, or lanes of a warp went apart.
        """
        function = getattr(self.functions, name)
        function.restype = ctypes.c_char_p
        message = function(*map(_c_value, args))
        if message is not None:
            raise KernelError(message.decode())


def compile_operators(folder: Path) -> Path:
    """The CUDA operators of the fused layer as a library for ``torch.ops.load_library``."""
    library = folder / "cuda_host_operators.so"
    if not library.exists():
        _compile(
            [FOLDER / OPERATORS, FOLDER / "gpu.cpp"],
            library,
            "-DTORCH_TARGET_VERSION=0x020a000000000000",
            *(part for path in include_paths() for part in ("-isystem", path)),
            *(f"-L{library_paths()[0]}", "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu"),
        )
    return library


def _compile(sources: list[Path], library: Path, *options: str) -> None:
    command = [*COMPILER, *FLAGS.split(), "-include", str(FOLDER / "gpu.h")]
    subprocess.run([*command, *map(str, sources), *options, "-o", str(library)], check=True)


def _c_value(value: Any) -> Any:
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, int):
        return ctypes.c_int64(value)
    return value if value is None else value.encode()
