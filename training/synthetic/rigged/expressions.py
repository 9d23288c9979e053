"""From action units to expressions of the rig.

The rig's expressions carry the names of Apple's ARKit, each made after one muscle or a few; FACS
(Ekman, Friesen and Hager, 2002) describes the same muscles by what they do to the skin. ``SHAPES``
says which expressions make an action unit at its greatest intensity E, and ``activations`` how far
it has gone at the others. Where the rig's own table names one expression for an action unit, that
one leads; the others are there for what FACS asks besides:

==  ========================================================================================
AU  Why
==  ========================================================================================
 1  the inner brows go up; beyond the scan, to be seen at 96 pixels
 2  the outer brows go up, in an arch
 4  the brows go down and together; beyond the scan, as the rig's does not wrinkle
 5  the upper lid goes up and shows the white above the iris
 6  the cheeks go up (both of the rig's cheek shapes) and push the lower lid up
 7  the lower lid gets tight and straight (squint), the upper comes down a little (blink)
 9  the nose wrinkles; the rig's sneer parts the lips as 10 does, which is taken back by half
10  the upper lip goes up, in its middle (shrug), too
12  the corners go up and back
14  the corners go in and tighten (press); the rig's dimple lifts them, the frown takes that back
15  the corners go down
17  the chin boss and the lower lip go up
20  the corners go back; the rig's stretch lowers them, a little of the smile takes that back
23  the lips get narrow: rolled in, pursed and pressed, so that less of the red is seen
24  the lips are pressed together, rolled in a little, the lower one pushed up
25  the lips part, the lower more than the upper, with a little of the jaw
26  the jaw drops by as much as it does of its own weight; pulled wide open (1.0) is AU 27
==  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.synthetic.people import SIDES, Person, State

__all__ = ["EXPRESSIONS", "ONE_FOR_BOTH_SIDES", "SHAPES", "activations", "expression_weights"]

SHAPES: Mapping[int, Mapping[str, float]] = {
    1: {"browInnerUp": 1.5},
    2: {"browOuterUp": 1.0},
    4: {"browDown": 1.5},
    5: {"eyeWide": 1.7},
    6: {"cheekSquint": 1.0, "cheekRaiser": 0.6, "eyeSquint": 0.2},
    7: {"eyeSquint": 1.3, "eyeBlink": 0.25},
    9: {"noseSneer": 1.1, "mouthUpperUp": -0.45, "browDown": 0.35, "eyeSquint": 0.2},
    10: {"mouthUpperUp": 1.0, "mouthShrugUpper": 0.3},
    12: {"mouthSmile": 1.1},
    14: {"mouthDimple": 1.25, "mouthFrown": 0.3, "mouthPress": 0.3},
    15: {"mouthFrown": 1.3},
    17: {"mouthShrugLower": 1.15},
    20: {"mouthStretch": 1.2, "mouthSmile": 0.2},
    23: {"mouthRollLower": 0.7, "mouthRollUpper": 0.35, "mouthPucker": 0.5, "mouthPress": 0.3},
    24: {"mouthPress": 1.2, "mouthRollLower": 0.35, "mouthRollUpper": 0.4, "mouthShrugLower": 0.25},
    25: {"jawOpen": 0.12, "mouthLowerDown": 0.6, "mouthUpperUp": 0.25},
    26: {"jawOpen": 0.5},
}
"""Weights of expressions at intensity E, on one side of the face."""

ONE_FOR_BOTH_SIDES = frozenset(
    {"jawOpen", "mouthPucker", "mouthRollLower", "mouthRollUpper"}
    | {"mouthShrugLower", "mouthShrugUpper"}
)
"""Expressions that the rig has for the whole face only: they follow the mean of the sides."""

SIDE_ENDINGS = ("_L", "_R")

LOOKS = ("eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeLookDown")

EXPRESSIONS = ONE_FOR_BOTH_SIDES | {
    shape + ending
    for shape in {*LOOKS, *(shape for shapes in SHAPES.values() for shape in shapes)}
    for ending in SIDE_ENDINGS
    if shape not in ONE_FOR_BOTH_SIDES
}
"""Names of all expressions that a rig must have."""

CURVE = (0.0, 0.15, 0.35, 0.6, 0.82, 1.0)
"""Activation at none and at FACS' A (a trace), B (slight), C (marked), D (severe), E (maximum); C
and D span most of the way."""

FURTHEST_LOOK = 30.0
"""Degrees of gaze for which the rig's eyeLook expressions are made."""

CLOSING: Mapping[str, float] = {
    "eyeBlink": 1.0,
    "eyeSquint": 0.25,
    "cheekSquint": 0.3,
    "cheekRaiser": 0.3,
}
"""What part of the open eye each closes at weight 1, on the rig's mean face."""
NARROWEST = 0.68
"""What part of the eye action units close at most; more would be AU 43."""

OPENED = ("mouthPress", "mouthRollLower", "mouthRollUpper", "mouthPucker")
"""What lips cannot do when they are apart."""

Sided = dict[str, NDArray[np.float32]]
"""Weights [2] of expressions by name without side: the person's left and right."""


def activations(person: Person, state: State) -> NDArray[np.float32]:
    """How far each action unit has gone, 0 .. about 1.3; float32 [17, 2] like the intensities."""
    part = np.interp(state.intensities, range(len(CURVE)), CURVE)
    return (part * person.strength).astype(np.float32)


def expression_weights(person: Person, state: State) -> dict[str, float]:
    """Weights of the rig's expressions by their names in the rig; those not named are 0."""
    activation = dict(zip(ACTION_UNITS, activations(person, state), strict=True))
    weights: Sided = {
        shape: np.zeros(SIDES, np.float32) for shapes in SHAPES.values() for shape in shapes
    }
    for action_unit, shapes in SHAPES.items():
        for shape, weight in shapes.items():
            weights[shape] += weight * activation[action_unit]
    _limit_mouth(weights, np.maximum(activation[25], activation[26]))
    _limit_eyes(weights, state.blink)
    return _by_side(weights) | _look(state)


def _limit_mouth(weights: Sided, opening: NDArray[np.float32]) -> None:
    """Keep lips from doing what excludes each other, as sums of expressions would, in place."""
    apart = np.clip(opening, 0, 1)
    for shape in OPENED:
        weights[shape] *= 1 - apart
    weights["mouthShrugLower"] *= 1 - 0.5 * apart
    weights["mouthUpperUp"] = np.minimum(weights["mouthUpperUp"], 1.2)
    sideways = weights["mouthSmile"] + weights["mouthStretch"]
    for shape in ("mouthSmile", "mouthStretch"):
        weights[shape] /= np.maximum(sideways / 1.5, 1)


def _limit_eyes(weights: Sided, blink: float) -> None:
    """Keep eyes open under action units, and close them exactly for a whole blink, in place."""
    closed = sum(part * weights[shape] for shape, part in CLOSING.items())
    weights["eyeBlink"] -= np.maximum(closed - NARROWEST, 0)
    weights["eyeBlink"] += np.float32(blink) * (1 - np.minimum(closed, NARROWEST))
    weights["eyeWide"] *= np.float32(1 - blink)


def _look(state: State) -> dict[str, float]:
    """Lids that go with the gaze."""
    left, up = (float(np.clip(angle / FURTHEST_LOOK, -1, 1)) for angle in state.gaze)
    to_left, to_right = max(left, 0.0), max(-left, 0.0)
    lids = {"eyeLookOut_L": to_left, "eyeLookIn_R": to_left}
    lids |= {"eyeLookIn_L": to_right, "eyeLookOut_R": to_right}
    for ending in SIDE_ENDINGS:
        lids["eyeLookUp" + ending] = max(up, 0.0) * (1 - state.blink)
        lids["eyeLookDown" + ending] = 0.7 * max(-up, 0.0) * (1 - state.blink)
    return lids


def _by_side(weights: Sided) -> dict[str, float]:
    named: dict[str, float] = {}
    for shape, both in weights.items():
        if shape in ONE_FOR_BOTH_SIDES:
            named[shape] = float(both.mean())
        else:
            named |= {shape + end: float(w) for end, w in zip(SIDE_ENDINGS, both, strict=True)}
    return named
