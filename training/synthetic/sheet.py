"""Each action unit alone on several made-up people, so that one can see what it looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, LARGEST_INTENSITY, column
from fastcaps.training.contact_sheet import contact_sheet
from fastcaps.training.synthetic.people import SIDES, Renderer, State
from fastcaps.training.synthetic.recordings import person_of

__all__ = ["people_sheet"]

ZOOM = 1.3
"""Of the head: with the face as large as the picture allows."""


def people_sheet(renderer: Renderer, subjects: int, side: int, seed: int) -> NDArray[np.uint8]:
    """A row for the face at rest and for each action unit at intensity 5, a column a person.

    Args:
        renderer: draws them.
        subjects: how many people; those of a data set with this seed.
        side: of each picture, in pixels.
        seed: of the people.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    intensities = np.zeros((len(ACTION_UNITS) + 1, len(ACTION_UNITS), SIDES), dtype=np.float32)
    for place in range(len(ACTION_UNITS)):
        intensities[place + 1, place] = LARGEST_INTENSITY
    columns = []
    for number in range(subjects):
        person = person_of(number, seed)
        states = [State(shown, zoom=ZOOM, background=number) for shown in intensities]
        columns.append([renderer.render(person, state, side).image for state in states])
    rows = list(zip(*columns, strict=True))
    captions = [f"{column(unit)} {name}" for unit, name in ACTION_UNITS.items()]
    return contact_sheet(rows, ["at rest", *captions], side)
