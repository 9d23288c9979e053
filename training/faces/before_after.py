"""Pictures beside what alignment makes of them, to see whether it can be trusted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.aligned import Aligned, aligned_face
from fastcaps.training.faces.detectors import Detector, Face
from fastcaps.training.faces.landmarks import STORED_SIDES
from fastcaps.training.readers.pictures import open_image

__all__ = ["BeforeAfter", "before_and_after"]

AROUND = 1.0
"""How much of the face's width is shown on each side of its box."""

GREEN = (0, 255, 0)

BeforeAfter = tuple[str, list[NDArray[np.uint8]]]
"""A caption, and a square cut around a face with its landmarks, then its aligned crops."""


def before_and_after(path: Path, detector: Detector) -> list[BeforeAfter]:
    """For each face of a picture a cut around it, with landmarks, and its crops of both sizes.

    Raises:
        InputError: the picture cannot be opened, or no face is found.
    """
    image = open_image(path, colour=True)
    (faces,) = detector.find([image])
    if not faces:
        raise InputError(f"{path}: no face was found")
    rows = []
    for face in faces:
        crops: list[Aligned] = [
            aligned_face(image, face.landmarks, side, colour=True) for side in STORED_SIDES
        ]
        caption = f"{path.name}: residual {crops[0].residual:.2f} px"
        rows.append((caption, [_cut(image, face), *(crop.image for crop in crops)]))
    return rows


def _cut(image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The square around a face, with dots at its landmarks."""
    left, _, right, _ = face.box
    side = round((1 + 2 * AROUND) * (right - left))
    marked = image.copy()
    for x, y in face.landmarks.round().astype(int).tolist():
        cv2.circle(marked, (x, y), max(1, side // 150), GREEN, cv2.FILLED, cv2.LINE_AA)
    centre = (float(face.centre[0]), float(face.centre[1]))
    return cv2.getRectSubPix(marked, (side, side), centre).astype(np.uint8, copy=False)
