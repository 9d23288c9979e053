"""What is asked of each unit at the place of a part of the face, and what is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.facial_parts import PartFrames
from fastcaps.training.analysis.claims.measuring import behind_mean
from fastcaps.training.analysis.claims.responses import Comparisons, areas, comparisons, raised
from fastcaps.training.analysis.claims.significance import LEAST_PEOPLE, over_people
from fastcaps.training.analysis.claims.telling_apart import (
    Pair,
    comparable_pairs,
    people_of,
    shares_right,
    told_apart,
)

__all__ = ["Answers", "Counts", "Questions", "answer", "ask", "largest_sets"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Choices = NDArray[np.int64]


@dataclass(frozen=True)
class Questions:
    """What some frames allow to ask.

    Attributes:
        frames: of a part of the face.
        comparisons: for each of its action units.
        pairs: of places of action units that can be told apart.
    """

    frames: PartFrames
    comparisons: tuple[Comparisons, ...]
    pairs: tuple[Pair, ...]

    @property
    def measured(self) -> tuple[int, ...]:
        """Places of action units for which enough people can be compared."""
        people = [each.people for each in self.comparisons]
        return tuple(place for place, count in enumerate(people) if count >= LEAST_PEOPLE)

    @property
    def measured_pairs(self) -> tuple[Pair, ...]:
        """Pairs of these."""
        return tuple(pair for pair in self.pairs if set(pair) <= set(self.measured))

    @property
    def people(self) -> int:
        """On whom it rests what is found of single action units, see :func:`behind_mean`."""
        return behind_mean([self.comparisons[place].people for place in self.measured])

    def people_of(self, pairs: Sequence[Pair]) -> int:
        """On whom it rests what is found of pairs."""
        return behind_mean([people_of(self.frames, pair) for pair in pairs])


@dataclass(frozen=True)
class Counts:
    """Of each of V units, for R choices of people.

    Attributes:
        responses: how many action units raise it, int64 [R, V].
        distinct: how many deformations are distinct for it, int64 [R, V].
    """

    responses: NDArray[np.int64]
    distinct: NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Of U units, V of which change from frame to frame; S people.

    Attributes:
        asked: about frames of these people.
        units: U.
        areas: under the ROC curves of the measured action units, [A, S, V].
        right: shares of the frames that are told rightly, for each side of each pair,
            [P, 2, S, V].
    """

    asked: Questions
    units: int
    areas: Numbers
    right: Numbers

    def counts(self, chosen: Choices) -> Counts:
        """What holds of people who count several times, int64 [R, S]."""
        measured, pairs = self.asked.measured, self.asked.measured_pairs
        is_raised = raised(self.areas, chosen)
        places = [(measured.index(first), measured.index(second)) for first, second in pairs]
        is_apart: dict[Pair, Flags] = {}
        if pairs:
            matters = [is_raised[:, first] & is_raised[:, second] for first, second in places]
            right = self.right[[self.asked.pairs.index(pair) for pair in pairs]]
            found = told_apart(right, chosen, np.stack(matters, axis=1))
            is_apart = dict(zip(places, found.swapaxes(0, 1), strict=True))
        distinct = largest_sets(is_raised.swapaxes(0, 1), is_apart)
        return Counts(is_raised.sum(axis=1), distinct)

    def mean_area(self, chosen: Choices) -> Numbers:
        """Over people, units and action units, [R]."""
        return _mean(self.areas, chosen)

    def mean_accuracy(self, chosen: Choices) -> Numbers:
        """Over people, units, sides and pairs, [R]."""
        return _mean(np.concatenate([self.right[:, 0], self.right[:, 1]]), chosen)


def ask(frames: PartFrames) -> Questions:
    """See which action units can be compared."""
    return Questions(frames, comparisons(frames), comparable_pairs(frames))


def answer(asked: Questions, vectors: NDArray[np.float32]) -> Answers:
    """Measure the units of one kind.

    Args:
        asked: of F frames.
        vectors: what the units give, [F, U, D].
    """
    activations = np.linalg.norm(vectors, axis=2)
    changes = np.ptp(activations, axis=0) > 0
    vectors, activations = vectors[:, changes], activations[:, changes]
    shape = (asked.frames.subjects, activations.shape[1])
    area = [areas(asked.comparisons[place], activations) for place in asked.measured]
    right = [shares_right(asked.frames, pair, vectors) for pair in asked.pairs]
    return Answers(
        asked,
        units=len(changes),
        areas=np.array(area).reshape(len(area), *shape),
        right=np.array(right).reshape(len(right), 2, *shape),
    )


def largest_sets(is_raised: Flags, is_apart: Mapping[Pair, Flags]) -> NDArray[np.int64]:
    """The most action units that all raise a unit and of which it tells each two apart.

    Args:
        is_raised: by which action unit each unit is, [A, ...].
        is_apart: whether each unit tells two action units apart that both raise it, by places,
            the smaller first; [...] each.

    Returns:
        int64 [...].
    """
    largest: NDArray[np.int64] = np.where(is_raised.any(axis=0), 1, 0)
    nowhere = np.zeros(is_raised.shape[1:], dtype=bool)
    for size in range(2, len(is_raised) + 1):
        fits = nowhere
        for chosen in combinations(range(len(is_raised)), size):
            pairs = [is_apart.get(pair, nowhere) for pair in combinations(chosen, 2)]
            fits = fits | np.all(pairs, axis=0)
        if not fits.any():
            break
        largest[fits] = size
    return largest


def _mean(values: Numbers, chosen: Choices) -> Numbers:
    """Of values [N, S, V] over people, units, and those things that any of these people have."""
    mean, _, count = over_people(values.sum(axis=2, keepdims=True), chosen)
    with np.errstate(invalid="ignore"):
        sums = np.nansum(mean, axis=(1, 2)) / (count > 0).sum(axis=(1, 2))
        return sums / values.shape[2]
