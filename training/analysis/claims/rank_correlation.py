"""Spearman's rank correlation of frames that count several times, as resamples of people make them.

Equal numbers have their mean rank.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["rank_correlations"]

Numbers = NDArray[np.float64]


def rank_correlations(first: NDArray[Any], second: NDArray[Any], weights: Numbers) -> Numbers:
    """Spearman's correlation of frames that count several times.

    Args:
        first, second: to be correlated, [F].
        weights: how often each frame counts, R times, [R, F].

    Returns:
        float64 [R], -1 .. 1; NaN where all that counts is equal.
    """
    x, y = _ranks(first, weights), _ranks(second, weights)
    squares = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations: Numbers = (weights * x * y).sum(axis=1) / np.sqrt(squares)
    return correlations


def _ranks(numbers: NDArray[Any], weights: Numbers) -> Numbers:
    """Mean ranks, less their mean: [R, F]."""
    different, group = np.unique(numbers, return_inverse=True)
    starts = np.searchsorted(group[order := np.argsort(group)], np.arange(len(different)))
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = totals.cumsum(axis=1) - totals / 2 - weights.sum(axis=1, keepdims=True) / 2
    return ranks[:, group]
