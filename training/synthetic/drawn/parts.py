"""The parts of a drawn face: head, brows, eyes, nose and mouth, all from its moved landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from fastcaps.training.synthetic.drawn.canvas import Canvas, curve
from fastcaps.training.synthetic.drawn.colours import Colours
from fastcaps.training.synthetic.drawn.shape import Points
from fastcaps.training.synthetic.people import Person

__all__ = ["draw_brows", "draw_eyes", "draw_head", "draw_mouth", "draw_nose"]

BLACK = np.array([18.0, 14.0, 14.0])
IRIS_RADIUS = 0.075
EYES = ((range(36, 40), (36, 41, 40, 39)), (range(45, 41, -1), (45, 46, 47, 42)))
"""Upper and lower lid of the right and the left eye, from the outer to the inner corner."""


def draw_head(canvas: Canvas, face: Points, person: Person, colours: Colours) -> None:
    """Hair, neck, shoulders, ears and the skin of the face."""
    length, hairline, tilt = person.identity[12:15].clip(-2, 2).tolist()
    wide, long_hair = float(np.abs(face[[0, 16], 0]).mean()), length > 0.3
    _draw_hair(canvas, wide, length, long_hair, colours)
    neck = _mirrored(
        (-0.75 * wide, 2.2, -0.5), (-0.6 * wide, 1.3, -0.55), (-0.62 * wide, 0.5, -0.6)
    )
    canvas.fill(neck, 0.82 * colours.skin, covers=True)
    shoulders = _mirrored((-2.2, 2.6, -0.5), (-1.6, 1.62, -0.6), (-0.7 * wide, 1.38, -0.5))
    canvas.fill(curve(shoulders), colours.cloth, covers=True)
    if not long_hair:
        for x in (-wide, wide):
            _draw_ear(canvas, x, colours)
    top = -0.88 - 0.05 * hairline
    forehead = _mirrored(
        (-0.98 * wide, -0.3, -0.5), (-0.86 * wide, 0.75 * top, -0.3), (-0.4 * wide, top, 0.0)
    )
    forehead[:, 1] += 0.05 * tilt * np.linspace(-1, 1, len(forehead))
    canvas.fill(curve(np.concatenate([face[16::-1], forehead]), closed=True), colours.skin, True)
    # The cheek and the temple that stand out when the head turns.
    front = wide * _mirrored(
        (-0.45, 1.03, 0.06),
        (-0.75, 0.67, -0.18),
        (-0.86, 0.24, -0.24),
        (-0.84, -0.18, -0.24),
        (-0.78, -0.48, -0.18),
        (-0.5, -0.67, 0.12),
    )
    canvas.fill(curve(front, closed=True), colours.skin, covers=True)


def _draw_hair(
    canvas: Canvas, wide: float, length: float, long_hair: bool, colours: Colours
) -> None:
    """The outline of all hair; the face covers most of it."""
    end, outer = (1.5, 1.16 * wide) if long_hair else (0.15 + 0.12 * abs(length), 1.09 * wide)
    outline = _mirrored(
        (-0.9 * outer, end, -0.8),
        (-outer, 0.5 * end, -0.8),
        (-1.02 * outer, -0.4, -0.8),
        (-0.85 * outer, -0.95, -0.7),
        (-0.45 * outer, -1.26 - 0.03 * length, -0.6),
    )
    canvas.fill(curve(outline), colours.hair, covers=True)


def _draw_ear(canvas: Canvas, x: float, colours: Colours) -> None:
    centre = np.array([1.04 * x, 0.15, -0.72])
    canvas.fill(centre + _ellipse(0.12, 0.25), 0.92 * colours.skin, covers=True)
    canvas.fill(centre + _ellipse(0.066, 0.14), 0.75 * colours.skin)


def _ellipse(width: float, height: float) -> Points:
    """About the origin, facing the viewer; half its width and height are given."""
    angles = np.linspace(0, 2 * np.pi, 16)
    return np.stack([width * np.cos(angles), height * np.sin(angles), 0 * angles], axis=1)


def draw_brows(canvas: Canvas, face: Points, person: Person, colours: Colours) -> None:
    """Bands about the brows' landmarks."""
    thickness = 0.05 * (0.75 + 0.6 * person.brow) * (1.0 + 0.12 * person.identity[15].clip(-2, 2))
    colour = 0.8 * colours.hair + 0.2 * (1.0 - 0.6 * person.brow) * colours.skin
    profile = np.interp(np.linspace(0, 1, 25), [0, 0.15, 0.5, 1], [0.55, 1.0, 0.85, 0.25])
    for points in (face[21:16:-1], face[22:27]):
        middle = curve(points)
        half = np.zeros_like(middle)
        half[:, 1] = 0.5 * thickness * profile
        canvas.fill(np.concatenate([middle - half, (middle + half)[::-1]]), colour)


def draw_eyes(canvas: Canvas, face: Points, colours: Colours) -> None:
    """Eyeball, iris and pupil between the lids, and the lids' edges."""
    gaze = np.sin(np.radians(canvas.state.gaze)) * (0.14, -0.14)
    lid_edge, lash = 0.6 * colours.skin, 0.25 * colours.skin
    for upper, lower in EYES:
        above, below = curve(face[list(upper)]), curve(face[list(lower)])
        outline = np.concatenate([above, below[::-1]])
        # The eyeball stays where it is when its lids move.
        centre = above[[0, -1]].mean(axis=0) + np.array([gaze[0], gaze[1] - 0.015, 0.0])
        socket = outline + (outline - outline.mean(axis=0)) * 0.25
        canvas.fill(socket, 0.86 * colours.skin)
        _inside(canvas, outline, centre, colours)
        canvas.line(above, 0.024, lash)
        canvas.line(below, 0.012, lid_edge)


def _inside(canvas: Canvas, outline: Points, centre: Points, colours: Colours) -> None:
    """Draw the eyeball where the outline of the lids is open."""
    before = canvas.image.copy()
    open_part = np.zeros_like(canvas.covered)
    cv2.fillPoly(open_part, [canvas.fine_places(outline)], 255, cv2.LINE_AA, 4)
    canvas.fill(outline, colours.eyeball)
    canvas.disc(centre, IRIS_RADIUS, 0.6 * colours.iris)
    canvas.disc(centre, 0.85 * IRIS_RADIUS, colours.iris)
    canvas.disc(centre, 0.42 * IRIS_RADIUS, BLACK)
    cv2.copyTo(before, cv2.bitwise_not(open_part), canvas.image)


def draw_nose(canvas: Canvas, face: Points, colours: Colours) -> None:
    """The sides and the underside by their light, nostrils, wings."""
    tip, under = face[30], face[33]
    for x, wing, nostril in ((-1.0, face[31], face[32]), (1.0, face[35], face[34])):
        root = face[27] + np.array([0.13 * x, 0.02, -0.15])
        beside = np.array(
            [face[27], root, wing + np.array([0.03 * x, -0.05, -0.1]), wing, tip, face[29]]
        )
        canvas.facet(beside, (0.75 * x, 0.1, 0.65), 0.75)
        edge = wing + np.array(
            [(0.0, -0.1, 0), (0.045 * x, -0.05, 0), (0.03 * x, 0.01, 0), (-0.04 * x, 0.02, 0)]
        )
        canvas.crease(curve(edge), 0.018, 0.35)
        hole = 0.55 * nostril + 0.45 * wing + np.array([0, -0.012, 0])
        canvas.fill(hole + _ellipse(0.036, 0.017), 0.35 * colours.skin)
    canvas.facet(
        np.array([face[31], face[35], under + np.array([0, 0.06, 0])]), (0.0, 0.8, 0.6), 0.5
    )
    canvas.shade(tip + np.array([(-0.05, 0.03, 0), (0.05, 0.03, 0), (0, -0.12, 0)]), 0.12)


def draw_mouth(canvas: Canvas, face: Points, colours: Colours) -> None:
    """Lips, and between them teeth in the dark."""
    top, bottom = curve(face[48:55]), curve(face[[48, 59, 58, 57, 56, 55, 54]])
    above, below = curve(face[60:65]), curve(face[[60, 67, 66, 65, 64]])
    canvas.fill(np.concatenate([top, above[::-1]]), 0.88 * colours.lip)
    canvas.fill(np.concatenate([below, bottom[::-1]]), colours.lip)
    gap = np.maximum(below[:, 1] - above[:, 1], 0.0)
    canvas.fill(np.concatenate([above, below[::-1]]), colours.mouth)
    teeth = above.copy()
    teeth[:, 1] += np.minimum(0.5 * gap, 0.075)
    canvas.fill(np.concatenate([above, teeth[::-1]]), colours.teeth)
    tongue = below.copy()
    tongue[:, 1] -= np.clip(gap - 0.13, 0.0, 0.09)
    canvas.fill(np.concatenate([tongue, below[::-1]])[2:-2], 0.55 * colours.lip)
    edge = 0.38 * colours.lip
    canvas.line(above, 0.014, edge)
    canvas.line(below, 0.014, edge)
    canvas.facet(bottom[4:-4] + np.array([0, 0.05, 0]), (0.0, 0.7, 0.7), 0.6)


def _mirrored(*points: tuple[float, float, float]) -> Points:
    """Points from the person's right up and over the middle to the left, given the right ones."""
    right = np.array(points)
    return np.concatenate([right, right[::-1] * (-1.0, 1.0, 1.0)])
