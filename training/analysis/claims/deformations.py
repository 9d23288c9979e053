"""How many deformations of a part of the face one unit stands for.

Rashid and Lee, section 4.4: "a single primary capsule is capable of activating multiple types of
part deformations ... but would have a different direction for each", where a convolution unit can
be active or not. So of each unit at the place of a part of the face is measured

- how many of the part's action units raise its activation, which is a capsule's length, see
  :mod:`.responses`;
- how well its own output tells which of two action units is there, see :mod:`.telling_apart`;
- and, of both together, how many deformations are distinct for it: the largest number of action
  units each of which raises it and each two of which it tells apart.

What other action units of the part and near it do is held equal in all of these, as far as labels
tell: one that is there with another intensity is not.

All of these hold of people, beyond chance, with what is asked of one unit taken together (see
:mod:`.significance`). Units that give the same in all frames, as ReLU makes them, are counted and
then left out: they stand for nothing, and would make the others' mean look small.

A capsule gives eight numbers and a convolution unit one, so that a capsule tells more by that
alone. Whether it is capsules that do it, eight convolution units taken together show, see
:func:`together`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.facial_parts import PartFrames
from fastcaps.training.analysis.claims.measuring import against_first, measured
from fastcaps.training.analysis.claims.significance import LEAST_PEOPLE
from fastcaps.training.analysis.claims.unit_answers import Answers, Questions, answer, ask
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.report import Measure

__all__ = ["DeformationClaim", "Deformations", "Population", "deformation_claim", "together"]

Numbers = NDArray[np.float64]

CONSTANT = "all units give the same in all frames"


@dataclass(frozen=True)
class Deformations:
    """Means over units, or how much larger these are in one population than in another.

    Intervals are of what other people would show, as many as these; in differences they are the
    same people. The first three are counts of what holds of people beyond chance. There is more of
    that in resamples, where some people are twice and look surer, so that intervals of counts are
    shifted back by the mean difference.

    Attributes:
        responses: how many action units raise a unit.
        several: part of the units that two or more raise.
        distinct: how many deformations are distinct for a unit.
        area: under the ROC curve of activation, over all action units: how often it is larger with
            one than without; 1/2 is chance.
        accuracy: balanced, of telling which of two action units is there, over all pairs of them;
            1/2 is chance.
    """

    responses: Measure
    several: Measure
    distinct: Measure
    area: Measure
    accuracy: Measure


@dataclass(frozen=True)
class Population:
    """Units of one kind.

    Attributes:
        units: how many.
        constant: those that give the same in all frames.
        numbers: that each gives.
        distinct_counts: of the others, how many have 0, 1, 2 ... distinct deformations; empty where
            that cannot be told.
        means: over the others.
    """

    units: int
    constant: int
    numbers: int
    distinct_counts: tuple[int, ...]
    means: Deformations


@dataclass(frozen=True)
class DeformationClaim:
    """Of one part of the face.

    Attributes:
        part: its name.
        frames, subjects: that it is measured on.
        people_compared: by action unit, people with frames that differ in it only; those with
            fewer than six are not measured.
        people, people_of_pairs: on whom means over action units and over pairs rest, see
            :func:`.measuring.behind_mean`.
        pairs: action units of which six people or more show either without the other.
        populations: by name.
        differences: how much larger the first population's means are, by each other one.
    """

    part: str
    frames: int
    subjects: int
    people_compared: Mapping[int, int]
    people: int
    people_of_pairs: int
    pairs: tuple[tuple[int, int], ...]
    populations: Mapping[str, Population]
    differences: Mapping[str, Deformations]


def together(units: NDArray[np.float32], numbers: int) -> NDArray[np.float32]:
    """Convolution units [M, U, 1] as vectors of some neighbours among those that change, [M, V, D].

    Each is divided by its standard deviation, so that none decides alone how long a vector is.

    Args:
        units: what they give.
        numbers: D.
    """
    changing = units[:, np.ptp(units[:, :, 0], axis=0) > 0, 0]
    changing = changing / np.maximum(changing.std(axis=0), np.finfo(units.dtype).tiny)
    count = changing.shape[1] // numbers
    return changing[:, : count * numbers].reshape(len(units), count, numbers)


def deformation_claim(
    frames: PartFrames,
    populations: Mapping[str, NDArray[np.float32]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> DeformationClaim:
    """Measure units of several kinds at the place of a part of the face.

    Args:
        frames: of that part.
        populations: what units of each kind give in all M frames among which these are,
            [M, U, D]; the others are set against the first.
        resamples: for intervals.
        seed: of these.

    Raises:
        InputError: there is no population, or a number is out of range.
    """
    if not populations:
        raise InputError("populations: expected at least one, got none")
    asked = ask(frames)
    found = [answer(asked, vectors[frames.rows]) for vectors in populations.values()]
    means = _means(asked, found, resamples, seed)
    names = tuple(populations)
    return DeformationClaim(
        part=frames.part,
        frames=len(frames.rows),
        subjects=frames.subjects,
        people_compared={
            unit: each.people
            for unit, each in zip(frames.action_units, asked.comparisons, strict=True)
        },
        people=asked.people,
        people_of_pairs=asked.people_of(asked.pairs),
        pairs=tuple(
            (frames.action_units[first], frames.action_units[second])
            for first, second in asked.pairs
        ),
        populations={
            name: Population(
                units=each.units,
                constant=each.units - each.areas.shape[2],
                numbers=populations[name].shape[2],
                distinct_counts=_histogram(each),
                means=of_units,
            )
            for name, each, of_units in zip(names, found, means[: len(names)], strict=True)
        },
        differences=dict(zip(names[1:], means[len(names) :], strict=True)),
    )


def _histogram(found: Answers) -> tuple[int, ...]:
    if not found.asked.measured_pairs:
        return ()
    everyone = np.ones((1, found.asked.frames.subjects), dtype=np.int64)
    return tuple(np.bincount(found.counts(everyone).distinct[0]).tolist())


def _means(
    asked: Questions, found: Sequence[Answers], resamples: int, seed: int
) -> list[Deformations]:
    """Of each of K populations, then how much larger the first is than each other one."""
    columns = 2 * len(found) - 1

    def table(
        values_of: Callable[[Answers, NDArray[np.int64]], Numbers],
        reasons: Sequence[str | None],
        people: Sequence[int],
        recentred: bool,
    ) -> list[list[Measure]]:
        def statistic(chosen: NDArray[np.int64]) -> Numbers:
            """[R, N, 2 K - 1], flattened."""
            values = np.stack([values_of(each, chosen) for each in found], axis=2)
            values[:, [reason is not None for reason in reasons]] = np.nan
            return against_first(values).reshape(len(chosen), -1)

        texts = [reason or CONSTANT for reason in reasons for _ in range(columns)]
        behind = [number for number in people for _ in range(columns)]
        subjects = asked.frames.subjects
        measures = measured(
            statistic, behind, subjects, texts, resamples, seed, recentred=recentred
        )
        return [measures[row * columns : (row + 1) * columns] for row in range(len(reasons))]

    one, two, pair, any_pair = _reasons(asked)
    people, people_of_both = asked.people, asked.people_of(asked.measured_pairs)
    of_counts = [people, people, min(people, people_of_both)]
    counts = table(_counts, (one, two, pair), of_counts, recentred=True)
    most = len(asked.measured)
    for row, largest in zip(counts, (most, 1, most), strict=True):
        row[: len(found)] = [_within(each, largest) for each in row[: len(found)]]
    averages = table(
        _averages, (one, any_pair), [people, asked.people_of(asked.pairs)], recentred=False
    )
    return [Deformations(*each) for each in zip(*counts, *averages, strict=True)]


def _within(measure: Measure, largest: float) -> Measure:
    """With its interval cut off at 0 and at the largest value that there can be."""
    low, high = measure["low"], measure["high"]
    if low is None or high is None:
        return measure
    return {**measure, "low": max(low, 0.0), "high": min(high, largest)}


def _counts(found: Answers, chosen: NDArray[np.int64]) -> Numbers:
    """Means over units of what is counted in each, for R choices of people, [R, 3]."""
    counts = found.counts(chosen)
    of_units = np.stack([counts.responses, counts.responses > 1, counts.distinct], axis=1)
    with np.errstate(invalid="ignore"):
        return of_units.sum(axis=2) / np.float64(of_units.shape[2])


def _averages(found: Answers, chosen: NDArray[np.int64]) -> Numbers:
    """Area and accuracy, for R choices of people, [R, 2]."""
    return np.stack([found.mean_area(chosen), found.mean_accuracy(chosen)], axis=1)


def _reasons(asked: Questions) -> tuple[str | None, str | None, str | None, str | None]:
    """Why there are no responses, several, distinct deformations and pairs; None where are some."""
    of_part = f"of the {asked.frames.part} in which {LEAST_PEOPLE} people can be compared"
    one = None if asked.measured else f"no action unit {of_part}"
    two = None if len(asked.measured) > 1 else f"fewer than two action units {of_part}"
    no_pair = f"no two action units {of_part}"
    return (
        one,
        two,
        None if asked.measured_pairs else no_pair,
        None if asked.pairs else no_pair,
    )
