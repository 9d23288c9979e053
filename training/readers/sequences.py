"""What a reader finds in a data set: sequences of labelled frames, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import COUNT, Landmarks

__all__ = [
    "Contents",
    "ImageFiles",
    "LandmarkFiles",
    "Problem",
    "Reader",
    "Sequence",
    "Video",
    "readable",
    "unknown_labels",
]


def readable(text: object) -> str:
    """The text of a path or a message; names of files that are not UTF-8 become readable."""
    return str(text).encode(errors="surrogateescape").decode(errors="replace")


@dataclass(frozen=True)
class Problem:
    """Something that is left out of the prepared data, and why.

    Attributes:
        file: the file or folder it is about.
        reason: what is wrong with it, and what to do where that is not plain.
        subject: whose, where it is known.
        sequence: of the subject, where it is known.
        frame: the number of the only frame left out, if it is one.
    """

    file: str
    reason: str
    subject: str = ""
    sequence: str = ""
    frame: int | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        reason: InputError | str,
        subject: str = "",
        sequence: str = "",
        frame: int | None = None,
    ) -> Problem:
        """What is wrong with a file; a reason that starts with its name does not say it twice."""
        file = readable(path)
        return cls(file, readable(reason).removeprefix(f"{file}: "), subject, sequence, frame)

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class ImageFiles:
    """One file for each frame of a sequence."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Video:
    """A video file, and the place in it of each frame of a sequence, from 0 and ascending."""

    path: Path
    places: NDArray[np.int64]


@dataclass(frozen=True)
class LandmarkFiles:
    """One file of landmarks for each frame of a sequence; None where there is none.

    ``read`` gives a file's landmarks, or raises InputError.
    """

    paths: tuple[Path | None, ...]
    read: Callable[[Path], Landmarks]

    def load(self, number: int) -> Landmarks:
        """Landmarks of the frame at ``number``, NaN throughout where there are none.

        Raises:
            InputError: the file cannot be read.
        """
        path = self.paths[number]
        if path is None:
            return np.full((COUNT, 2), np.nan, dtype=np.float32)
        return self.read(path)


@dataclass(frozen=True)
class Sequence:
    """Frames of one subject in one recording, in their order.

    Attributes:
        subject: who.
        name: of the recording; a subject has no other of this name.
        action_units: the columns of labels and intensities.
        frames: their numbers as the data set counts them, int64 [N], ascending.
        labels: 1 where an action unit is present, 0 where not, -1 unknown, int8 [N, A].
        intensities: 0 .. 5, -1 unknown, int8 [N, A].
        emotions: place in ``EMOTIONS``, -1 unknown, int8 [N].
        source: where the pictures are.
        landmarks: where given landmarks are, if they are.
    """

    subject: str
    name: str
    action_units: tuple[int, ...]
    frames: NDArray[np.int64]
    labels: NDArray[np.int8]
    intensities: NDArray[np.int8]
    emotions: NDArray[np.int8]
    source: ImageFiles | Video
    landmarks: LandmarkFiles | NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def files(self) -> tuple[Path, ...]:
        """The files that hold the pictures."""
        return (self.source.path,) if isinstance(self.source, Video) else self.source.paths

    def file_of(self, place: int) -> Path:
        """The file that holds the picture at ``place``, from 0."""
        return self.source.path if isinstance(self.source, Video) else self.source.paths[place]


@dataclass
class Contents:
    """All that a reader found.

    Attributes:
        sequences: what can be prepared.
        problems: what cannot, or not wholly.
        notes: what is left out since the data set is like that.
    """

    sequences: list[Sequence] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Reader(Protocol):
    """Reads one kind of data set."""

    action_units: tuple[int, ...]
    """The columns of labels and intensities."""

    def read(self) -> Contents:
        """Read all labels and find all pictures, without opening them.

        Raises:
            InputError: the folder does not hold such a data set at all.
        """
        ...


def unknown_labels(frames: int, action_units: tuple[int, ...]) -> NDArray[np.int8]:
    """Labels of ``frames`` frames of which nothing is known: int8 [frames, A]."""
    return np.full((frames, len(action_units)), UNKNOWN, dtype=np.int8)
