"""Small made-up data sets for tests, and what may be wrong with real ones."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd

from fastcaps.training.synthetic.layouts.truth import TRUTH
from fastcaps.training.synthetic.settings import Settings
from fastcaps.training.synthetic.synthesis import synthesize

__all__ = [
    "cut_off",
    "delete",
    "drop_column",
    "empty",
    "files_of",
    "forget_codes",
    "small_tree",
    "truth_in",
]


def small_tree(
    layout: str, out: Path, *, subjects: int = 2, frames: int = 17, side: int = 48, **options: Any
) -> pd.DataFrame:
    """Write a data set of drawn faces in a second or less; gives its ground truth.

    Args:
        layout: one of ``LAYOUTS``.
        out: its folder.
        subjects: how many.
        frames: of each subject.
        side: of the pictures, in pixels.
        options: further ``Settings``.
    """
    settings = Settings(layout, subjects, frames, side, **options)
    synthesize(out, settings)
    return truth_in(out)


def truth_in(out: Path) -> pd.DataFrame:
    """The ground truth of a made-up data set."""
    return pd.read_parquet(out / TRUTH)


def files_of(out: Path) -> dict[str, bytes]:
    """All files of a folder, by their path from there."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def delete(*paths: Path) -> None:
    """Delete files, such as frames that are coded."""
    for path in paths:
        path.unlink()


def cut_off(path: Path, part: float = 0.5) -> None:
    """Leave a file's first part only, as of a JPEG whose copying was stopped."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def empty(path: Path) -> None:
    """Leave nothing of a file, as of a video for which there was no space."""
    path.write_bytes(b"")


def forget_codes(path: Path, action_unit: int, frames: Collection[int] | None = None) -> None:
    """Write 9, not coded, for an action unit in a table of BP4D's occurrences.

    Args:
        path: of the table.
        action_unit: whose codes.
        frames: numbers of frames; None for all.
    """

    def edit(rows: list[list[str]]) -> None:
        place = rows[0].index(str(action_unit))
        for row in rows[1:]:
            if frames is None or int(row[0]) in frames:
                row[place] = "9"

    _edit(path, edit)


def drop_column(path: Path, action_unit: int) -> None:
    """Leave an action unit out of a table of BP4D's occurrences."""

    def edit(rows: list[list[str]]) -> None:
        place = rows[0].index(str(action_unit))
        for row in rows:
            del row[place]

    _edit(path, edit)


def _edit(path: Path, edit: Callable[[list[list[str]]], None]) -> None:
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    edit(rows)
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
