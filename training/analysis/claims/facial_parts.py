"""Which action units deform which part of the face, and the frames to compare them in.

The facial action coding system tells action units by what muscles do to the parts of the face
(Ekman and Friesen, 1978; Ekman, Friesen and Hager, 2002): 1, 2 and 4 move the brows; 5, 6 and 7 the
lids and what is around the eyes; 9 the nose; 10 to 26, as far as they are here, the lips with chin
and jaw. A unit at the place of a part sees what is around it, too, so that action units of
neighbouring parts have to be held equal: raised cheeks, 6, and a wrinkled nose, 9, change both
halves of a face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.analysis.claims.measuring import numbered
from fastcaps.training.errors import InputError

__all__ = ["NEAR_UNITS", "PART_UNITS", "PartFrames", "alike", "differing", "part_frames"]

BROWS, EYES, NOSE = (1, 2, 4), (5, 6, 7), (9,)
MOUTH = (10, 12, 14, 15, 17, 20, 23, 24, 25, 26)

PART_UNITS: Mapping[str, tuple[int, ...]] = {
    "brows": BROWS,
    "right brow": BROWS,
    "left brow": BROWS,
    "eyes": EYES,
    "right eye": EYES,
    "left eye": EYES,
    "nose": NOSE,
    "mouth": MOUTH,
}
"""Action units of the regions in :data:`fastcaps.training.analysis.places.REGIONS`."""

UPPER_FACE = (*BROWS, *EYES, *NOSE)

NEAR_UNITS: Mapping[str, tuple[int, ...]] = {
    part: (6, *NOSE) if units == MOUTH else (*UPPER_FACE, 10) if units == NOSE else UPPER_FACE
    for part, units in PART_UNITS.items()
}
"""Action units that change what is seen at the place of a part, besides its own or with them."""


@dataclass(frozen=True)
class PartFrames:
    """Frames in which all action units of a part of the face are known.

    Attributes:
        part: name of the region.
        action_units: the A that are labelled in the data.
        rows: of the F frames among those given, int64 [F].
        shown: which action units they show, bool [F, A].
        near: labels of other action units that change what is seen there, int8 [F, N]: 1 present,
            0 absent, -1 unknown.
        owner: whose the frames are, 0 .. S - 1, int64 [F].
        subjects: S.
    """

    part: str
    action_units: tuple[int, ...]
    rows: NDArray[np.int64]
    shown: NDArray[np.bool_]
    near: NDArray[np.int8]
    owner: NDArray[np.int64]
    subjects: int


def part_frames(
    part: str, action_units: Sequence[int], labels: NDArray[np.int8], subjects: NDArray[Any]
) -> PartFrames:
    """What is known of a part of the face in some frames.

    Args:
        part: one of :data:`PART_UNITS`.
        action_units: those of the labels.
        labels: int8 [M, A]: 1 present, 0 absent, -1 unknown.
        subjects: whose the frames are, texts [M].

    Raises:
        InputError: there is no such part.
    """
    if part not in PART_UNITS:
        raise InputError(f"part: expected one of {', '.join(PART_UNITS)}, got {part}")
    units = tuple(unit for unit in PART_UNITS[part] if unit in action_units)
    near = tuple(unit for unit in NEAR_UNITS[part] if unit in action_units and unit not in units)
    of_part, of_near = (
        labels[:, [list(action_units).index(unit) for unit in some]] for some in (units, near)
    )
    rows = np.flatnonzero((of_part != UNKNOWN).all(axis=1))
    count, owner = numbered(subjects[rows])
    return PartFrames(part, units, rows, of_part[rows] == 1, of_near[rows], owner, count)


def differing(shown: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Of which images another deformation is known: labels [B, A] to pairs [B, B]."""
    known = shown != UNKNOWN
    unequal = shown[:, None] != shown
    return (unequal & known[:, None] & known).any(axis=2)


def alike(shown: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Of which images all labels are known and the same: labels [B, A] to pairs [B, B]."""
    known = (shown != UNKNOWN).all(axis=1)
    return np.logical_and.outer(known, known) & ~differing(shown)
