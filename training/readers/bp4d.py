"""BP4D (Zhang et al., 2014): occurrence and intensity codes as CSV, frames as JPEG files.

AUCoding/AU_OCC/F001_T1.csv          or AUCoding/F001_T1.csv: action units in the first row,
                                     frame numbers in the first column; 9 is not coded
AUCoding/AU_INT/AU06/F001_T1_AU06.csv    frame, intensity; for some action units only
F001/T1/2440.jpg                     as many zeros before the number as the sequence likes
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import (
    BP4D_ACTION_UNITS,
    LARGEST_INTENSITY,
    UNKNOWN,
    column,
)
from fastcaps.training.errors import InputError
from fastcaps.training.readers.labels import check_action_units, from_codes
from fastcaps.training.readers.sequences import (
    Contents,
    ImageFiles,
    Problem,
    Sequence,
    unknown_labels,
)
from fastcaps.training.readers.texts import (
    folders_in,
    numbered_files,
    paths_in,
    read_lines,
    read_numbers,
    some_of,
)

__all__ = ["Bp4d"]

UNLABELLED = "has frames, but no labels in AUCoding"

SUBJECT = re.compile(r"[FM]\d{3}")
LABEL_FILE = re.compile(r"([FM]\d{3})_(T\d+)\.csv", re.IGNORECASE)


@dataclass(frozen=True)
class Bp4d:
    """Reader of BP4D.

    Args:
        root: the data set's folder.
        action_units: whose labels to read.
    """

    root: Path
    action_units: tuple[int, ...] = BP4D_ACTION_UNITS

    def __post_init__(self) -> None:
        check_action_units(self.action_units)

    def read(self) -> Contents:
        """Read all labels and find all frames; see :class:`Reader`."""
        label_files = self._label_files()
        contents = Contents()
        for (subject, task), path in label_files.items():
            try:
                self._read_sequence(subject, task, path, contents)
            except InputError as error:
                contents.problems.append(Problem.of(path, error, subject, task))
        self._find_unlabelled({subject for subject, _ in label_files}, label_files, contents)
        return contents

    def _label_files(self) -> dict[tuple[str, str], Path]:
        found = {}
        for folder in (self.root / "AUCoding", self.root / "AUCoding" / "AU_OCC"):
            for path in paths_in(folder):
                if match := LABEL_FILE.fullmatch(path.name):
                    found[match[1].upper(), match[2].upper()] = path
        if not found:
            raise InputError(
                f"root: expected BP4D's AUCoding/AU_OCC/F001_T1.csv and so on in {self.root}, "
                "got no such file"
            )
        return dict(sorted(found.items()))

    def _read_sequence(self, subject: str, task: str, path: Path, contents: Contents) -> None:
        frames, labels, missing = read_occurrences(path, self.action_units)
        for unit in missing:
            reason = f"has no column of AU {unit}, which stays unknown in this sequence"
            contents.problems.append(Problem.of(path, reason, subject, task))
        intensities = self._intensities(subject, task, frames, contents)
        folder = self.root / subject / task
        if not folder.is_dir():
            raise InputError(f"has labels, but there is no folder {folder} of its frames")
        files = numbered_files(folder, (".jpg", ".jpeg", ".png"))
        here = np.array([frame in files for frame in frames.tolist()])
        if not here.all():
            gone = frames[~here].tolist()
            reason = f"{len(gone)} labelled frames are not there: {some_of(gone)}"
            contents.problems.append(Problem.of(folder, reason, subject, task))
        if unlabelled := len(files) - int(here.sum()):
            contents.notes.append(f"{folder}: {unlabelled} frames have no labels")
        if here.any():
            contents.sequences.append(
                Sequence(
                    subject=subject,
                    name=task,
                    action_units=self.action_units,
                    frames=frames[here],
                    labels=labels[here],
                    intensities=intensities[here],
                    emotions=np.full(int(here.sum()), UNKNOWN, dtype=np.int8),
                    source=ImageFiles(tuple(files[frame] for frame in frames[here].tolist())),
                )
            )

    def _intensities(
        self, subject: str, task: str, frames: NDArray[np.int64], contents: Contents
    ) -> NDArray[np.int8]:
        intensities = unknown_labels(len(frames), self.action_units)
        for place, unit in enumerate(self.action_units):
            name = column(unit)
            path = self.root / "AUCoding" / "AU_INT" / name / f"{subject}_{task}_{name}.csv"
            if not path.exists():
                continue
            try:
                coded = read_intensities(path)
            except InputError as error:
                contents.problems.append(Problem.of(path, error, subject, task))
                continue
            intensities[:, place] = [coded.get(frame, UNKNOWN) for frame in frames.tolist()]
        return intensities

    def _find_unlabelled(
        self,
        labelled: set[str],
        label_files: dict[tuple[str, str], Path],
        contents: Contents,
    ) -> None:
        for subject, folder in folders_in(self.root).items():
            if not SUBJECT.fullmatch(subject):
                continue
            if subject not in labelled:
                contents.problems.append(Problem.of(folder, UNLABELLED, subject))
                continue
            try:
                tasks = folders_in(folder)
            except InputError as error:
                contents.problems.append(Problem.of(folder, error, subject))
                continue
            for task in sorted(tasks):
                if (subject, task) not in label_files:
                    contents.problems.append(Problem.of(tasks[task], UNLABELLED, subject, task))


def read_occurrences(
    path: Path, action_units: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int8], list[int]]:
    """Frame numbers int64 [N], labels int8 [N, A], and the action units that the file lacks.

    Raises:
        InputError: the file is not an occurrence table.
    """
    header = read_lines(path)[0].split(",")
    try:
        units = [int(cell) for cell in header[1:]]
    except ValueError as error:
        raise InputError(
            f"{path}: expected numbers of action units in the first row, got {header[1:8]}"
        ) from error
    table = read_numbers(path, len(header), _number_or_corner)[1:].astype(np.int64)
    frames, codes = table[:, 0], table[:, 1:]
    if not len(frames):
        raise InputError(f"{path}: expected a row for each frame, got none")
    twice = [unit for unit in action_units if units.count(unit) > 1]
    if twice:
        raise InputError(f"{path}: has several columns of AU {some_of(twice)}")
    if (np.diff(frames) <= 0).any():
        raise InputError(f"{path}: expected ascending frame numbers in the first column")
    labels = unknown_labels(len(frames), action_units)
    present = [place for place, unit in enumerate(action_units) if unit in units]
    if not present:
        raise InputError(
            f"{path}: expected columns of AU {', '.join(map(str, action_units))}, got {units[:12]}"
        )
    wanted = [units.index(action_units[place]) for place in present]
    try:
        labels[:, present] = from_codes(codes[:, wanted], largest=1)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return frames, labels, [unit for unit in action_units if unit not in units]


def read_intensities(path: Path) -> dict[int, int]:
    """The intensity 0 .. 5, -1 unknown, of each coded frame.

    Raises:
        InputError: the file is not an intensity table.
    """
    table = read_numbers(path, 2, int).astype(np.int64)
    try:
        coded = from_codes(table[:, 1], LARGEST_INTENSITY)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return dict(zip(table[:, 0].tolist(), coded.tolist(), strict=True))


def _number_or_corner(cell: str) -> int:
    """The cell above the frame numbers may be blank."""
    return int(cell) if cell.strip() else 0
