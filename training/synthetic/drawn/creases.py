"""Folds, wrinkles and bulges that action units make in the skin of a drawn face.

After the descriptions of FACS (Ekman, Friesen and Hager, 2002).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.faces.landmarks import MIRRORED
from fastcaps.training.synthetic.drawn.canvas import Canvas, curve
from fastcaps.training.synthetic.drawn.shape import Points

__all__ = ["draw_creases"]

Amounts = Mapping[int, float]
"""Of each action unit, 0 .. 1."""

PITS = (
    (-0.11, 0.1),
    (-0.04, 0.08),
    (0.04, 0.08),
    (0.11, 0.1),
    (-0.08, 0.17),
    (0, 0.15),
    (0.08, 0.17),
)


def draw_creases(canvas: Canvas, face: Points, amounts: Points) -> None:
    """Draw all creases.

    Args:
        canvas: to draw on.
        face: landmarks [68, 3] with action units, before the head turns.
        amounts: of each action unit and side [17, 2], 0 .. 1.
    """
    # Mirrored landmarks have the right side at the numbers of the left.
    for half, outwards, column in (
        (face, 1.0, amounts[:, 0]),
        (face[MIRRORED], -1.0, amounts[:, 1]),
    ):
        amount = dict(zip(ACTION_UNITS, column.tolist(), strict=True))
        _forehead(canvas, half, outwards, amount)
        _nose_root(canvas, half, outwards, amount)
        _eye(canvas, half, outwards, amount)
        _cheek(canvas, half, outwards, amount)
        _corner(canvas, half[54], outwards, amount)
        _lips(canvas, half, outwards, amount)
    _chin(canvas, face, dict(zip(ACTION_UNITS, amounts.mean(axis=1).tolist(), strict=True)))


def _at(origin: Points, outwards: float, *places: tuple[float, float]) -> Points:
    """A curve through places (outwards, down) from an origin [3]."""
    return curve(origin + np.array([(outwards * x, y, 0.0) for x, y in places]))


def _forehead(canvas: Canvas, half: Points, outwards: float, amount: Amounts) -> None:
    """Wrinkles across its middle (1) and its side (2)."""
    middle = half[22] * (0.0, 1.0, 1.0)
    for up in (-0.11, -0.18, -0.25):
        inner = _at(middle, outwards, (0.0, up), (0.12, up - 0.02), (0.27, up + 0.03))
        canvas.crease(inner, 0.02, 0.5 * amount[1])
        outer = _at(half[24], outwards, (-0.1, up + 0.02), (0.1, up - 0.02), (0.3, up + 0.05))
        canvas.crease(outer, 0.02, 0.5 * amount[2])


def _nose_root(canvas: Canvas, half: Points, outwards: float, amount: Amounts) -> None:
    """The furrow between the brows and the shade below them (4), wrinkles across the root (9)."""
    furrow = _at(half[22], outwards, (-0.02, -0.08), (-0.045, 0.03), (-0.03, 0.14))
    canvas.crease(furrow, 0.022, 0.65 * amount[4])
    inner = _at(half[22], outwards, (-0.07, -0.05), (0.1, 0.05), (-0.07, 0.15))
    canvas.shade(inner, -0.2 * amount[4])
    outer = _at(half[26], outwards, (-0.2, 0.04), (0, 0.04), (-0.1, 0.12))
    canvas.shade(outer, -0.12 * amount[4])
    for down in (0.03, 0.095, 0.16):
        line = _at(half[27], outwards, (0.0, down), (0.07, down - 0.03), (0.13, down - 0.08))
        canvas.crease(line, 0.02, 0.65 * amount[9])


def _eye(canvas: Canvas, half: Points, outwards: float, amount: Amounts) -> None:
    """The upper lid's fold (5), crow's feet and the bag below (6), the lower lid's edge (7)."""
    rise = np.array([(0, -0.03, 0), (0, -0.06, 0), (0, -0.06, 0), (0, -0.03, 0)])
    canvas.crease(curve(half[42:46] + rise), 0.014, 0.3 + 0.25 * amount[5])
    for down, end in ((-0.05, -0.15), (0.0, 0.0), (0.05, 0.15)):
        line = _at(half[45], outwards, (0.05, down), (0.11, (down + end) / 2), (0.17, end))
        canvas.crease(line, 0.018, 0.6 * amount[6])
    below = half[[42, 45, 46, 47]].mean(axis=0)
    bag = _at(below, outwards, (-0.19, 0.07), (-0.08, 0.12), (0.08, 0.13), (0.22, 0.05))
    canvas.crease(bag, 0.022, 0.12 + 0.55 * amount[6])
    canvas.shade(bag + np.array([0, 0.1, 0]), 0.3 * amount[6])
    edge = _at(below, outwards, (-0.16, 0.035), (-0.05, 0.065), (0.08, 0.06), (0.18, 0.02))
    canvas.crease(edge, 0.018, 0.6 * amount[7])


def _cheek(canvas: Canvas, half: Points, outwards: float, amount: Amounts) -> None:
    """The fold from nose to mouth (9, 10, 12 and others), the cheek's apple (12)."""
    upper = max(amount[9], 0.9 * amount[10], 0.7 * amount[12], 0.3 * amount[6])
    lower = max(amount[12], 0.75 * amount[10], 0.3 * amount[20], 0.3 * amount[15])
    start = half[35] + np.array([0.04 * outwards, -0.05, 0])
    end = half[54] + np.array([0.08 * outwards, 0.05, 0])
    middle = (start + end) / 2 + np.array([(0.06 + 0.03 * amount[12]) * outwards, -0.01, 0])
    fold = curve(np.stack([start, middle, end]))
    canvas.crease(fold[6:], 0.022, 0.12 + 0.5 * lower)
    canvas.crease(fold[:7], 0.022, 0.12 + 0.5 * upper)
    apple = _at(middle, outwards, (-0.02, -0.17), (0.1, -0.27), (0.22, -0.17), (0.1, -0.07))
    canvas.shade(apple, 0.05 + 0.22 * amount[12])


def _corner(canvas: Canvas, corner: Points, outwards: float, amount: Amounts) -> None:
    """Marks beside the mouth's corner: the dimple (14), the furrow down (15), the stretch (20)."""
    dimple = _at(corner, outwards, (0.03, -0.07), (0.065, 0.0), (0.03, 0.07))
    canvas.crease(dimple, 0.035, 0.8 * amount[14])
    bulge = _at(corner, outwards, (0.1, -0.1), (0.2, 0.0), (0.1, 0.1))
    canvas.shade(bulge, 0.25 * amount[14])
    furrow = _at(corner, outwards, (0.0, 0.02), (0.045, 0.09), (0.04, 0.2))
    canvas.crease(furrow, 0.026, 0.6 * amount[15])
    for out in (0.04, 0.10):
        line = _at(corner, outwards, (out, -0.09), (out + 0.04, 0.0), (out, 0.11))
        canvas.crease(line, 0.018, 0.5 * amount[20])


def _lips(canvas: Canvas, half: Points, outwards: float, amount: Amounts) -> None:
    """Wrinkles across the lips (23), bulges above and below them (24)."""
    for middle, down in ((half[51], -1), (half[57], 1)):
        for along in (0.25, 0.55, 0.85):
            place = (1 - along) * middle + along * half[54]
            line = _at(place, outwards, (0, 0.022 * down), (0, 0.09 * down))
            canvas.crease(line, 0.018, 0.45 * amount[23])
        place = (middle + half[54]) / 2 + np.array([0, 0.06 * down, 0])
        bulge = _at(place, outwards, (-0.16, 0), (0, 0.05), (0.12, 0), (0, -0.05))
        canvas.shade(bulge, 0.3 * amount[24])


def _chin(canvas: Canvas, face: Points, amount: Amounts) -> None:
    """The furrow above the chin, and the chin's pits (17)."""
    middle = 0.62 * face[57] + 0.38 * face[8]
    furrow = _at(middle, 1.0, (-0.14, 0.03), (0.0, -0.02), (0.14, 0.03))
    canvas.crease(furrow, 0.026, 0.12 + 0.5 * amount[17])
    for x, y in PITS:
        pit = middle + np.array([[x - 0.012, y, 0], [x + 0.012, y + 0.01, 0]])
        canvas.crease(pit, 0.035, 0.5 * amount[17])
