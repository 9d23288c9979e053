"""Thresholds for scores, chosen on frames that a network was trained on.

A class counts as present where its score is the threshold or more. What differs between two
thresholds is only which scores lie above, so the candidates are the smallest score, above which is
everything, and the middle between each score and the next larger one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN

__all__ = ["equal_error_threshold", "largest_f1_threshold"]


def equal_error_threshold(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float | None:
    """Where the false positive rate is nearest to the false negative rate.

    The smaller one where two are equally near. More cannot be: from each candidate to the next,
    one rate falls or the other rises.

    Args:
        labels: of one class: 1 present, 0 absent, -1 unknown, which does not count, int8 [N].
        scores: float32 [N].

    Returns:
        The threshold, or None where the class is nowhere present or nowhere absent.
    """
    candidates = _candidates(labels, scores)
    if candidates is None:
        return None
    false_positives = candidates.negatives_above * candidates.positives
    false_negatives = (candidates.positives - candidates.positives_above) * candidates.negatives
    return float(candidates.thresholds[np.abs(false_positives - false_negatives).argmin()])


def largest_f1_threshold(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float | None:
    """Where F1 is largest; the smallest of several such thresholds.

    Arguments and result are as of :func:`equal_error_threshold`.
    """
    candidates = _candidates(labels, scores)
    if candidates is None:
        return None
    above = candidates.positives_above + candidates.negatives_above
    # Equal fractions are equal after rounding, so ties are found.
    f1 = 2 * candidates.positives_above / (above + candidates.positives)
    return float(candidates.thresholds[f1.argmax()])


@dataclass(frozen=True)
class _Candidates:
    """Thresholds, ascending, float64 [G], and how many frames of either side they keep, int64."""

    thresholds: NDArray[np.float64]
    positives_above: NDArray[np.int64]
    negatives_above: NDArray[np.int64]
    positives: int
    negatives: int


def _candidates(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> _Candidates | None:
    known = labels != UNKNOWN
    is_positive = labels[known] == 1
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    if not positives or not negatives:
        return None
    # In float64 the middle of two float32 numbers is exact.
    values, place = np.unique(scores[known].astype(np.float64), return_inverse=True)
    above = [
        np.bincount(place[side], minlength=len(values))[::-1].cumsum()[::-1]
        for side in (is_positive, ~is_positive)
    ]
    thresholds = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    return _Candidates(thresholds, above[0], above[1], positives, negatives)
