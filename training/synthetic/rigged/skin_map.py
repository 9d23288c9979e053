"""The flat map of the head on which skin, hair and wrinkles are painted.

The map is a cylinder about the y axis, cut open at the back: a column for each direction, a row for
each height. A point of the mean face at rest has one place on it, and keeps it in every expression.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fastcaps.training.synthetic.rigged.rig import PARTS, Rig

__all__ = ["BOTTOM", "MAP_SIDE", "TOP", "WIDEST", "SkinMap", "blurred", "map_places"]

Floats = NDArray[np.float32]

MAP_SIDE = 512
WIDEST = np.deg2rad(130.0)
"""How far to each side of the face's middle the map reaches; what is behind shares its edge."""
TOP, BOTTOM = 15.0, -19.5
"""The heights of the map's edges, in the rig's centimetres."""
EAR_DIRECTION = np.deg2rad(88.0)
AXIS_DEPTH = 1.0
"""Depth of the cylinder's axis."""


def map_places(points: Floats) -> Floats:
    """Where points [N, 3] of the mean face are on the map: column and row, float32 [N, 2]."""
    x, y, z = points.T
    direction = np.arctan2(x, z - AXIS_DEPTH)
    # Ears stand off the head over the hair: they are painted like the skin before them.
    ear = (abs(x) > 6.9 + 0.22 * (y + 2)) & (y > -2.8) & (y < 4.6) & (z > -2.6) & (z < 1.8)
    direction[ear] = np.clip(direction[ear], -EAR_DIRECTION, EAR_DIRECTION)
    columns = (np.clip(direction / WIDEST, -1, 1) + 1) / 2
    rows = (TOP - y) / (TOP - BOTTOM)
    return np.stack([columns, rows], axis=1).astype(np.float32) * (MAP_SIDE - 1)


def blurred(image: Floats, deviation: float) -> Floats:
    """A Gaussian blur; its deviation is in pixels of the map, 15 a centimetre."""
    return cv2.GaussianBlur(image, (0, 0), deviation).astype(np.float32, copy=False)


class SkinMap:
    """Paints by front view: places are x and y on the mean face, in centimetres.

    Args:
        rig: whose mean face gives the depth of each place.
    """

    def __init__(self, rig: Rig) -> None:
        face = np.unique(rig.triangles[rig.triangle_part == PARTS.index("face")])
        front = rig.neutral[face]
        self.front = front[front[:, 2] > 3]
        self.tree = cKDTree(self.front[:, :2])
        self.landmarks = rig.neutral[rig.landmarks]

    def places(self, points: NDArray[np.floating]) -> Floats:
        """Where x, y [N, 2] are on the map: column and row, float32 [N, 2]."""
        _, nearest = self.tree.query(points, k=4)
        # Lips and nostrils have an inside, too: the outside counts.
        depth = self.front[nearest, 2].max(axis=1)
        return map_places(np.column_stack([points, depth]).astype(np.float32))

    def lines(self, lines: list[NDArray[np.floating]], width: float) -> Floats:
        """A map [MAP_SIDE, MAP_SIDE] with lines drawn at 1; each is [N, 2], ``width`` in cm."""
        drawn = np.zeros((MAP_SIDE, MAP_SIDE), np.float32)
        for line in lines:
            cv2.polylines(
                drawn,
                [_fixed(self.places(_dense(line)))],
                isClosed=False,
                color=1.0,
                thickness=max(1, round(width * MAP_SIDE / (TOP - BOTTOM))),
                lineType=cv2.LINE_AA,
                shift=FIXED_BITS,
            )
        return drawn

    def area(self, outline: NDArray[np.floating]) -> Floats:
        """A map [MAP_SIDE, MAP_SIDE] with 1 inside the outline [N, 2]."""
        drawn = np.zeros((MAP_SIDE, MAP_SIDE), np.float32)
        closed = np.concatenate([outline, outline[:1]])
        cv2.fillPoly(drawn, [_fixed(self.places(_dense(closed)))], 1.0, cv2.LINE_AA, FIXED_BITS)
        return drawn

    def spot(self, centre: tuple[float, float], radius: float) -> Floats:
        """A map [MAP_SIDE, MAP_SIDE] with a soft spot; ``radius`` in cm is its deviation."""
        column, row = self.places(np.array([centre], np.float32))[0]
        radius *= MAP_SIDE / (TOP - BOTTOM)
        across = np.exp(-(((np.arange(MAP_SIDE) - column) / radius) ** 2) / 2)
        down = np.exp(-(((np.arange(MAP_SIDE) - row) / radius) ** 2) / 2)
        return np.outer(down, across).astype(np.float32)


FIXED_BITS = 4
"""OpenCV draws at 16ths of a pixel."""


def _fixed(places: Floats) -> NDArray[np.int32]:
    return np.round(places * 2**FIXED_BITS).astype(np.int32)


def _dense(line: NDArray[np.floating], points: int = 40) -> NDArray[np.floating]:
    """The polyline with more points, as straight lines are curves on the map."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    steps = np.linspace(0, along[-1], points)
    return np.column_stack([np.interp(steps, along, line[:, axis]) for axis in (0, 1)])
