"""Whether what a unit gives tells which of two action units a face shows.

For each two action units of a part of the face, frames with the first but not the second are told
from those with the second but not the first by linear discriminant analysis (Fisher, 1936) of the
unit's own output: a vector for a capsule, a number for a convolution unit. Each person is told by
what was learned from all others, since a direction that means something else in each face would
serve no layer above.

Other action units come along with one of the two more than with the other. So frames are weighed:
for everything else that frames show of the part and near it, both sides have the same weight, and
frames that have no counterpart have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.facial_parts import PartFrames
from fastcaps.training.analysis.claims.measuring import sums_by_person
from fastcaps.training.analysis.claims.significance import (
    LEAST_PEOPLE,
    over_people,
    p_values,
    significant,
    totals,
)

__all__ = ["Pair", "comparable_pairs", "people_of", "shares_right", "told_apart"]

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]
Pair = tuple[int, int]

SHRINKAGE = 1e-3
"""Part of the mean variance that is added to each, so that covariances can be inverted."""


def comparable_pairs(frames: PartFrames) -> tuple[Pair, ...]:
    """Places of each two action units of which enough people show either without the other."""
    pairs = combinations(range(len(frames.action_units)), 2)
    return tuple(pair for pair in pairs if people_of(frames, pair) >= LEAST_PEOPLE)


def people_of(frames: PartFrames, pair: Pair) -> int:
    """How many people show either action unit without the other, of that which fewer show."""
    return min(len(np.unique(side.owner)) for side in _sides(frames, pair))


def shares_right(frames: PartFrames, pair: Pair, vectors: NDArray[np.floating]) -> Numbers:
    """Which part of each person's frames, by weight, is told rightly.

    Args:
        frames: F of a part of the face.
        pair: places of two action units.
        vectors: what units give, [F, U, D].

    Returns:
        float64 [2, S, U]: of frames with the first action unit and of those with the second; NaN
        for people without such frames. A unit that does not tell at all is half right.
    """
    sides = _sides(frames, pair)
    taken = [vectors[side.rows].astype(np.float64) for side in sides]
    moments = [
        _moments_without_each(some, side, frames.subjects)
        for some, side in zip(taken, sides, strict=True)
    ]
    (mean, covariance), (other_mean, other_covariance) = moments
    pooled = (covariance + other_covariance) / 2
    dimensions = pooled.shape[-1]
    variance = np.trace(pooled, axis1=2, axis2=3)[:, :, None, None] / dimensions
    pooled += np.where(variance > 0, SHRINKAGE * variance, 1.0) * np.eye(dimensions)
    normal = np.linalg.solve(pooled, (mean - other_mean)[..., None])[..., 0]
    middle = (mean + other_mean) / 2
    shares = []
    for some, side, sign in zip(taken, sides, (1, -1), strict=True):
        score = sign * ((some - middle[side.owner]) * normal[side.owner]).sum(axis=2)
        right = (score > 0) + (score == 0) / 2
        with np.errstate(invalid="ignore"):
            shares.append(side.sums(right, frames.subjects) / side.totals(frames.subjects))
    return np.stack(shares)


def told_apart(
    shares: Numbers, chosen: NDArray[np.int64], matters: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which pairs each unit tells apart beyond chance over people.

    People count alike, however many frames they have. A unit that tells nothing is said to tell a
    pair apart in some 5% of cases, not in the 2.5% of Student's t: shares of people who were told
    by others are skewed.

    Args:
        shares: of P pairs, [P, 2, S, U], see :func:`shares_right`.
        chosen: how often each person counts, int64 [R, S].
        matters: which pairs are asked of which unit, bool [R, P, U].

    Returns:
        bool [R, P, U].
    """
    first, second = shares[:, 0], shares[:, 1]
    (mean, variance, people), (other_mean, other_variance, other_people) = (
        over_people(side, chosen) for side in (first, second)
    )
    # Of people who show both sides, one may do well where the other does badly.
    both = np.where(np.isnan(first * second), np.nan, 1.0)
    products = (
        totals(first * second, chosen)
        - other_mean * totals(first * both, chosen)
        - mean * totals(second * both, chosen)
        + mean * other_mean * totals(both, chosen)
    )
    fewest = np.minimum(people, other_people)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = products / (people * other_people) * fewest / (fewest - 1)
    of_accuracy = (variance + other_variance + 2 * covariance).clip(0) / 4
    excess = (mean + other_mean) / 2 - 0.5
    return significant(p_values(excess, of_accuracy, fewest), matters)


@dataclass(frozen=True)
class _Side:
    """Frames that show one action unit of a pair, but not the other.

    Attributes:
        rows: of them, int64 [N].
        weights: of each, above 0, float64 [N].
        owner: whose they are, int64 [N].
    """

    rows: Rows
    weights: Numbers
    owner: Rows

    def sums(self, numbers: Numbers, people: int) -> Numbers:
        """Weighted, over each person's frames: [N, ...] -> [S, ...]."""
        weights = self.weights.reshape(-1, *[1] * (numbers.ndim - 1))
        return sums_by_person(numbers * weights, self.owner, people)

    def totals(self, people: int) -> Numbers:
        """Weight of each person's frames, [S, 1]."""
        return sums_by_person(self.weights[:, None], self.owner, people)


def _sides(frames: PartFrames, pair: Pair) -> tuple[_Side, _Side]:
    """Both with the same weight for each state of all other action units."""
    others = np.concatenate([np.delete(frames.shown, pair, axis=1), frames.near], axis=1)
    state = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1)
    first, second = frames.shown[:, pair[0]], frames.shown[:, pair[1]]
    sides = (first & ~second, second & ~first)
    states = state.max(initial=-1) + 1
    counts = [np.bincount(state[side], minlength=states) for side in sides]
    fewer = np.minimum(*counts)
    found = []
    for side, count in zip(sides, counts, strict=True):
        rows = np.flatnonzero(side & (fewer[state] > 0))
        found.append(_Side(rows, (fewer / np.maximum(count, 1))[state[rows]], frames.owner[rows]))
    return found[0], found[1]


def _moments_without_each(vectors: Numbers, side: _Side, people: int) -> tuple[Numbers, Numbers]:
    """Means [S, U, D] and covariances [S, U, D, D] of vectors [N, U, D], each without a person."""
    totals_of = side.totals(people)
    sums = side.sums(vectors, people)
    products = side.sums(vectors[..., :, None] * vectors[..., None, :], people)
    left = totals_of.sum() - totals_of
    mean = (sums.sum(axis=0) - sums) / left[..., None]
    covariance = (products.sum(axis=0) - products) / left[..., None, None]
    return mean, covariance - mean[..., :, None] * mean[..., None, :]
