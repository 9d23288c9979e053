"""DISFA (Mavadati et al., 2013): intensities as text files, frames in videos.

ActionUnit_Labels/SN001/SN001_au1.txt    lines "frame,intensity", frames from 1
Videos_LeftCamera/LeftVideoSN001_comp.avi      the folders are spelt Video_ or Videos_, and
Video_RightCamera/RightVideoSN001_comp.avi     videos have up to ten more frames than labels
Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat   frames from 0, of the left camera; a
                                               few subjects have l00001_lm.mat, frames from 1
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.io
from numpy.typing import NDArray

from fastcaps.training.action_units import DISFA_ACTION_UNITS, LARGEST_INTENSITY, UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import Landmarks, from_66_points
from fastcaps.training.readers.labels import check_action_units, from_codes, occurrence
from fastcaps.training.readers.sequences import (
    Contents,
    LandmarkFiles,
    Problem,
    Sequence,
    Video,
    unknown_labels,
)
from fastcaps.training.readers.texts import folders_in, paths_in, read_numbers

__all__ = ["Camera", "Disfa"]

Camera = Literal["left", "right"]
SUBJECT = re.compile(r"SN\d{3}")
POINTS = 66


@dataclass(frozen=True)
class Disfa:
    """Reader of DISFA.

    Args:
        root: the data set's folder.
        action_units: whose labels to read.
        camera: whose videos; landmarks are those of the left one.
        positive_from: the intensity from which an action unit counts as present; 2 in most of the
            literature, 1 in the code of the paper's authors.
    """

    root: Path
    action_units: tuple[int, ...] = DISFA_ACTION_UNITS
    camera: Camera = "left"
    positive_from: int = 2

    def __post_init__(self) -> None:
        check_action_units(self.action_units)
        occurrence(np.zeros(0, dtype=np.int8), self.positive_from)

    def read(self) -> Contents:
        """Read all labels and find all videos; see :class:`Reader`."""
        labels = {
            subject: folder
            for subject, folder in folders_in(self.root / "ActionUnit_Labels").items()
            if SUBJECT.fullmatch(subject)
        }
        if not labels:
            raise InputError(
                f"root: expected DISFA's ActionUnit_Labels/SN001 and so on in {self.root}, "
                "got no such folder"
            )
        videos = self._videos()
        contents = Contents()
        for subject, folder in labels.items():
            try:
                if subject not in videos:
                    raise InputError(f"has labels, but no video of the {self.camera} camera")
                sequence = self._sequence(subject, folder, videos[subject], contents)
                contents.sequences.append(sequence)
            except InputError as error:
                contents.problems.append(Problem.of(folder, error, subject, self.camera))
        for subject in sorted(videos.keys() - labels.keys()):
            reason = "has no labels in ActionUnit_Labels"
            contents.problems.append(Problem.of(videos[subject], reason, subject, self.camera))
        return contents

    def _videos(self) -> dict[str, Path]:
        side = self.camera.capitalize()
        name = re.compile(rf"{side}Video({SUBJECT.pattern})_comp\.avi", re.IGNORECASE)
        return {
            match[1].upper(): path
            for folder in (f"Video_{side}Camera", f"Videos_{side}Camera")
            for path in paths_in(self.root / folder)
            if (match := name.fullmatch(path.name))
        }

    def _sequence(self, subject: str, folder: Path, video: Path, contents: Contents) -> Sequence:
        columns: dict[int, NDArray[np.int8]] = {}
        for unit in self.action_units:
            path = folder / f"{subject}_au{unit}.txt"
            try:
                columns[unit] = read_intensities(path)
            except InputError as error:
                reason = f"{error}; AU {unit} stays unknown for this subject"
                contents.problems.append(Problem.of(path, reason, subject, self.camera))
        if not columns:
            raise InputError("has no file of labels that can be read")
        count = max(map(len, columns.values()))
        for unit, column in columns.items():
            if len(column) < count:
                reason = f"AU {unit} has {len(column)} frames, others {count}; unknown from there"
                contents.problems.append(Problem.of(folder, reason, subject, self.camera))
        intensities = unknown_labels(count, self.action_units)
        for place, unit in enumerate(self.action_units):
            if unit in columns:
                intensities[: len(columns[unit]), place] = columns[unit]
        return Sequence(
            subject=subject,
            name=self.camera,
            action_units=self.action_units,
            frames=np.arange(1, count + 1),
            labels=occurrence(intensities, self.positive_from),
            intensities=intensities,
            emotions=np.full(count, UNKNOWN, dtype=np.int8),
            source=Video(video, np.arange(count)),
            landmarks=self._landmarks(subject, count),
        )

    def _landmarks(self, subject: str, count: int) -> LandmarkFiles | None:
        folder = self.root / "Landmark_Points" / subject / "tmp_frame_lm"
        if self.camera != "left" or not folder.is_dir():
            return None
        there = {path.name: path for path in paths_in(folder)}
        return LandmarkFiles(
            tuple(
                there.get(f"{subject}_{frame - 1:04d}_lm.mat", there.get(f"l{frame:05d}_lm.mat"))
                for frame in range(1, count + 1)
            ),
            read_landmarks,
        )


def read_intensities(path: Path) -> NDArray[np.int8]:
    """Intensities 0 .. 5 of the frames 1, 2, ...: int8 [N].

    Raises:
        InputError: the file is not a list of all frames.
    """
    table = read_numbers(path, 2, int).astype(np.int64)
    if (table[:, 0] != np.arange(1, len(table) + 1)).any():
        raise InputError(f"{path}: expected frames 1, 2, 3, ... in the first column")
    try:
        return from_codes(table[:, 1], LARGEST_INTENSITY)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_landmarks(path: Path) -> Landmarks:
    """Landmarks from one of DISFA's MATLAB files.

    Raises:
        InputError: it cannot be read.
    """
    try:
        points = scipy.io.loadmat(path, variable_names=("pts",))["pts"]
    # loadmat raises many types on a damaged file.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as landmarks 'pts': {error}") from error
    if points.shape != (POINTS, 2) or points.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected pts [{POINTS}, 2], got {list(points.shape)}")
    return from_66_points(points)
