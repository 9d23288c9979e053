"""CK+ (Lucey et al., 2010): short sequences of PNG files from the neutral face to the peak.

cohn-kanade-images/S005/001/S005_001_00000001.png
Emotion/S005/001/S005_001_00000011_emotion.txt      one number; not for every sequence
FACS/S005/001/S005_001_00000011_facs.txt            action unit and intensity, at the peak
Landmarks/S005/001/S005_001_00000001_landmarks.txt  68 lines of x and y
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import (
    ACTION_UNITS,
    EMOTIONS,
    LARGEST_INTENSITY,
    UNKNOWN,
)
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import COUNT, Landmarks
from fastcaps.training.readers.labels import check_action_units
from fastcaps.training.readers.sequences import (
    Contents,
    ImageFiles,
    LandmarkFiles,
    Problem,
    Sequence,
    unknown_labels,
)
from fastcaps.training.readers.texts import folders_in, paths_in, read_numbers

__all__ = ["CkPlus"]

IMAGES = "cohn-kanade-images"
PEAK_FRAMES = 3
"""How many frames at the end of a sequence show its emotion (the paper's authors' code)."""

FRAME_NUMBER = re.compile(r".*_(\d+)")


@dataclass(frozen=True)
class CkPlus:
    """Reader of CK+: of each sequence the first frame, which is neutral, and the last three.

    The last three have the sequence's emotion, and the first is "neutral", if the data set says
    which emotion it is. Of action units the first frame has none and the last has what FACS
    says; between them nothing is known.

    Args:
        root: the data set's folder.
        action_units: whose labels to read.
    """

    root: Path
    action_units: tuple[int, ...] = tuple(ACTION_UNITS)

    def __post_init__(self) -> None:
        check_action_units(self.action_units)

    def read(self) -> Contents:
        """Read all labels and find all frames; see :class:`Reader`."""
        subjects = folders_in(self.root / IMAGES)
        if not subjects:
            raise InputError(
                f"root: expected CK+'s {IMAGES}/S005/001 and so on in {self.root}, "
                "got no such folder"
            )
        contents = Contents()
        for subject, folder in subjects.items():
            try:
                sequences = folders_in(folder)
            except InputError as error:
                contents.problems.append(Problem.of(folder, error, subject))
                continue
            for name, images in sequences.items():
                try:
                    contents.sequences.append(self._sequence(subject, name, images, contents))
                except InputError as error:
                    contents.problems.append(Problem.of(images, error, subject, name))
        without_emotion = sum((s.emotions == UNKNOWN).all() for s in contents.sequences)
        if without_emotion:
            contents.notes.append(f"{without_emotion} sequences have no emotion")
        return contents

    def _sequence(self, subject: str, name: str, images: Path, contents: Contents) -> Sequence:
        files = _frames_in(images, ".png")
        if len(files) < 1 + PEAK_FRAMES:
            raise InputError(
                f"expected at least {1 + PEAK_FRAMES} frames SUBJECT_SEQUENCE_NUMBER.png, "
                f"got {len(files)}"
            )
        numbers = [min(files), *sorted(files)[-PEAK_FRAMES:]]
        labels, intensities = self._facs(subject, name, contents)
        return Sequence(
            subject=subject,
            name=name,
            action_units=self.action_units,
            frames=np.array(numbers, dtype=np.int64),
            labels=labels,
            intensities=intensities,
            emotions=self._emotions(subject, name, contents),
            source=ImageFiles(tuple(files[number] for number in numbers)),
            landmarks=self._landmarks(subject, name, numbers),
        )

    def _emotions(self, subject: str, name: str, contents: Contents) -> NDArray[np.int8]:
        """Emotions of the frames, unknown where there is no file or it cannot be read."""
        emotions = np.full(1 + PEAK_FRAMES, UNKNOWN, dtype=np.int8)
        for path in self._files("Emotion", subject, name, "_emotion.txt"):
            try:
                emotions[1:] = read_emotion(path)
                emotions[0] = EMOTIONS.index("neutral")
            except InputError as error:
                contents.problems.append(Problem.of(path, error, subject, name))
        return emotions

    def _facs(
        self, subject: str, name: str, contents: Contents
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        labels = unknown_labels(1 + PEAK_FRAMES, self.action_units)
        intensities = labels.copy()
        files = self._files("FACS", subject, name, "_facs.txt")
        if not files:
            reason = "has no FACS file, so its action units are unknown"
            folder = self.root / IMAGES / subject / name
            contents.problems.append(Problem.of(folder, reason, subject, name))
            return labels, intensities
        try:
            coded = read_facs(files[-1])
        except InputError as error:
            contents.problems.append(Problem.of(files[-1], error, subject, name))
            return labels, intensities
        labels[0] = intensities[0] = 0
        labels[-1] = [unit in coded for unit in self.action_units]
        intensities[-1] = [coded.get(unit, 0) for unit in self.action_units]
        return labels, intensities

    def _files(self, kind: str, subject: str, name: str, ending: str) -> list[Path]:
        paths = paths_in(self.root / kind / subject / name)
        return [path for path in paths if path.name.endswith(ending)]

    def _landmarks(self, subject: str, name: str, numbers: list[int]) -> LandmarkFiles | None:
        folder = self.root / "Landmarks" / subject / name
        if not folder.is_dir():
            return None
        files = _frames_in(folder, "_landmarks.txt")
        return LandmarkFiles(tuple(files.get(number) for number in numbers), read_landmarks)


def read_emotion(path: Path) -> int:
    """The place in ``EMOTIONS`` that a file names.

    Raises:
        InputError: it names none.
    """
    numbers = read_numbers(path, 1, float, separator=None)[:, 0]
    if len(numbers) != 1 or numbers[0] not in range(len(EMOTIONS)):
        raise InputError(f"{path}: expected one number of 0 .. 7, got {numbers.tolist()}")
    return int(numbers[0])


def read_facs(path: Path) -> dict[int, int]:
    """Action units that are present and their intensity 1 .. 5, -1 where it was not coded.

    Raises:
        InputError: the file is not a list of action units and intensities.
    """
    coded = {}
    for unit, intensity in read_numbers(path, 2, float, separator=None):
        if unit != int(unit) or intensity not in range(LARGEST_INTENSITY + 1):
            raise InputError(
                f"{path}: expected the number of an action unit and an intensity 0 .. 5 "
                f"on each line, got {unit:g} and {intensity:g}"
            )
        coded[int(unit)] = int(intensity) or UNKNOWN
    return coded


def read_landmarks(path: Path) -> Landmarks:
    """Landmarks from one of CK+'s text files.

    Raises:
        InputError: it does not hold 68 points.
    """
    points = read_numbers(path, 2, float, separator=None)
    if len(points) != COUNT:
        raise InputError(f"{path}: expected {COUNT} lines of x and y, got {len(points)}")
    return points.astype(np.float32)


def _frames_in(folder: Path, ending: str) -> dict[int, Path]:
    """The files SUBJECT_SEQUENCE_NUMBER with this ending, by number."""
    return {
        int(match[1]): path
        for path in paths_in(folder)
        if path.name.endswith(ending)
        and (match := FRAME_NUMBER.fullmatch(path.name.removesuffix(ending)))
    }
