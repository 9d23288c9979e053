"""Wrinkles of action units, too fine for the rig's triangles: painted as shade on the map."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.synthetic.rigged.skin_map import MAP_SIDE, SkinMap, blurred

__all__ = ["LINES", "wrinkle_maps", "wrinkles"]

Floats = NDArray[np.float32]

LINES: Mapping[int, tuple[tuple[tuple[float, float], ...], ...]] = {
    1: tuple(((0.0, y), (1.6, y + 0.1), (3.2, y - 0.5)) for y in (7.6, 8.6, 9.6)),
    2: tuple(((2.0, y), (4.2, y + 0.35), (6.0, y - 0.6)) for y in (7.6, 8.6, 9.5)),
    4: (((0.75, 4.6), (0.85, 5.6), (1.1, 6.4)), ((0.0, 4.1), (0.5, 4.2))),
    6: (
        ((5.1, 3.9), (5.6, 4.3), (6.0, 4.6)),
        ((5.2, 3.5), (5.8, 3.6), (6.2, 3.6)),
        ((5.1, 3.1), (5.7, 2.8), (6.1, 2.5)),
        ((1.9, 2.6), (3.0, 2.1), (4.4, 2.3)),
    ),
    7: (((1.9, 2.9), (3.0, 2.5), (4.3, 2.8)),),
    9: (
        ((0.0, 3.9), (0.8, 3.6)),
        ((0.0, 3.2), (0.9, 2.7)),
        ((0.7, 2.2), (1.3, 1.6)),
        ((1.6, 0.6), (2.1, -0.6), (2.4, -1.4)),
    ),
    10: (((1.7, 0.2), (2.4, -0.9), (2.9, -2.2)),),
    12: (((1.8, -0.2), (2.8, -1.6), (3.6, -3.2)),),
    14: (((3.1, -2.9), (3.3, -3.5), (3.1, -4.1)),),
    15: (((2.5, -3.8), (2.9, -4.4), (3.1, -5.0)),),
    17: (((0.0, -5.0), (0.9, -5.1), (1.7, -5.6)),),
    20: (((3.1, -2.9), (3.5, -3.6), (3.5, -4.4)),),
    23: (((0.0, -5.0), (1.2, -4.9)),),
    24: (((2.4, -2.9), (2.8, -3.5), (2.4, -4.2)), ((0.0, -4.9), (1.4, -4.8))),
}
"""Polylines on the person's left half of the mean face, x and y in cm, for each action unit that
has wrinkles (Ekman, Friesen and Hager, 2002); the right half mirrors them."""

CHIN_DIMPLES = ((0.0, -6.4), (0.6, -6.0), (0.7, -6.8), (1.2, -6.3), (0.3, -5.7), (0.25, -7.0))
"""Pits of the chin boss in action unit 17."""

WIDTH = 0.2
"""Of a wrinkle, in cm."""
DARKEST = 0.4
"""What the deepest wrinkle takes from the light."""


def wrinkle_maps(canvas: SkinMap) -> Floats:
    """Shade of each action unit's wrinkles, rows as in ``ACTION_UNITS``.

    Returns:
        float32 [17, MAP_SIDE / 2, MAP_SIDE / 2]: 1 where the light is least, below 0 on the ridges
        beside a wrinkle.
    """
    half = MAP_SIDE // 2
    maps = np.zeros((len(ACTION_UNITS), half, half), np.float32)
    for shade, action_unit in zip(maps, ACTION_UNITS, strict=True):
        lines = [np.array(line, np.float32) for line in LINES.get(action_unit, ())]
        drawn = canvas.lines([line * (sign, 1) for line in lines for sign in (1, -1)], WIDTH)
        if action_unit == 17:
            for x, y in CHIN_DIMPLES:
                drawn += 0.8 * (canvas.spot((x, y), 0.13) + canvas.spot((-x, y), 0.13))
        groove = blurred(np.minimum(drawn, 1), 2.4)
        ridge = blurred(np.minimum(drawn, 1), 6.0)
        shade[:] = cv2.resize(
            groove * 1.6 - ridge * 0.9, (half, half), interpolation=cv2.INTER_AREA
        )
    return maps


def wrinkles(maps: Floats, activations: Floats) -> Floats:
    """What skin multiplies its light by, on a map of half the size.

    Args:
        maps: of ``wrinkle_maps``.
        activations: of each action unit [17, 2]; the person's left side is on the map's right.
    """
    half = maps.shape[-1]
    shade = np.zeros(maps.shape[1:], np.float32)
    for each, (left, right) in zip(maps, activations**1.3, strict=True):
        if left or right:
            shade[:, half // 2 :] += left * each[:, half // 2 :]
            shade[:, : half // 2] += right * each[:, : half // 2]
    return 1 - DARKEST * np.clip(shade, -0.3, 1)
