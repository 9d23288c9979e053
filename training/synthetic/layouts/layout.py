"""What a layout is: the recordings that its data set has, and how one is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.recordings import Recording

__all__ = ["UNFINISHED", "Layout", "write_image", "write_text"]

UNFINISHED = "unfinished"
"""Folder of what is not needed once all recordings are written."""

JPEG_QUALITY = 95


class Layout(Protocol):
    """Writes recordings as a data set has them."""

    least_frames: int
    """Of a subject."""

    def recordings(self, person: int, frames: int, random: np.random.Generator) -> list[Recording]:
        """The recordings of one subject.

        Args:
            person: number of the subject from 0.
            frames: how many labelled frames the subject has, at least ``least_frames``.
            random: what to draw from.
        """
        ...

    def write(
        self,
        root: Path,
        recording: Recording,
        intensities: NDArray[np.int8],
        pictures: Iterator[Picture],
    ) -> None:
        """Write the files of one recording, which no other recording has.

        Args:
            root: stands for the data set's folder.
            recording: what is written.
            intensities: of each picture int8 [pictures, 17], columns as in ``ACTION_UNITS``.
            pictures: one after the other, RGB.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        ...


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write RGB or gray pixels as the file's suffix says, JPEG at quality 95."""
    if image.ndim == 3:
        image = image[..., ::-1]
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    # Not by imwrite, which does not say why it fails.
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(image), options)
    path.write_bytes(data.tobytes())


def write_text(path: Path, lines: Sequence[str]) -> None:
    """Write lines, making the folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
