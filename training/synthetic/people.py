"""Who is shown and what the face does: all that decides one picture, for every renderer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS

__all__ = ["SIDES", "Person", "Picture", "Pose", "Renderer", "State", "draw_person"]

IDENTITY_MODES = 100
SIDES = 2
"""The person's left and right side, in this order."""


@dataclass(frozen=True)
class Person:
    """What stays the same in all pictures of one subject.

    Attributes:
        identity: coefficients of the shape modes float32 [100], unit normal over people.
        skin_tone: 0 (very light) .. 1 (very dark).
        iris: 0 .. 1 along a scale of eye colours, from light blue to dark brown.
        brow: 0 (thin and fair) .. 1 (thick and dark).
        lip: 0 (pale) .. 1 (red).
        detail: seed of the texture of the skin.
        strength: how strongly each action unit shows at a given intensity, float32 [17, 2], near 1;
            rows as in ``ACTION_UNITS``, columns the person's left and right side.
    """

    identity: NDArray[np.float32]
    skin_tone: float
    iris: float
    brow: float
    lip: float
    detail: int
    strength: NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees: yaw to the person's left, pitch upwards, roll to the person's left."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class State:
    """What changes from frame to frame.

    Attributes:
        intensities: of each action unit float32 [17, 2], 0 .. 5; rows as in ``ACTION_UNITS``,
            columns the person's left and right side.
        pose: of the head.
        gaze: degrees to the person's left, and upwards.
        blink: 0 (eyes as the action units have them) .. 1 (closed).
        offset: of the head in the picture, as part of its height: to the right, downwards.
        zoom: size of the head, 1 as it fits the picture.
        light: direction of the strongest light in degrees: to the person's left, upwards.
        contrast: part of the light that comes from there, 0 .. 1.
        brightness: of all the light, near 1.
        background: seed of what is behind the head.
    """

    intensities: NDArray[np.float32]
    pose: Pose = Pose()
    gaze: tuple[float, float] = (0.0, 0.0)
    blink: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    light: tuple[float, float] = (20.0, 30.0)
    contrast: float = 0.6
    brightness: float = 1.0
    background: int = 0


@dataclass(frozen=True)
class Picture:
    """An image uint8 [side, side, 3], RGB, and its 68 landmarks float32 [68, 2].

    Landmarks are x to the right and y downwards in pixels, whose centres are at whole numbers, in
    the order of ``fastcaps.training.faces.landmarks``.
    """

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


class Renderer(Protocol):
    """Draws a person in a state; the same arguments give the same bytes."""

    def render(self, person: Person, state: State, side: int) -> Picture:
        """Draw a square picture of ``side`` pixels."""
        ...


def draw_person(random: np.random.Generator) -> Person:
    """A random person; two draws differ in face, colours and how they show action units."""
    sides = random.normal(0.0, 0.06, (len(ACTION_UNITS), SIDES))
    both = random.normal(0.0, 0.1, (len(ACTION_UNITS), 1))
    return Person(
        identity=random.normal(size=IDENTITY_MODES).astype(np.float32),
        skin_tone=float(random.uniform()),
        iris=float(random.uniform()),
        brow=float(random.uniform()),
        lip=float(random.uniform()),
        detail=int(random.integers(2**31)),
        strength=np.clip(1.0 + both + sides, 0.7, 1.3).astype(np.float32),
    )
