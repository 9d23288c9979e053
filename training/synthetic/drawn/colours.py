"""Colours of drawn faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import Person

__all__ = ["Colour", "Colours"]

Colour = NDArray[np.float64]
"""Red, green, blue, 0 .. 255."""

SKIN = ((240, 208, 190), (228, 184, 154), (203, 149, 112), (141, 92, 62), (84, 53, 38))
IRIS = ((140, 175, 205), (110, 140, 110), (105, 75, 40), (48, 28, 18))
HAIR = ((205, 170, 115), (140, 92, 55), (62, 42, 32), (24, 20, 20))
LIP = (172, 48, 62)


@dataclass(frozen=True)
class Colours:
    """The colours of one person."""

    skin: Colour
    lip: Colour
    iris: Colour
    hair: Colour
    eyeball: Colour
    teeth: Colour
    mouth: Colour
    cloth: Colour

    @classmethod
    def of(cls, person: Person) -> Colours:
        """A person's; hair is as dark as the brows, and darker on dark skin."""
        skin = _between(SKIN, person.skin_tone)
        redness = 0.22 + 0.4 * person.lip
        return cls(
            skin=skin,
            lip=(1 - redness) * 0.9 * skin + redness * (0.4 + 0.6 * skin[0] / 255) * np.array(LIP),
            iris=_between(IRIS, person.iris),
            hair=_between(HAIR, max(person.brow, 0.9 * person.skin_tone)),
            eyeball=np.array([236.0, 232.0, 228.0]),
            teeth=np.array([240.0, 234.0, 222.0]),
            mouth=np.array([52.0, 14.0, 18.0]),
            cloth=np.random.default_rng(person.detail).uniform(30, 220, 3),
        )


def _between(anchors: Sequence[Sequence[int]], where: float) -> Colour:
    """The colour at 0 .. 1 along evenly spaced ``anchors``."""
    places = np.linspace(0.0, 1.0, len(anchors))
    return np.array([np.interp(where, places, channel) for channel in zip(*anchors, strict=True)])
