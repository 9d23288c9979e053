"""Which action units raise the activation of a unit.

A smile raises lips, cheeks and lids at once, and people look different. So frames are compared in
pairs of one person that show the same of all other action units of the part of the face and of
those near it, one frame with the action unit and one without it. How often the first has the larger
activation, ties counting half, is an area under the ROC curve; it is 1/2 where the action unit
makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastcaps.training.analysis.claims.facial_parts import PartFrames
from fastcaps.training.analysis.claims.significance import over_people, p_values, significant

__all__ = ["Comparisons", "areas", "comparisons", "raised"]

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Comparisons:
    """Frames to compare for one action unit.

    Attributes:
        groups: rows of frames of one person that show the same otherwise: those with the action
            unit and those without it.
        owner: whose each group is, int64 [G].
        subjects: S, all people.
    """

    groups: tuple[tuple[Rows, Rows], ...]
    owner: Rows
    subjects: int

    @property
    def people(self) -> int:
        """How many have frames to compare."""
        return len(np.unique(self.owner))


def comparisons(frames: PartFrames) -> tuple[Comparisons, ...]:
    """Of each action unit of a part of the face."""
    return tuple(_comparisons(frames, place) for place in range(len(frames.action_units)))


def areas(compared: Comparisons, activations: NDArray[np.floating]) -> Numbers:
    """The area under the ROC curve of each person, over all pairs of frames to compare.

    Args:
        compared: frames of F.
        activations: of units in all F frames, [F, U].

    Returns:
        float64 [S, U]; NaN for people without frames to compare.
    """
    larger = np.zeros((compared.subjects, activations.shape[1]))
    pairs = np.zeros((compared.subjects, 1))
    for (shown, absent), owner in zip(compared.groups, compared.owner, strict=True):
        ranks = rankdata(activations[np.concatenate([shown, absent])], axis=0)
        count = len(shown)
        larger[owner] += ranks[:count].sum(axis=0) - count * (count + 1) / 2
        pairs[owner] += count * len(absent)
    with np.errstate(invalid="ignore"):
        return larger / pairs


def raised(of_people: Numbers, chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which action units raise which unit, beyond chance over people.

    People count alike, however many pairs of frames they have.

    Args:
        of_people: areas by action unit, [A, S, U], see :func:`areas`.
        chosen: how often each person counts, int64 [R, S].

    Returns:
        bool [R, A, U].
    """
    mean, variance, people = over_people(of_people, chosen)
    found = p_values(mean - 0.5, variance, people)
    return significant(found, np.ones(found.shape, dtype=bool))


def _comparisons(frames: PartFrames, place: int) -> Comparisons:
    others = np.delete(frames.shown, place, axis=1)
    keys = np.concatenate([frames.owner[:, None], others, frames.near], axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    by_group = np.split(np.argsort(group, kind="stable"), np.bincount(group).cumsum()[:-1])
    found = []
    for rows in by_group:
        is_shown = frames.shown[rows, place]
        if 0 < is_shown.sum() < len(rows):
            found.append((rows[is_shown], rows[~is_shown]))
    owner = np.array([frames.owner[shown[0]] for shown, _ in found], dtype=np.int64)
    return Comparisons(tuple(found), owner, frames.subjects)
