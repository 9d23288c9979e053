"""What is known of frames besides action units, of synthetic faces all."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import COUNT, MEAN_FACE
from fastcaps.training.faces.similarity import apply, fit
from fastcaps.training.prepared import Prepared
from fastcaps.training.synthetic.layouts.truth import TRUTH

__all__ = [
    "TRUE_NAMES",
    "Attribute",
    "in_words",
    "known_attributes",
    "picture_attributes",
    "true_attributes",
]

WHO = ["subject", "sequence", "frame"]

TRUE_NUMBERS = {
    "yaw": "of the head to the person's left, in degrees",
    "pitch": "of the head upwards, in degrees",
    "roll": "of the head in the picture before alignment, which turns it back, in degrees; a "
    "probe should find next to nothing",
    "light_left": "where the strongest light comes from, to the person's left, in degrees",
    "light_up": "where the strongest light comes from, upwards, in degrees",
    "contrast": "part of the light that comes from one side, 0 .. 1",
    "brightness": "of all the light, near 1",
    "skin_tone": "0 (very light) .. 1 (very dark)",
}
"""Columns of ``truth.parquet`` that are probed for, and what they are."""

FACE_SIZE = "face_size"
OF_FACE_SIZE = (
    "square root of the area within the outline of the aligned landmarks, in pixels of a picture "
    "of 96 x 96"
)
"""How large a head is in the camera's picture cannot be seen any more: alignment scales brows,
eyes, nose and mouth to those of the mean face. What is still seen, and what decoders draw, is how
large the face with its jaw is around these."""


TRUE_NAMES = (*TRUE_NUMBERS, FACE_SIZE)
"""Names of all of :func:`true_attributes`."""


@dataclass(frozen=True)
class Attribute:
    """A number that is known of M frames.

    Attributes:
        name: as a column.
        about: what it is, with its unit.
        values: [M].
    """

    name: str
    about: str
    values: NDArray[np.float64]


def in_words(name: str) -> str:
    """An attribute's name as reports show it, ``face size`` for ``face_size``."""
    return name.replace("_", " ")


def known_attributes(
    prepared: Prepared, rows: NDArray[np.int64], thumbnails: NDArray[np.float32]
) -> tuple[Attribute, ...]:
    """All of :func:`true_attributes` and :func:`picture_attributes`."""
    return (*true_attributes(prepared, rows), *picture_attributes(thumbnails))


def true_attributes(prepared: Prepared, rows: NDArray[np.int64]) -> tuple[Attribute, ...]:
    """What is known of synthetic faces; nothing for other data.

    Args:
        prepared: the data set, with ``truth.parquet`` in its folder if it is synthetic.
        rows: of the frames, int64 [M].

    Raises:
        InputError: the truth cannot be read, or is not of this data set.
    """
    path = prepared.folder / TRUTH
    if not path.is_file():
        return ()
    points = [f"{axis}{point}" for point in range(COUNT) for axis in "xy"]
    try:
        table = pyarrow.parquet.read_table(path, columns=[*WHO, *TRUE_NUMBERS, *points])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}; make the data set again") from error
    truth: pd.DataFrame = table.to_pandas()
    if not truth[WHO].astype(str).equals(prepared.index[WHO].astype(str)):
        raise InputError(
            f"{path}: expected a row for each of the {len(prepared.index)} frames of the data set, "
            f"in their order, got {len(truth)} others; make the data set again"
        )
    chosen = truth.iloc[rows]
    numbers = [
        Attribute(name, about, chosen[name].to_numpy(dtype=np.float64))
        for name, about in TRUE_NUMBERS.items()
    ]
    landmarks = chosen[points].to_numpy(dtype=np.float32).reshape(-1, COUNT, 2)
    return (*numbers, Attribute(FACE_SIZE, OF_FACE_SIZE, _face_sizes(landmarks)))


def picture_attributes(thumbnails: NDArray[np.float32]) -> tuple[Attribute, ...]:
    """What any picture tells of itself.

    Args:
        thumbnails: means of pixels in parts of the picture, [M, side, side] in 0 .. 1.
    """
    parts = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    return (
        Attribute("picture_brightness", "mean of the picture's pixels, 0 .. 1", parts.mean(axis=1)),
        Attribute(
            "picture_contrast",
            "standard deviation of the means of the picture's pixels in its 16 x 16 parts",
            parts.std(axis=1),
        ),
    )


def _face_sizes(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    aligned = (apply(fit(points, MEAN_FACE), points) for points in landmarks)
    areas = [cv2.contourArea(cv2.convexHull(points.astype(np.float32))) for points in aligned]
    return np.sqrt(np.array(areas, dtype=np.float64))
