"""Numbers with confidence intervals, of whatever can be computed for any choice of subjects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import harmonic_mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.evaluation.bootstrap import draws, interval_of
from fastcaps.training.evaluation.measures import defined, undefined
from fastcaps.training.evaluation.report import Measure

__all__ = ["Statistic", "against_first", "behind_mean", "measured", "numbered", "sums_by_person"]

Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From how often each of S subjects is drawn, int64 [R, S], to K numbers, float64 [R, K]; NaN where
one is undefined."""


def measured(
    statistic: Statistic,
    people: Sequence[int],
    subjects: int,
    reasons: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    *,
    recentred: bool = False,
) -> list[Measure]:
    """K numbers of all subjects and their intervals.

    All numbers are of the same resamples, so that differences among them are paired.

    Args:
        statistic: gives the numbers.
        people: on how many of the subjects each number rests; K, see :func:`interval_of`.
        subjects: S, at least 1.
        reasons: why a number is undefined, if it is; K texts.
        resamples: how many.
        seed: of the choice of subjects.
        recentred: whether intervals are shifted by what resamples lie off a number on average,
            which is the bootstrap's estimate of bias (Efron and Tibshirani, 1993, chapter 10).

    Raises:
        InputError: ``resamples`` or ``seed`` is out of range.
    """
    values = statistic(np.ones((1, subjects), dtype=np.int64))[0]
    resampled = np.concatenate([statistic(chosen) for chosen in draws(subjects, resamples, seed)])
    found = []
    for value, column, behind, reason in zip(values, resampled.T, people, reasons, strict=True):
        if np.isnan(value):
            found.append(undefined(reason))
            continue
        if recentred:
            column = column + value - np.nanmean(column)
        low, high = interval_of(column, behind)
        found.append({**defined(float(value)), "low": low, "high": high})
    return found


def behind_mean(people: Sequence[int]) -> int:
    """On how many people a mean rests, from on how many its parts do: their harmonic mean.

    The variance of a part falls with the number of people, so that with as many for each part the
    mean of independent parts would vary as it does. Rounded down; 0 for no parts.
    """
    return int(harmonic_mean(people)) if len(people) else 0


def against_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [..., K], and how much larger the first is than each other one: [..., 2 K - 1]."""
    return np.concatenate([values, values[..., :1] - values[..., 1:]], axis=-1)


def numbered(names: NDArray[Any]) -> tuple[int, NDArray[np.int64]]:
    """How many different names there are, and which of them each is, 0 .. S - 1, int64 [M]."""
    different, numbers = np.unique(names.astype(str), return_inverse=True)
    return len(different), numbers.astype(np.int64)


def sums_by_person(
    numbers: NDArray[np.float64], owner: NDArray[np.int64], people: int
) -> NDArray[np.float64]:
    """Sums over the frames of each person.

    Args:
        numbers: of M frames, [M, ...].
        owner: whose they are, 0 .. S - 1, int64 [M].
        people: S.

    Returns:
        [S, ...].
    """
    is_owner = (owner == np.arange(people)[:, None]).astype(np.float64)
    each = numbers.shape[1:]
    return (is_owner @ numbers.reshape(len(owner), math.prod(each))).reshape(people, *each)
