"""Follows a face through the pictures of a sequence and turns it onto the mean face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces import similarity
from fastcaps.training.faces.detectors import Detector, Face, choose_face
from fastcaps.training.faces.landmarks import (
    ALIGNMENT_POINTS,
    FRAME_SIDE,
    STORED_SIDES,
    Landmarks,
    mean_face,
)
from fastcaps.training.readers.pictures import Opened, open_pictures
from fastcaps.training.readers.sequences import LandmarkFiles, Sequence

__all__ = ["Aligned", "align_sequence", "aligned_face"]


@dataclass(frozen=True)
class Aligned:
    """A face on the mean face.

    Attributes:
        image: uint8 [side, side] or [side, side, 3], RGB.
        residual: mean distance of its landmarks from the mean face's, in pixels of a picture of
            96 x 96.
    """

    image: NDArray[np.uint8]
    residual: float


Located: TypeAlias = tuple[Opened, Landmarks | InputError]
"""A picture and its landmarks, or why there is none of them."""


def align_sequence(
    sequence: Sequence, input_side: int, colour: bool, detector: Detector | None
) -> Iterator[Aligned | InputError]:
    """For each frame of a sequence its aligned face, or why there is none.

    Then, perhaps, one more error, which says what is wrong with the whole.

    Args:
        sequence: whose pictures to open.
        input_side: of the networks' inputs, 96 or 224; see ``STORED_SIDES``.
        colour: RGB, else gray.
        detector: finds the faces; None for the sequence's own landmarks.
    """
    pictures = open_pictures(sequence, colour or detector is not None)
    if detector is None:
        if sequence.landmarks is None:
            raise ValueError("sequence: expected one with landmarks, or a detector")
        located = _given(pictures, sequence.landmarks)
    else:
        located = _detected(pictures, detector)
    for place, (picture, landmarks) in enumerate(located):
        if isinstance(picture, InputError):
            yield picture
            continue
        try:
            if isinstance(landmarks, InputError):
                raise landmarks
            yield aligned_face(picture, landmarks, input_side, colour)
        except InputError as error:
            yield InputError(f"{sequence.file_of(place)}: {error}")


def aligned_face(
    image: NDArray[np.uint8], landmarks: Landmarks, input_side: int, colour: bool
) -> Aligned:
    """The face with these landmarks, turned, scaled and shifted onto the mean face.

    Args:
        image: uint8 [height, width] or [height, width, 3], RGB.
        landmarks: float32 [68, 2] in pixels; see :func:`similarity.fit`.
        input_side: of the networks' inputs, 96 or 224; see ``STORED_SIDES``.
        colour: whether the result is RGB; else gray.

    Raises:
        InputError: there are no landmarks, they are outside the picture, or all at one point.
    """
    known = landmarks[np.isfinite(landmarks).all(axis=1)]
    if not len(known):
        raise InputError("has no landmarks")
    height, width = image.shape[:2]
    if (known.max(axis=0) < 0).any() or (known.min(axis=0) >= (width, height)).any():
        raise InputError(f"has landmarks outside the picture of {width} x {height} pixels")
    target = mean_face(input_side)
    transform = similarity.fit(landmarks, target)
    face = similarity.crop(image, transform, STORED_SIDES[input_side])
    if face.ndim == 3 and not colour:
        face = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    off = similarity.apply(transform, landmarks)[ALIGNMENT_POINTS] - target[ALIGNMENT_POINTS]
    residual = np.nanmean(np.hypot(*off.T)) * FRAME_SIDE / input_side
    return Aligned(face, float(residual))


def _given(
    pictures: Iterable[Opened], landmarks: LandmarkFiles | NDArray[np.float32]
) -> Iterator[Located]:
    for place, picture in enumerate(pictures):
        if isinstance(picture, InputError):
            yield picture, picture
            continue
        try:
            if isinstance(landmarks, LandmarkFiles):
                yield picture, landmarks.load(place)
            else:
                yield picture, landmarks[place]
        except InputError as error:
            yield picture, error


def _detected(pictures: Iterator[Opened], detector: Detector) -> Iterator[Located]:
    previous: Face | None = None
    while batch := list(islice(pictures, detector.batch)):
        faces = iter(detector.find([image for image in batch if isinstance(image, np.ndarray)]))
        for picture in batch:
            if isinstance(picture, InputError):
                yield picture, picture
                continue
            face = choose_face(next(faces), previous)
            if face is None:
                yield picture, InputError("no face was found")
            else:
                yield picture, face.landmarks
                previous = face
