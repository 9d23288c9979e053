"""The 68 facial landmarks (the Multi-PIE markup, as in 300-W), and where a mean face has them.

Landmarks are float arrays [68, 2]: x to the right and y downwards, in pixels whose centres are at
whole numbers. "Right" and "left" are the person's; the right eye is on the left of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALIGNMENT_POINTS",
    "COUNT",
    "FRAME_SIDE",
    "GROUPS",
    "MEAN_FACE",
    "MIRRORED",
    "POINTS_OF_66",
    "STORED_SIDES",
    "Landmarks",
    "from_66_points",
    "mean_face",
]

Landmarks = NDArray[np.float32]

COUNT = 68

GROUPS: Mapping[str, slice] = {
    "jaw": slice(0, 17),
    "right brow": slice(17, 22),
    "left brow": slice(22, 27),
    "nose": slice(27, 36),
    "right eye": slice(36, 42),
    "left eye": slice(42, 48),
    "outer lips": slice(48, 60),
    "inner lips": slice(60, 68),
}

MIRRORED = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *range(54, 47, -1),
        *range(59, 54, -1),
        *range(64, 59, -1),
        *range(67, 64, -1),
    ]
)
"""Each landmark's place in the markup once the picture is mirrored."""

POINTS_OF_66 = np.delete(np.arange(COUNT), (60, 64))
"""What DISFA has of them: all but the inner corners of the mouth."""

ALIGNMENT_POINTS = np.arange(17, COUNT)
"""What the mean face is fitted to: all but the jaw, which a turned head shows elsewhere."""

STORED_SIDES = {96: 110, 224: 256}
"""For each size of a network's input the size of the stored crop, which leaves room for
augmentation (the paper's networks and its authors' code)."""

FRAME_SIDE = 96
"""Size of the picture in which ``MEAN_FACE`` is given."""

# Front view of the neutral mean of ICT-FaceKit Light's scans (MIT licence, USC ICT), 5 pixels a
# centimetre; the picture's centre is 2 mm above the origin there.
MEAN_FACE: Landmarks = np.fromstring(
    """
    10.7 30.1  11.1 41.0  12.8 50.8  14.7 60.3  18.9 70.9  26.0 79.5  32.2 83.1
    39.8 84.8  47.5 86.3  55.2 84.8  62.8 83.1  69.0 79.5  76.1 70.9  80.3 60.3
    82.2 50.8  83.9 41.0  84.3 30.1  18.4 22.5  22.8 18.6  28.5 17.2  35.4 17.5
    41.6 19.0  53.4 19.0  59.6 17.5  66.5 17.2  72.2 18.6  76.6 22.5  47.5 29.8
    47.5 35.3  47.5 40.4  47.5 46.5  41.2 54.2  44.5 54.2  47.5 54.5  50.5 54.2
    53.8 54.2  25.2 31.3  28.2 29.1  33.6 28.8  38.3 32.2  33.9 33.1  28.2 33.1
    56.7 32.2  61.4 28.8  66.8 29.1  69.8 31.3  66.8 33.1  61.1 33.1  34.8 66.1
    39.0 62.4  43.9 60.6  47.5 60.9  51.1 60.6  56.0 62.4  60.2 66.1  56.5 68.8
    52.7 70.0  47.5 70.4  42.3 70.0  38.5 68.8  36.5 66.0  42.5 65.0  47.5 65.1
    52.5 65.0  58.5 66.0  52.8 65.4  47.5 65.5  42.2 65.4
    """,
    dtype=np.float32,
    sep=" ",
).reshape(COUNT, 2)
"""Landmarks of the mean face in a picture of 96 x 96 pixels."""


def mean_face(input_side: int) -> Landmarks:
    """Where the mean face lies in a stored crop for networks with inputs of ``input_side`` pixels.

    Raises:
        KeyError: ``input_side`` is not in ``STORED_SIDES``.
    """
    scale = input_side / FRAME_SIDE
    margin = (STORED_SIDES[input_side] - input_side) / 2
    # Pixels are scaled about the picture's edge, half a pixel before the first centre.
    return (MEAN_FACE + 0.5) * np.float32(scale) - 0.5 + np.float32(margin)


def from_66_points(points: NDArray[np.floating]) -> Landmarks:
    """Landmarks from DISFA's 66, which lack the inner corners of the mouth; NaN there.

    Args:
        points: [66, 2] in pixels.
    """
    landmarks = np.full((COUNT, 2), np.nan, dtype=np.float32)
    landmarks[POINTS_OF_66] = points
    return landmarks
