"""Anyone's images or videos, with one CSV file of labels.

    subject,path,AU01,AU06
    anna,anna/0001.jpg,0,1

``path`` is relative to the root folder. A video's rows have a column ``frame``, from 1; for images
it is optional. Further optional columns: ``sequence`` (else the folder of the image, or the name
of the video), ``AU01_intensity`` and so on, 0 .. 5, and ``emotion``, one of CK+'s. An empty cell is
a label that is not known.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastcaps.training.action_units import (
    ACTION_UNITS,
    EMOTIONS,
    LARGEST_INTENSITY,
    UNKNOWN,
    column,
)
from fastcaps.training.errors import InputError
from fastcaps.training.readers.labels import check_action_units
from fastcaps.training.readers.sequences import (
    Contents,
    ImageFiles,
    Problem,
    Sequence,
    Video,
    unknown_labels,
)
from fastcaps.training.readers.texts import LARGEST_NUMBER, some_of

__all__ = ["VIDEO_SUFFIXES", "Table"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".wmv", ".m4v")
AU_COLUMN = re.compile(r"AU(\d+)(_intensity)?")


class Table:
    """Reader of a folder of images or videos and one CSV file.

    Args:
        root: the folder that paths in the file start from.
        labels: the CSV file, UTF-8.
        action_units: whose labels to read; all that the file has where none are given.

    Raises:
        InputError: the file cannot be used at all.
    """

    def __init__(
        self, root: Path, labels: Path, action_units: tuple[int, ...] | None = None
    ) -> None:
        # So that an image's folder has a name, whatever the root is called.
        self.root = root.resolve()
        self.labels = labels
        self.rows = _load(labels)
        there = _action_units_in(labels, self.rows)
        self.action_units = check_action_units(there if action_units is None else action_units)
        if missing := sorted(set(self.action_units) - set(there)):
            raise InputError(
                f"action_units: {labels} has no column of AU {', '.join(map(str, missing))}"
            )

    def read(self) -> Contents:
        """Check every row and find its file; see :class:`Reader`."""
        contents = Contents()
        rows = self._usable_rows(contents)
        for key, group in rows.groupby(["subject", "sequence"], sort=True):
            subject, name = map(str, key)
            try:
                contents.sequences.append(self._sequence(subject, name, group))
            except InputError as error:
                contents.problems.append(Problem.of(self.labels, error, subject, name))
        return contents

    def _usable_rows(self, contents: Contents) -> pd.DataFrame:
        rows = self.rows.copy()
        paths = [self.root / path for path in rows["path"]]
        is_video = np.array([path.suffix.lower() in VIDEO_SUFFIXES for path in paths], dtype=bool)
        if "sequence" not in rows:
            rows["sequence"] = ""
        default = [
            path.stem if video else path.parent.name
            for path, video in zip(paths, is_video, strict=True)
        ]
        rows["sequence"] = rows["sequence"].where(rows["sequence"] != "", default)
        rows["file"] = paths
        rows["is_video"] = is_video
        rows["number"] = _frame_numbers(rows)
        reasons = self._reasons(rows)
        for place in np.flatnonzero(reasons != ""):
            row = rows.iloc[place]
            problem = Problem.of(
                self.labels,
                f"line {row['line']}: {reasons[place]}",
                row["subject"],
                row["sequence"],
            )
            contents.problems.append(problem)
        return rows[reasons == ""]

    def _reasons(self, rows: pd.DataFrame) -> NDArray[np.object_]:
        """For each row why it cannot be used, or an empty text."""
        reasons = np.full(len(rows), "", dtype=object)

        def refuse(where: NDArray[np.bool_] | pd.Series[bool], reason: str) -> None:
            reasons[np.asarray(where, dtype=bool) & (reasons == "")] = reason

        refuse(rows["subject"] == "", "has no subject")
        refuse(rows["path"] == "", "has no path")
        present = {path: path.is_file() for path in set(rows["file"])}
        refuse(~rows["file"].map(present).astype(bool), f"its file is not in {self.root}")
        for unit in self.action_units:
            refuse(_numbers(rows, column(unit), 1).isna(), f"{column(unit)}: expected 0, 1 or none")
            name = f"{column(unit)}_intensity"
            refuse(_numbers(rows, name, LARGEST_INTENSITY).isna(), f"{name}: expected 0 .. 5")
        if "emotion" in rows:
            known = rows["emotion"].isin([*EMOTIONS, ""])
            refuse(~known, f"emotion: expected one of {', '.join(EMOTIONS)}")
        refuse(rows["number"].isna(), "frame: expected a whole number")
        if "frame" in rows:
            first = rows["is_video"] & ((rows["frame"] == "") | (rows["number"] < 1))
        else:
            first = rows["is_video"]
        refuse(first, "frame: expected the frame of the video, from 1")
        return reasons

    def _sequence(self, subject: str, name: str, rows: pd.DataFrame) -> Sequence:
        rows = rows.sort_values("number", kind="stable")
        frames = rows["number"]
        twice = frames[frames.duplicated()].astype(int).tolist()
        if twice:
            raise InputError(f"{subject} {name} has frames twice: {some_of(twice)}")
        files = tuple(rows["file"])
        if rows["is_video"].any() and len(set(files)) > 1:
            raise InputError(
                f"{subject} {name} has frames of several files; expected those of one video, "
                "or images; give each its own 'sequence'"
            )
        numbers = frames.to_numpy(dtype=np.int64)
        labels, intensities = (unknown_labels(len(rows), self.action_units) for _ in range(2))
        for place, unit in enumerate(self.action_units):
            labels[:, place] = _numbers(rows, column(unit), 1)
            name_there = f"{column(unit)}_intensity"
            intensities[:, place] = _numbers(rows, name_there, LARGEST_INTENSITY)
        places = {emotion: place for place, emotion in enumerate(EMOTIONS)}
        emotions = np.full(len(rows), UNKNOWN, dtype=np.int8)
        if "emotion" in rows:
            emotions[:] = [places.get(emotion, UNKNOWN) for emotion in rows["emotion"]]
        is_video = bool(rows["is_video"].iloc[0])
        return Sequence(
            subject=subject,
            name=name,
            action_units=self.action_units,
            frames=numbers,
            labels=labels,
            intensities=intensities,
            emotions=emotions,
            source=Video(files[0], numbers - 1) if is_video else ImageFiles(files),
        )


def _load(labels: Path) -> pd.DataFrame:
    header, *lines = _cells(labels)
    named = [name for name in header if name]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise InputError(f"{labels}: has several columns {', '.join(twice)}")
    rows = pd.DataFrame(lines, columns=[*header, "line"], dtype=object).astype({"line": int})
    rows = rows[[*named, "line"]]
    missing = [name for name in ("subject", "path") if name not in rows]
    if missing or rows.empty:
        raise InputError(
            f"{labels}: expected rows with columns subject, path, AU01 and so on, got "
            f"{len(rows)} rows with {', '.join(named) or 'none'}"
        )
    return rows


def _cells(labels: Path) -> list[list[str]]:
    """The header's cells, then those of each line and its number; all as long as the header."""
    try:
        with open(labels, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            lines = [[*map(str.strip, cells), str(reader.line_num)] for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{labels}: expected UTF-8, got byte {error.object[error.start]:#04x} at "
            f"{error.start}; save the table as CSV UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"{labels}: cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise InputError(f"{labels}: is not a CSV file: {error}") from error
    if not lines:
        raise InputError(f"{labels}: expected a table, got an empty file")
    header, width = lines[0][:-1], len(lines[0]) - 1
    for *cells, line in lines[1:]:
        if any(cells[width:]):
            raise InputError(f"{labels}: line {line}: expected {width} cells, got {len(cells)}")
    return [header, *([*(cells + [""] * width)[:width], line] for *cells, line in lines[1:])]


def _action_units_in(labels: Path, rows: pd.DataFrame) -> tuple[int, ...]:
    found = []
    for name in rows.columns:
        match = AU_COLUMN.fullmatch(name)
        if not match:
            continue
        unit = int(match[1])
        if unit not in ACTION_UNITS or column(unit) != f"AU{match[1]}":
            known = ", ".join(map(column, ACTION_UNITS))
            raise InputError(f"{labels}: column {name}: expected one of {known}")
        if match[2] is None:
            found.append(unit)
    return tuple(sorted(found))


def _numbers(rows: pd.DataFrame, name: str, largest: int) -> pd.Series[float]:
    """A column's whole numbers 0 .. ``largest``, -1 where empty, NaN where it is something else."""
    if name not in rows:
        return pd.Series(float(UNKNOWN), index=rows.index)
    cells = rows[name]
    numbers = pd.to_numeric(cells, errors="coerce")
    numbers = numbers.where(numbers.isin(range(largest + 1)))
    return numbers.where(cells != "", UNKNOWN)


def _frame_numbers(rows: pd.DataFrame) -> pd.Series[float]:
    """Frame numbers, NaN where a cell is no number.

    Rows of a sequence none of which has a number are counted from 1, also those that turn out to be
    of no use: the others keep their numbers.
    """
    sequences = [rows["subject"], rows["sequence"]]
    counted = rows.groupby(sequences).cumcount() + 1.0
    if "frame" not in rows:
        return counted
    cells = rows["frame"]
    numbers = pd.to_numeric(cells, errors="coerce")
    numbers = numbers.where((numbers % 1 == 0) & (numbers >= 0) & (numbers < LARGEST_NUMBER))
    without = (cells == "").groupby(sequences).transform("all")
    return numbers.where(cells != "", 0.0).where(~without, counted)
