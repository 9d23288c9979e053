"""Turn, scale and shift a face onto the mean face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import ALIGNMENT_POINTS, Landmarks

__all__ = ["apply", "crop", "fit", "scale_of"]

Transform = NDArray[np.float32]
"""[2, 3]: ``transform @ (x, y, 1)`` is where a pixel of the source goes."""


def fit(landmarks: Landmarks, target: Landmarks) -> Transform:
    """The similarity transform that brings ``landmarks`` closest to ``target``.

    Least squares over the alignment points that ``landmarks`` has (Umeyama, 1991, without
    reflection).

    Args:
        landmarks: float32 [68, 2] in pixels, NaN where unknown.
        target: float32 [68, 2] in pixels.

    Returns:
        float32 [2, 3].

    Raises:
        InputError: fewer than two different points are known.
    """
    known = ALIGNMENT_POINTS[np.isfinite(landmarks[ALIGNMENT_POINTS]).all(axis=1)]
    source, wanted = landmarks[known].astype(np.float64), target[known].astype(np.float64)
    if len(known) < 2 or np.ptp(source, axis=0).max() == 0:
        raise InputError("landmarks: expected at least two different points beside the jaw's")
    source_mean, wanted_mean = source.mean(axis=0), wanted.mean(axis=0)
    # Points of the plane as complex numbers: a turn and a scale are one factor.
    from_mean = (source - source_mean) @ (1, 1j)
    factor = np.vdot(from_mean, (wanted - wanted_mean) @ (1, 1j)) / np.vdot(from_mean, from_mean)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    shift = wanted_mean - linear @ source_mean
    return np.column_stack([linear, shift]).astype(np.float32)


def apply(transform: Transform, points: Landmarks) -> Landmarks:
    """Where ``points`` [N, 2] go."""
    return points @ transform[:, :2].T + transform[:, 2]


def scale_of(transform: Transform) -> float:
    """How many pixels of the result one pixel of the source becomes."""
    return float(np.hypot(transform[0, 0], transform[1, 0]))


def crop(image: NDArray[np.uint8], transform: Transform, side: int) -> NDArray[np.uint8]:
    """The transformed image, ``side`` x ``side`` pixels; what lies outside it repeats its edge.

    An image of much finer grain than the result is first halved as often as needed, so that every
    pixel of it counts.

    Args:
        image: uint8 [height, width] or [height, width, 3].
        transform: float32 [2, 3].
        side: of the result.
    """
    while scale_of(transform) <= 0.5 and min(image.shape[:2]) >= 2:
        image, transform = _halve(image), _of_halved(transform)
    return cv2.warpAffine(
        image, transform, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    halved = cv2.resize(
        image[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    return halved.astype(np.uint8, copy=False)


def _of_halved(transform: Transform) -> Transform:
    """The transform for the halved image: pixel x of that is between 2x and 2x + 1."""
    linear, shift = transform[:, :2], transform[:, 2]
    return np.column_stack([2 * linear, shift + linear.sum(axis=1) / 2])
