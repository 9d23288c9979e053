"""Colours of a person: skin, lips, brows, hair and eyes, and what is behind the head.

Colours are painted on the flat map of the mean face (``skin_map``) by landmarks and positions, so
they move with the skin. They are linear light, 0 .. 1, RGB; the palettes below are written in sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import Person
from fastcaps.training.synthetic.rigged.rig import PARTS
from fastcaps.training.synthetic.rigged.skin_map import (
    BOTTOM,
    MAP_SIDE,
    TOP,
    WIDEST,
    SkinMap,
    blurred,
)

__all__ = ["Appearance", "background", "linear", "paint"]

Floats = NDArray[np.float32]

SKIN = (
    (236, 204, 186),
    (226, 184, 158),
    (204, 154, 122),
    (172, 120, 88),
    (130, 88, 66),
    (94, 64, 50),
)
"""From very light to very dark."""
HAIR = ((196, 158, 104), (134, 92, 56), (74, 48, 32), (34, 26, 22))
"""From fair to black."""
IRIS = ((126, 164, 190), (108, 140, 116), (122, 98, 58), (78, 48, 28), (46, 28, 18))
"""From light blue by green and hazel to dark brown."""
LIPS = ((200, 140, 126), (188, 84, 86))
"""From pale to red, on light skin."""
PART_COLOURS = {
    "mouth_socket": (96, 36, 34),
    "eye_socket": (150, 92, 80),
    "gums_tongue": (170, 84, 84),
    "teeth": (236, 228, 208),
}
"""Of what has one colour."""
GLOSS = {"skin": 0.35, "lips": 0.7, "hair": 0.12, "teeth": 0.6, "mouth": 0.3}
"""How strongly each reflects the lights."""
SHIRT_HEIGHT = -13.0
"""Below it the neck is clothed, in cm."""


@dataclass(frozen=True)
class Appearance:
    """What a person's surfaces look like.

    Attributes:
        skin: colour and gloss on the map, float32 [MAP_SIDE, MAP_SIDE, 4].
        parts: colour and gloss of each part of the rig that has one, float32 [8, 4].
        iris: colour, float32 [3].
        hair: where hair is on the map, 0 .. 1, float32 [MAP_SIDE, MAP_SIDE].
        hair_depth: how far the hair stands off the head, in cm.
    """

    skin: Floats
    parts: Floats
    iris: Floats
    hair: Floats
    hair_depth: float


def linear(colour: tuple[float, ...]) -> Floats:
    """Linear light of an sRGB colour in 0 .. 255 (IEC 61966-2-1), float32 [3]."""
    part = np.array(colour) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


def paint(person: Person, canvas: SkinMap) -> Appearance:
    """The person's appearance; the same for the same person."""
    random = np.random.default_rng(person.detail)
    skin_colour = _between(SKIN, person.skin_tone)
    # People of dark skin have dark hair and eyes.
    pigment = 1.6 * person.skin_tone - 0.2
    hair_colour = _between(HAIR, max(person.brow, pigment) + 0.1 * random.normal())
    lip_colour = 1.15 * _between(LIPS, person.lip) * skin_colour / linear(SKIN[0])
    shirt_colour = random.uniform(0.02, 0.6, 3).astype(np.float32)
    surface = np.dstack(
        [
            skin_colour * _complexion(canvas, random),
            np.full((MAP_SIDE, MAP_SIDE), GLOSS["skin"], np.float32),
        ]
    )
    hair = _hair(random)
    strands = hair_colour * (1 + 0.35 * _strands(random))[..., None]
    _cover(surface, 0.85 * _lips(canvas), lip_colour, "lips")
    _cover(surface, 0.75 * _lashes(canvas), _between(HAIR, 1.0), "hair")
    brows = _brows(canvas, person.brow, random)
    _cover(surface, (0.55 + 0.4 * person.brow) * brows, hair_colour, "hair")
    _cover(surface, _rows_below(SHIRT_HEIGHT), shirt_colour, "hair")
    _cover(surface, hair, strands, "hair")
    return Appearance(
        skin=np.maximum(surface, 0),
        parts=_parts(),
        iris=_between(IRIS, max(person.iris, pigment)),
        hair=hair,
        hair_depth=float(random.uniform(0.2, 0.9)),
    )


def _cover(surface: Floats, opacity: Floats, colour: Floats, gloss: str) -> None:
    """Paint over ``surface`` [..., 4] in place, as far as ``opacity`` [...] says."""
    surface[..., :3] += opacity[..., None] * (colour - surface[..., :3])
    surface[..., 3] += opacity * (GLOSS[gloss] - surface[..., 3])


def background(seed: int, side: int) -> Floats:
    """A smooth blurred background, linear float32 [side, side, 3]; the same for the same seed."""
    random = np.random.default_rng(seed)
    colour = random.uniform(0.03, 0.6) * random.uniform(0.75, 1.25, 3)
    coarse = colour * random.uniform(0.6, 1.4, (3, 3, 1))
    fine = random.normal(0, 0.12 * random.uniform(), (12, 12, 1)) * colour
    resized = [
        cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, -1)
        for grid in (coarse, fine)
    ]
    return np.clip(resized[0] + resized[1], 0, 1).astype(np.float32)


def _between(palette: tuple[tuple[int, int, int], ...], place: float) -> Floats:
    """The colour at ``place`` 0 .. 1 along the palette."""
    colours = np.stack([linear(colour) for colour in palette])
    at = np.clip(place, 0, 1) * (len(palette) - 1)
    return np.array([np.interp(at, range(len(palette)), c) for c in colours.T], np.float32)


def _parts() -> Floats:
    parts = np.zeros((len(PARTS), 4), np.float32)
    for name, colour in PART_COLOURS.items():
        parts[PARTS.index(name), :3] = linear(colour)
        parts[PARTS.index(name), 3] = GLOSS["teeth" if name == "teeth" else "mouth"]
    return parts


def _complexion(canvas: SkinMap, random: np.random.Generator) -> Floats:
    """What skin multiplies its colour by: redder cheeks and nose, darker lids, spots; [..., 3]."""
    red = canvas.spot((0.0, 0.0), 1.1)
    dark = np.zeros_like(red)
    for sign in (-1, 1):
        red += canvas.spot((sign * 4.2, -0.3), 1.5) * 0.9
        dark += canvas.spot((sign * 3.2, 2.6), 0.7) * 0.6
        dark += canvas.spot((sign * 3.2, 4.6), 0.6) * 0.7
    uneven = np.zeros_like(red)
    for cells, amount in ((8, 0.03), (32, 0.03), (160, 0.045)):
        uneven += amount * _noise(random, cells)
    strength = random.uniform(0.06, 0.2)
    change = np.dstack([-0.2 * red, -1.1 * red, -0.9 * red]) * strength
    return (1 + change - 0.16 * dark[..., None] + uneven[..., None]).astype(np.float32)


def _lips(canvas: SkinMap) -> Floats:
    outline = canvas.landmarks[48:60, :2]
    return blurred(canvas.area(outline), 1.6)


def _lashes(canvas: SkinMap) -> Floats:
    lids = [canvas.landmarks[first : first + 4, :2] for first in (36, 42)]
    return blurred(np.minimum(canvas.lines(lids, 0.14), 1), 0.8)


def _brows(canvas: SkinMap, thickness: float, random: np.random.Generator) -> Floats:
    """Hair in a band along the brow landmarks that gets thinner towards the temple."""
    half = 0.26 + 0.2 * thickness
    mask = np.zeros((MAP_SIDE, MAP_SIDE), np.float32)
    for start, to_temple in ((17, -1), (22, 1)):
        middle = canvas.landmarks[start : start + 5, :2] - (0, 0.12)
        taper = np.array([0.75, 1.0, 1.0, 0.8, 0.3])[::to_temple, None] * half
        outline = np.concatenate([middle + (0, 1) * taper, (middle - (0, 1) * taper)[::-1]])
        mask = np.maximum(mask, canvas.area(outline.astype(np.float32)))
    grain = 1 + 0.5 * blurred(_noise(random, MAP_SIDE), 0.8)
    return np.clip(blurred(mask, 1.8) * grain, 0, 1)


def _hair(random: np.random.Generator) -> Floats:
    """Hair above a line that goes from the forehead by the temples behind the ears."""
    forehead = random.uniform(10.4, 11.8)
    temple = forehead - random.uniform(1.2, 2.6)
    directions = [0, 30, 52, 64, 72, 79, 83, 100, 112, 130]
    heights = [forehead, forehead - 0.2, temple, temple - 2, 5.0, 1.5, 4.8, 4.8, -2.0, -7.0]
    degrees = np.abs(np.linspace(-1, 1, MAP_SIDE)) * np.rad2deg(WIDEST)
    line = np.interp(degrees, directions, heights) + 0.15 * _noise(random, 24)[0]
    height = np.linspace(TOP, BOTTOM, MAP_SIDE)[:, None]
    return _smoothstep((height - line) / 0.8 + 0.5)


def _strands(random: np.random.Generator) -> Floats:
    """Streaks that run down, deviation 1."""
    streaks = random.normal(size=(24, MAP_SIDE)).astype(np.float32)
    return blurred(_stretched(streaks), 1.0) * 2


def _noise(random: np.random.Generator, cells: int) -> Floats:
    """Smooth noise with ``cells`` across the map, deviation about 1."""
    return _stretched(random.normal(size=(cells, cells)).astype(np.float32))


def _stretched(grid: Floats) -> Floats:
    """Over the whole map."""
    whole = cv2.resize(grid, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_CUBIC)
    return whole.astype(np.float32, copy=False)


def _rows_below(height: float) -> Floats:
    rows = np.linspace(TOP, BOTTOM, MAP_SIDE)
    return np.repeat(_smoothstep((height - rows) / 0.3)[:, None], MAP_SIDE, axis=1)


def _smoothstep(x: NDArray[np.floating]) -> Floats:
    x = np.clip(x, 0, 1)
    return (x * x * (3 - 2 * x)).astype(np.float32)
