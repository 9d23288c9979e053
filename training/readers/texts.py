"""Small text files of numbers, with messages that name the file, the line and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError

__all__ = ["folders_in", "numbered_files", "read_lines", "read_numbers", "some_of"]


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
        if len(row) != columns:
            raise InputError(
                f"{path}: expected {columns} numbers on each line, got {line[:60]!r} "
                f"as line {place} that is not blank"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def folders_in(folder: Path) -> dict[str, Path]:
    """Name and path of each folder in ``folder``, sorted; none where it does not exist."""
    if not folder.is_dir():
        return {}
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """The files in ``folder`` whose names are a number, with any zeros before it, by number.

    Of two files of the same number the one with the shorter name counts.
    """
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (-len(path.name), path.name)):
        if path.suffix.lower() in suffixes and path.stem.isascii() and path.stem.isdigit():
            files[int(path.stem)] = path
    return files


def some_of(numbers: list[int], most: int = 5) -> str:
    """The first few of ``numbers``, for a message."""
    shown = ", ".join(map(str, numbers[:most]))
    return f"{shown} ..." if len(numbers) > most else shown
