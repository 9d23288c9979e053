"""Light on surfaces: a key light, a fill light from the other side, a rim light and the room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import State

__all__ = ["Lights", "eye_colours", "to_bytes"]

Floats = NDArray[np.float32]

WRAP = np.array([0.3, 0.18, 0.13], dtype=np.float32)
"""How far light reaches around into the shade of skin, which scatters red most; RGB."""
SHININESS = 14.0
EYE_SHININESS = 90.0
EXPOSURE = 1.15

IRIS_RADIUS = 0.64
PUPIL_RADIUS = 0.26
SCLERA = np.array([0.66, 0.61, 0.58], dtype=np.float32)


@dataclass(frozen=True)
class Lights:
    """Directions towards the lights, unit float32 [3], and how strong each is."""

    key: Floats
    fill: Floats
    rim: Floats
    key_strength: float
    room_strength: float
    brightness: float

    @classmethod
    def of(cls, state: State) -> Lights:
        """The lights of a state; they stay where they are when the head turns."""
        left, up = state.light
        return cls(
            key=_direction(left, up),
            fill=_direction(-left, 5.0),
            rim=_direction(-np.copysign(130.0, left), 30.0),
            key_strength=state.contrast,
            room_strength=1 - state.contrast,
            brightness=state.brightness * EXPOSURE,
        )

    def on(self, normals: Floats, openness: Floats) -> tuple[Floats, Floats]:
        """Light on surfaces.

        Args:
            normals: unit [N, 3].
            openness: how much of the room each place sees [N], 0 .. 1.

        Returns:
            diffuse light [N, 3], and the cosine [N] between normal and the key light's reflex.
        """
        view = np.array([0, 0, 1], dtype=np.float32)
        halfway = self.key + view
        # A light straight behind the head has no reflex.
        halfway = halfway / max(float(np.linalg.norm(halfway)), 1e-6)
        axes = np.stack([self.key, self.fill, self.rim, halfway], axis=1).astype(np.float32)
        key, fill, rim, reflex = (normals @ axes).T
        wrapped = np.maximum((key[:, None] + WRAP) / (1 + WRAP), 0)
        # Hollows get less of the key light, too, as something is likely to be in its way.
        direct = 1.15 * self.key_strength * (0.35 + 0.65 * openness)
        room = self.room_strength * (0.62 + 0.2 * normals[:, 1] + 0.25 * np.maximum(fill, 0))
        room += 0.1 * self.key_strength * (1 + np.maximum(fill, 0)) + 0.12 * np.maximum(rim, 0)
        diffuse = direct[:, None] * wrapped + (room * openness)[:, None]
        return diffuse * np.float32(self.brightness), np.maximum(reflex, 0)

    def reflex(self, cosine: Floats, shininess: float) -> Floats:
        """Strength of the key light's reflex (Blinn, 1977), [N]."""
        strength = self.brightness * (0.3 + self.key_strength)
        return (strength * cosine**shininess).astype(np.float32)


def eye_colours(places: Floats, iris: Floats) -> Floats:
    """Colours of an eyeball.

    Args:
        places: x and y in cm from the middle of the pupil [N, 2].
        iris: its colour [3].

    Returns:
        float32 [N, 3].
    """
    radius = np.hypot(places[:, 0], places[:, 1])
    angle = np.arctan2(places[:, 1], places[:, 0])
    fibres = 1 + 0.15 * np.sin(9 * angle) * np.sin(23 * angle)
    ring = _step(radius, 0.7 * IRIS_RADIUS, IRIS_RADIUS)
    coloured = iris * ((1.25 - 0.7 * ring) * fibres)[:, None]
    white = _step(radius, IRIS_RADIUS - 0.03, IRIS_RADIUS + 0.05)[:, None]
    black = 1 - _step(radius, PUPIL_RADIUS - 0.02, PUPIL_RADIUS + 0.03)[:, None]
    return ((coloured * (1 - white) + SCLERA * white) * (1 - 0.97 * black)).astype(np.float32)


def to_bytes(light: Floats) -> NDArray[np.uint8]:
    """Linear light as sRGB, uint8 of the same shape; brighter than 1 is white."""
    places = np.minimum(light * (len(SRGB) - 1), len(SRGB) - 1).astype(np.uint16)
    return SRGB[places]


def _direction(left: float, up: float) -> Floats:
    left, up = np.deg2rad([left, up])
    towards = [np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)]
    return np.array(towards, dtype=np.float32)


def _step(x: Floats, start: float, end: float) -> Floats:
    x = np.clip((x - start) / (end - start), 0, 1)
    return x * x * (3 - 2 * x)


def _srgb(entries: int) -> NDArray[np.uint8]:
    light = np.linspace(0, 1, entries)
    # Highlights roll off softly, as film's do.
    light = np.where(light < 0.6, light, 0.6 + 0.4 * (1 - np.exp(-(light - 0.6) / 0.4)) / 0.632)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


SRGB = _srgb(8192)
"""sRGB (IEC 61966-2-1) of linear light from 0 to 1."""
