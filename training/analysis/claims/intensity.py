"""Whether a network is the surer of an action unit, the more intense it is.

Rashid and Lee, abstract: "capsule magnitude correlates with expression intensity". Spearman's rank
correlation, with mean ranks where numbers are equal, asks for no more than the same order. It is
large already where a network merely tells frames with an action unit from those without one, so it
is also measured among the frames that show it, where only the order of A to E is left.

A baseline's probability has the rank of its logit, but for logits that are so large that their
probabilities are the same in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN, column
from fastcaps.training.analysis.claims.measuring import behind_mean, measured, numbered
from fastcaps.training.analysis.claims.rank_correlation import rank_correlations
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import FEWEST_SUBJECTS
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import Measure

__all__ = [
    "Correlation",
    "IntensityClaim",
    "IntensityTable",
    "check_same_frames",
    "intensities_of",
    "intensity_claim",
]

Numbers = NDArray[np.float64]

NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Correlation:
    """Of the scores with the intensities, -1 .. 1.

    Attributes:
        frames: that it is measured on.
        people: on whom it rests: the fewest without whose frames all would be of one intensity; of
            a mean, see :func:`.measuring.behind_mean`.
        network: of the network's scores.
        baseline: of the baseline's; None where there is no baseline.
        difference: how much larger the network's is; None where there is no baseline.
    """

    frames: int
    people: int
    network: Measure
    baseline: Measure | None
    difference: Measure | None


@dataclass(frozen=True)
class IntensityTable:
    """Of some frames.

    Attributes:
        classes: each one's correlation.
        averaged: classes for which all is defined and that rest on enough people for an interval;
            where none does, all that are defined.
        average: mean over these.
    """

    classes: Mapping[str, Correlation]
    averaged: tuple[str, ...]
    average: Correlation


@dataclass(frozen=True)
class IntensityClaim:
    """Over all frames with known intensity, and over those of them that show the action unit."""

    all_frames: IntensityTable
    present: IntensityTable


def intensities_of(opened: OpenedFold) -> NDArray[np.int8]:
    """Intensities of the classes in the test frames, int8 [M, N]: 0 .. 5, -1 unknown.

    Raises:
        InputError: the classes are no action units.
    """
    units = {column(unit): place for place, unit in enumerate(opened.prepared.action_units)}
    if strange := sorted(set(opened.tested.classes) - units.keys()):
        raise InputError(
            f"run: expected action units, whose intensity is known, got {', '.join(strange)}"
        )
    columns = [units[name] for name in opened.tested.classes]
    return opened.prepared.intensities[opened.rows][:, columns]


def intensity_claim(
    tested: Predictions,
    intensities: NDArray[np.int8],
    baseline: Predictions | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> IntensityClaim:
    """Correlate scores with intensities, class by class.

    Args:
        tested: scores of M frames for N classes.
        intensities: int8 [M, N], 0 .. 5, -1 unknown, see :func:`intensities_of`.
        baseline: another network's scores of the same frames.
        resamples: of the subjects.
        seed: of these.

    Raises:
        InputError: the baseline is of other frames or classes, intensities are of another shape, or
            a number is out of range.
    """
    if intensities.shape != tested.scores.shape:
        raise InputError(
            f"intensities: expected {list(tested.scores.shape)}, got {list(intensities.shape)}"
        )
    networks = [tested]
    if baseline is not None:
        check_same_frames(tested, baseline)
        networks.append(baseline)
    known = intensities != UNKNOWN
    of_all, of_present = (
        _table(_frames_of(networks, intensities, counts), tested.subjects, resamples, seed)
        for counts in (known, known & (tested.labels == 1))
    )
    return IntensityClaim(of_all, of_present)


@dataclass(frozen=True)
class _Frames:
    """Of one class: numbers of the F frames that count, and the networks' scores of these."""

    name: str
    rows: NDArray[np.int64]
    intensities: NDArray[np.int8]
    scores: tuple[NDArray[np.float32], ...]

    def correlations(self, weights: Numbers) -> Numbers:
        """Each network's, and how much larger the first one's is than the second's, [R, 1 or 3].

        Args:
            weights: how often each of all M frames counts, [R, M].
        """
        weights = weights[:, self.rows]
        each = [rank_correlations(scores, self.intensities, weights) for scores in self.scores]
        return np.stack([*each, *(each[0] - other for other in each[1:])], axis=1)

    def people(self, owner: NDArray[np.int64]) -> int:
        """On whom the correlation rests: the fewest without whose frames all would be of one
        intensity.

        Args:
            owner: whose all M frames are.
        """
        owner = owner[self.rows]
        others = [self.intensities != value for value in np.unique(self.intensities)]
        return min((len(np.unique(owner[differs])) for differs in others), default=0)

    @property
    def missing(self) -> str:
        """Why there is no correlation, if there is none."""
        if not len(self.rows):
            return f"{self.name} is in no frame with known intensity"
        if np.ptp(self.intensities) == 0:
            return f"{self.name} has the same intensity in all frames"
        return f"{self.name} has the same score in all frames"


def _frames_of(
    networks: Sequence[Predictions], intensities: NDArray[np.int8], counts: NDArray[np.bool_]
) -> list[_Frames]:
    """Of each class, where counts, bool [M, N], tells which frames count."""
    found = []
    for place, name in enumerate(networks[0].classes):
        rows = np.flatnonzero(counts[:, place])
        scores = tuple(network.scores[rows, place] for network in networks)
        found.append(_Frames(name, rows, intensities[rows, place], scores))
    return found


def _table(
    frames: Sequence[_Frames], of_subjects: NDArray[Any], resamples: int, seed: int
) -> IntensityTable:
    subjects, owner = numbered(of_subjects)

    def by_class(chosen: NDArray[np.int64]) -> Numbers:
        weights = chosen[:, owner].astype(np.float64)
        return np.stack([each.correlations(weights) for each in frames], axis=1)

    everyone = by_class(np.ones((1, subjects), dtype=np.int64))[0]
    people = np.array([each.people(owner) for each in frames])
    has_all = ~np.isnan(everyone).any(axis=1)
    enough = has_all & (people >= FEWEST_SUBJECTS)
    averaged = enough if enough.any() else has_all

    def statistic(chosen: NDArray[np.int64]) -> Numbers:
        each = by_class(chosen)
        average = each[:, averaged].sum(axis=1) / (averaged.sum() or np.nan)
        return np.concatenate([each, average[:, None]], axis=1).reshape(len(chosen), -1)

    reasons = [*(each.missing for each in frames), "undefined for every class"]
    behind = [*people.tolist(), behind_mean(people[averaged].tolist())]
    kinds = everyone.shape[1]
    found = measured(
        statistic,
        np.repeat(behind, kinds).tolist(),
        subjects,
        np.repeat(reasons, kinds).tolist(),
        resamples,
        seed,
    )
    counted = [each for each, is_counted in zip(frames, averaged, strict=True) if is_counted]
    rows = [each.rows for each in frames]
    rows.append(np.unique(np.concatenate([NO_ROWS, *(each.rows for each in counted)])))
    *classes, average = (
        _correlation(len(each), behind[place], found[place * kinds : (place + 1) * kinds])
        for place, each in enumerate(rows)
    )
    return IntensityTable(
        classes={each.name: made for each, made in zip(frames, classes, strict=True)},
        averaged=tuple(each.name for each in counted),
        average=average,
    )


def _correlation(frames: int, people: int, found: Sequence[Measure]) -> Correlation:
    baseline, difference = found[1:] or (None, None)
    return Correlation(frames, people, found[0], baseline, difference)


def check_same_frames(tested: Predictions, baseline: Predictions) -> None:
    """See that both are of the same frames, with the same labels, and of the same classes.

    Raises:
        InputError: they are not.
    """
    if baseline.classes != tested.classes:
        raise InputError(
            f"baseline: expected the classes {', '.join(tested.classes)}, "
            f"got {', '.join(baseline.classes)}"
        )
    if not all(
        np.array_equal(getattr(baseline, name), getattr(tested, name))
        for name in ("subjects", "sequences", "frames", "labels")
    ):
        raise InputError(
            f"baseline: expected scores of the same {len(tested)} frames with the same labels, got "
            f"those of {len(baseline)} others; compare the same fold of runs on the same data"
        )
