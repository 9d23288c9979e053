"""Small text files of numbers, with messages that name the file, the line and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.readers.sequences import readable

__all__ = [
    "LARGEST_NUMBER",
    "folders_in",
    "numbered_files",
    "paths_in",
    "read_lines",
    "read_numbers",
    "some_of",
]

LARGEST_NUMBER = 2**53
"""Up to here float64 holds all whole numbers."""


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, stripped.

    Raises:
        InputError: it cannot be read, is not UTF-8 or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x} at "
            f"{error.start}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: expected lines of numbers, got an empty file")
    return lines


def read_numbers(
    path: Path, columns: int, number: Callable[[str], float], separator: str | None = ","
) -> NDArray[np.float64]:
    """A file with ``columns`` numbers on each line: [lines, columns].

    Args:
        path: of the file.
        columns: how many numbers a line has.
        number: reads one of them, as ``int`` and ``float`` do.
        separator: between them; None for white space.

    Raises:
        InputError: it cannot be read, or a line is not like that.
    """
    rows = []
    for place, line in enumerate(read_lines(path), 1):
        cells = line.split(separator)
        try:
            row = [number(cell) for cell in cells]
        except ValueError:
            row = []
        # Larger ones are no numbers of frames, codes or pixels; NaN is not smaller, either.
        if len(row) != columns or not all(abs(value) < LARGEST_NUMBER for value in row):
            raise InputError(
                f"{path}: expected {columns} numbers on each line, got {line[:60]!r} "
                f"as line {place} that is not blank"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def paths_in(folder: Path) -> list[Path]:
    """What is in ``folder``, sorted; nothing where there is no such folder.

    Raises:
        InputError: one may not look into it.
    """
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from error


def folders_in(folder: Path) -> dict[str, Path]:
    """Name and path of each folder in ``folder``, sorted; none where it does not exist.

    Raises:
        InputError: one may not look into it.
    """
    return {readable(path.name): path for path in paths_in(folder) if path.is_dir()}


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """The files in ``folder`` whose names are a number, with any zeros before it, by number.

    Of two files of the same number the one with the shorter name counts.

    Raises:
        InputError: one may not look into the folder.
    """
    files: dict[int, Path] = {}
    for path in sorted(paths_in(folder), key=lambda path: (-len(path.name), path.name)):
        if path.suffix.lower() in suffixes and path.stem.isascii() and path.stem.isdigit():
            files[int(path.stem)] = path
    return files


def some_of(numbers: list[int], most: int = 5) -> str:
    """The first few of ``numbers``, for a message."""
    shown = ", ".join(map(str, numbers[:most]))
    return f"{shown} ..." if len(numbers) > most else shown
