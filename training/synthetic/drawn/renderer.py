"""Faces drawn in the plane: what is used where there is no rig."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.drawn.canvas import Canvas
from fastcaps.training.synthetic.drawn.colours import Colours
from fastcaps.training.synthetic.drawn.creases import draw_creases
from fastcaps.training.synthetic.drawn.parts import (
    draw_brows,
    draw_eyes,
    draw_head,
    draw_mouth,
    draw_nose,
)
from fastcaps.training.synthetic.drawn.shape import amounts, expressive_face
from fastcaps.training.synthetic.people import Person, Picture, State

__all__ = ["DrawnRenderer"]


class DrawnRenderer:
    """A small parametrised face of polygons, lines and soft shades.

    Everything is drawn from the 68 landmarks as the action units move them, so landmarks are exact.
    It draws more than 60 pictures of 96 x 96 pixels a second on one core.
    """

    def render(self, person: Person, state: State, side: int) -> Picture:
        """Draw a square picture of ``side`` pixels; the same arguments give the same bytes."""
        if side < 1:
            raise ValueError(f"side: expected at least 1, got {side}")
        face = expressive_face(person, state)
        colours = Colours.of(person)
        canvas = Canvas(state, side)
        canvas.image[:] = _background(state.background, len(canvas.image))
        draw_head(canvas, face, person, colours)
        draw_nose(canvas, face, colours)
        draw_eyes(canvas, face, colours)
        draw_brows(canvas, face, person, colours)
        draw_mouth(canvas, face, colours)
        draw_creases(canvas, face, _depth_of_creases(person) * amounts(person, state))
        canvas.roughen(person.detail, 0.018)
        return Picture(canvas.finish(), canvas.project(face).astype(np.float32))


def _depth_of_creases(person: Person) -> float:
    """How deep this person's skin folds, near 1."""
    return float(np.clip(0.9 + 0.2 * person.identity[16], 0.5, 1.3))


def _background(seed: int, side: int) -> NDArray[np.uint8]:
    """Blurred patches of related colours, uint8 [side, side, 3]."""
    random = np.random.default_rng(seed)
    patches = (
        random.uniform(30, 220)
        + random.normal(0, 20, 3)
        + random.normal(0, 15, (random.integers(2, 7), 5, 3))
    )
    colours = np.clip(patches, 0, 255).astype(np.uint8)
    return cv2.resize(colours, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
