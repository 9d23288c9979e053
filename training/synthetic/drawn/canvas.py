"""What faces are drawn on: colour in a fine picture, and light and shade to multiply it by."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.drawn.colours import Colour
from fastcaps.training.synthetic.drawn.shape import Points, turn
from fastcaps.training.synthetic.people import State

__all__ = ["Canvas", "curve"]

PLACES = 16
"""Polygons have corners at sixteenths of fine pixels."""

FINE_BLUR, SOFT_BLUR = 0.013, 0.05
"""Standard deviations of what creases and facets are blurred by, in eye distances."""

FACE_WIDTH = 0.58
"""The part of the picture's width that the mean face takes at zoom 1."""

MEAN_WIDTH = 1.65
"""Of the mean face, in eye distances."""

MIDDLE = np.array([0.0, 0.12])
"""What lies in the picture's middle when the face is turned to the viewer."""


class Canvas:
    """A picture being drawn; points are those of ``drawn_shape``, before the head turns.

    Args:
        state: gives pose, place, zoom and light.
        side: of the finished picture in pixels.
    """

    def __init__(self, state: State, side: int) -> None:
        self.state = state
        self.side = side
        self.detail = 3 if side <= 128 else 2
        fine_side = side * self.detail
        self.scale = FACE_WIDTH / MEAN_WIDTH * side * state.zoom
        self.unit = self.scale * self.detail
        self.image = np.zeros((fine_side, fine_side, 3), np.uint8)
        self.covered = np.zeros((fine_side, fine_side), np.uint8)
        self.fine = np.zeros((fine_side, fine_side), np.float32)
        self.soft = np.zeros((side, side), np.float32)
        self.grain = np.zeros((side, side), np.float32)
        azimuth, elevation = np.radians(state.light)
        self.light = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                -np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )

    def project(self, points: Points) -> NDArray[np.float64]:
        """Where points [..., 3] are in the finished picture, in pixels [..., 2]."""
        place = (self.side - 1) / 2 + np.array(self.state.offset) * self.side
        return place + self.scale * (turn(points, self.state.pose)[..., :2] - MIDDLE)

    def fine_places(self, points: Points) -> NDArray[np.int32]:
        """Where points [..., 3] are in the fine picture, in sixteenths of its pixels."""
        places = (self.project(points) + 0.5) * self.detail - 0.5
        return np.rint(places * PLACES).astype(np.int32)

    def fill(self, outline: Points, colour: Colour, covers: bool = False) -> None:
        """Fill a polygon; what ``covers`` the background is in the light."""
        places = self.fine_places(outline)
        cv2.fillPoly(self.image, [places], colour.tolist(), cv2.LINE_AA, 4)
        if covers:
            cv2.fillPoly(self.covered, [places], 255, cv2.LINE_AA, 4)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line along points, ``width`` in eye distances."""
        places = self.fine_places(points)
        cv2.polylines(
            self.image, [places], False, colour.tolist(), self._width(width), cv2.LINE_AA, 4
        )

    def disc(self, centre: Points, radius: float, colour: Colour) -> None:
        """Draw a disc about a point [3], ``radius`` in eye distances."""
        x, y = self.fine_places(centre).tolist()
        size = round(radius * self.unit * PLACES)
        cv2.circle(self.image, (x, y), size, colour.tolist(), -1, cv2.LINE_AA, 4)

    def crease(self, points: Points, width: float, depth: float) -> None:
        """Darken a line by ``depth``, 0 .. 1, and lighten the skin above it."""
        if depth < 0.01:
            return
        beside = points + np.array([0.0, -1.3 * width, 0.0])
        for line, value in ((beside, 0.35 * depth), (points, -depth)):
            places = [self.fine_places(line)]
            cv2.polylines(self.fine, places, False, value, self._width(width), cv2.LINE_8, 4)

    def shade(self, outline: Points, change: float) -> None:
        """Lighten (above 0) or darken a polygon with soft edges."""
        places = np.rint(self.project(outline) * PLACES).astype(np.int32)
        layer = np.zeros_like(self.soft)
        cv2.fillPoly(layer, [places], change, cv2.LINE_8, 4)
        self.soft += layer

    def facet(self, outline: Points, normal: Sequence[float], weight: float = 1.0) -> None:
        """Light a polygon as skin that looks along ``normal`` instead of straight ahead."""
        normals = np.array([normal, (0.0, 0.0, 1.0)])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        turned = turn(normals, self.state.pose) - turn(np.zeros(3), self.state.pose)
        there, ahead = np.maximum(turned @ self.light, 0.0)
        self.shade(outline, weight * self.state.contrast * (there - ahead))

    def roughen(self, seed: int, strength: float) -> None:
        """Give the skin a texture of its own, which moves with the head."""
        cells = 56
        texture = np.random.default_rng(seed).normal(0.0, strength, (cells, cells))
        corners = np.array([(-1.2, -1.3, 0.0), (1.2, -1.3, 0.0), (-1.2, 1.3, 0.0)])
        cell_corners = np.array([(0, 0), (cells, 0), (0, cells)], np.float32)
        transform = cv2.getAffineTransform(cell_corners, self.project(corners).astype(np.float32))
        self.grain[:] = cv2.warpAffine(
            texture.astype(np.float32),
            transform,
            (self.side, self.side),
            borderMode=cv2.BORDER_REFLECT,
        )

    def finish(self) -> NDArray[np.uint8]:
        """The picture with all light and shade, uint8 [side, side, 3]."""
        fine_side = len(self.image)
        blurred = cv2.GaussianBlur(self.soft, (0, 0), SOFT_BLUR * self.scale)
        shade = cv2.resize(
            self._head_light() * (1.0 + blurred + self.grain), (fine_side, fine_side)
        )
        shade = shade * (1.0 + cv2.GaussianBlur(self.fine, (0, 0), FINE_BLUR * self.unit))
        shade = 1.0 + (shade - 1.0) * (self.covered / np.float32(255))
        lit = cv2.multiply(self.image, cv2.merge([shade] * 3), dtype=cv2.CV_32F)
        small = cv2.resize(lit, (self.side, self.side), interpolation=cv2.INTER_AREA)
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)

    def _head_light(self) -> NDArray[np.float32]:
        """Lambert's law on an ellipsoid about the head, [side, side]."""
        centre = self.project(np.array([0.0, 0.25, -0.7]))
        rows, columns = np.indices((self.side, self.side), dtype=np.float32)
        x = (columns - centre[0]) / (1.0 * self.scale)
        y = (rows - centre[1]) / (1.45 * self.scale)
        depth = np.sqrt(np.maximum(1.0 - x * x - y * y, 0.04))
        lambert = np.maximum(x * self.light[0] + y * self.light[1] + depth * self.light[2], 0.0)
        contrast = self.state.contrast
        light = self.state.brightness * (1.0 - contrast + 1.1 * contrast * lambert)
        return np.clip(light, 0.1, 1.8).astype(np.float32)

    def _width(self, width: float) -> int:
        return max(1, round(width * self.unit))


def curve(points: Points, closed: bool = False) -> Points:
    """A smooth curve (Catmull and Rom, 1974) through points [N, 3], six pieces between two."""
    return _spline(len(points), closed) @ points


@functools.lru_cache
def _spline(count: int, closed: bool, pieces: int = 6) -> NDArray[np.float64]:
    """The matrix [M, count] that makes ``M`` points of a curve out of ``count``."""
    spans = count if closed else count - 1
    starts, where = np.divmod(np.arange(spans * pieces + (not closed)) / pieces, 1)
    powers = np.stack([np.ones_like(where), where, where**2, where**3])
    basis = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    weights = powers.T @ basis
    matrix = np.zeros((len(where), count))
    for shift in range(4):
        index = starts.astype(int) + shift - 1
        index = index % count if closed else np.clip(index, 0, count - 1)
        np.add.at(matrix, (np.arange(len(where)), index), weights[:, shift])
    return matrix
