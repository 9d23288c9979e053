"""Reads files of NumPy arrays that others may have written, or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError

__all__ = ["read_arrays"]


def read_arrays(path: Path, argument: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array in an npy file, a memory map, or all arrays in an npz file by their names.

    Args:
        path: of the file.
        argument: whose value ``path`` is, for errors.

    Raises:
        InputError: there is no such file, it cannot be read, or it holds Python objects.
    """
    if not path.is_file():
        raise InputError(f"{argument}: there is no file {path}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found as archive:
            return {name: archive[name] for name in archive.files}
    # Damaged archives raise many types, from zlib.error to what unknown compression gives.
    except Exception as error:
        raise InputError(f"{argument}: {path} cannot be read: {error}") from error
