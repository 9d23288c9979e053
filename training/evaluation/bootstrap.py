"""Percentile confidence intervals, resampling subjects: frames of one subject are much alike.

Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. Resamples of few subjects
vary less than other subjects would; so the percentiles are those further out that make intervals of
a mean as wide as Student's: the expanded percentile interval of Hesterberg (2015), What teachers
should know about the bootstrap, The American Statistician 69:4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import t as student

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.measures import defined, undefined
from fastcaps.training.evaluation.report import Measure
from fastcaps.training.evaluation.tallies import Tallies, measures_of

__all__ = [
    "CONFIDENCE",
    "FEWEST_SUBJECTS",
    "Interval",
    "Intervals",
    "average_differences",
    "check",
    "draws",
    "interval_of",
    "intervals",
]

CONFIDENCE = 0.95

MOST_UNDEFINED = 0.1
"""Part of the resamples that may leave a measure undefined before it has no interval."""

FEWEST_SUBJECTS = 5
"""Means of fewer lie outside all their resamples too often: of n normal numbers in 2^(1 - n) of
cases, which for four is 12%."""

BLOCK_RESAMPLES = 16
"""Resamples measured at once; the sums of more would not fit into the cache where each of many
frames is a subject of its own."""

Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Intervals:
    """Of one measure: for each class, and for the mean over the classes."""

    classes: tuple[Interval, ...]
    average: Interval


def intervals(tallies: Tallies, resamples: int, seed: int) -> dict[str, Intervals]:
    """Intervals of all that :func:`measures_of` gives, by its names.

    Resamples without a value for a class count neither for it nor for the mean over the classes.
    An interval is (None, None) where more than a tenth of the resamples are such, or where there
    are fewer than five subjects.

    Args:
        tallies: of the frames.
        resamples: how many.
        seed: of the choice of subjects.

    Raises:
        InputError: ``resamples`` or ``seed`` is out of range.
    """
    subjects = len(tallies.subjects)
    resampled = _resampled([tallies], resamples, seed)[0]
    return {
        name: Intervals(
            tuple(interval_of(values[:, place], subjects) for place in range(values.shape[1])),
            interval_of(values.mean(axis=1), subjects),
        )
        for name, values in resampled.items()
    }


def average_differences(
    first: Tallies, second: Tallies, resamples: int, seed: int
) -> dict[str, Measure]:
    """How much larger the first model's means over the classes are than the second's.

    Both models are measured on the same frames, and in each resample on the same subjects, so
    that what makes a subject hard for both does not count.

    Args:
        first, second: of the same frames, by two models.
        resamples: how many.
        seed: of the choice of subjects.

    Returns:
        By the names of :func:`measures_of`: the difference, -1 .. 1, and its interval.

    Raises:
        InputError: they are of different frames, labels or classes, or a number is out of range.
    """
    if (first.classes, first.digest) != (second.classes, second.digest):
        raise InputError(
            "models: expected predictions for the same frames with the same labels, got "
            f"{first.frames.sum():.0f} frames of {', '.join(first.classes)} and "
            f"{second.frames.sum():.0f} of {', '.join(second.classes)} that differ"
        )
    subjects = len(first.subjects)
    everyone = np.ones((1, subjects), dtype=np.int64)
    values = [measures_of(tallies, everyone) for tallies in (first, second)]
    resampled = _resampled([first, second], resamples, seed)
    differences: dict[str, Measure] = {}
    for name in values[0]:
        difference = values[0][name][0] - values[1][name][0]
        if np.isnan(difference).any():
            classes = np.array(first.classes)[np.isnan(difference)]
            differences[name] = undefined(f"{', '.join(classes)} undefined in one model or both")
            continue
        low, high = interval_of((resampled[0][name] - resampled[1][name]).mean(axis=1), subjects)
        differences[name] = {**defined(float(difference.mean())), "low": low, "high": high}
    return differences


def check(resamples: int, seed: int) -> None:
    """See that both are in range.

    Raises:
        InputError: one is not.
    """
    for name, value, least in (("resamples", resamples, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}: expected at least {least}, got {value}")


def draws(subjects: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each subject is drawn, int64 [R, S], each row with sum S; in blocks of rows."""
    check(resamples, seed)
    chances = np.full(subjects, 1 / subjects)
    random = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK_RESAMPLES):
        size = min(BLOCK_RESAMPLES, resamples - start)
        yield random.multinomial(subjects, chances, size=size)


def interval_of(values: NDArray[np.float64], subjects: int) -> Interval:
    """Of the resamples [R] with a value, of a number that rests on so many subjects; see
    :func:`intervals`."""
    kept = values[~np.isnan(values)]
    if subjects < FEWEST_SUBJECTS or len(kept) < (1 - MOST_UNDEFINED) * len(values):
        return None, None
    spread = math.sqrt(subjects / (subjects - 1))
    tail = normal.cdf(spread * student.ppf((1 - CONFIDENCE) / 2, subjects - 1))
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(
    models: Sequence[Tallies], resamples: int, seed: int
) -> list[dict[str, NDArray[np.float64]]]:
    """The measures of each model, see :func:`measures_of`, on the same resamples."""
    found = [
        [measures_of(tallies, choices) for tallies in models]
        for choices in draws(len(models[0].subjects), resamples, seed)
    ]
    return [
        {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        for blocks in zip(*found, strict=True)
    ]
