"""What is larger than chance over people, where many things are asked of one unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from fastcaps.training.evaluation.bootstrap import CONFIDENCE

__all__ = ["LEAST_PEOPLE", "over_people", "p_values", "significant", "totals"]

Numbers = NDArray[np.float64]

LEVEL = (1 - CONFIDENCE) / 2
"""Of one side."""

LEAST_PEOPLE = 6
"""Fewer agree by chance too often, whatever they show: 2 ** -5 is above :data:`LEVEL`."""


def p_values(excess: Numbers, variance: Numbers, people: Numbers) -> Numbers:
    """Probability of means over people being so far above chance by chance, by Student's t.

    Args:
        excess: means less what chance gives.
        variance: of these, of the same shape.
        people: that the means are over, of a shape that fits; the probability of one is 1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = student.sf(excess / np.sqrt(variance), people - 1)
    found = np.where(variance > 0, found, np.where(excess > 0, 0.0, 1.0))
    return np.where(people > 1, found, 1.0)


def significant(
    probabilities: Numbers, asked: NDArray[np.bool_], level: float = LEVEL
) -> NDArray[np.bool_]:
    """Which of the things asked of a unit are so, by Benjamini and Hochberg (1995).

    Of those said to be so, 2.5%, or ``level``, are expected not to be; and of a unit of which
    nothing is so, nothing is said in 97.5% of cases, however much is asked. That holds as far as
    the probabilities do.

    Args:
        probabilities: of N things, [..., N, U] for U units.
        asked: which of these, bool [..., N, U]; the others are not so.
        level: part of what is said that may be wrong.
    """
    tried = np.where(asked, probabilities, np.inf)
    ranks = np.arange(1, tried.shape[-2] + 1)[:, None]
    allowed = level * ranks / np.maximum(asked.sum(axis=-2, keepdims=True), 1)
    ordered = np.sort(tried, axis=-2)
    # All up to the last one that is as improbable as its rank asks for.
    limit = np.where(ordered <= allowed, ordered, -np.inf).max(
        axis=-2, keepdims=True, initial=-np.inf
    )
    return tried <= limit


def over_people(values: Numbers, chosen: NDArray[np.int64]) -> tuple[Numbers, Numbers, Numbers]:
    """Means over people, the variances of these, and how many people they are of.

    Args:
        values: of N things for U units, [N, S, U]; NaN for people who have none.
        chosen: how often each person counts, int64 [R, S].

    Returns:
        [R, N, U] twice, and [R, N, 1]; NaN where no one has a value, or, of variances, only one.
    """
    count = totals(~np.isnan(values[:, :, :1]), chosen)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = totals(values, chosen) / count
        variance = (totals(values**2, chosen) / count - mean**2).clip(0) / (count - 1)
    return mean, variance, count


def totals(values: NDArray[Any], chosen: NDArray[np.int64]) -> Numbers:
    """Sums over people who count several times, [N, S, U] -> [R, N, U]; NaN counts as 0."""
    known = np.nan_to_num(values.astype(np.float64))
    sums: Numbers = np.tensordot(chosen.astype(np.float64), known, axes=(1, 1))
    return sums
