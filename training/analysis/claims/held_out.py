"""Predictions of frames by linear functions that are learned from other people or recordings.

Ridge regression (Hoerl and Kennard, 1970). Frames of one person, and more so of one recording, are
much alike, so its strength has to be chosen by how well other folds are predicted; frames of the
same fold would ask for next to none.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

__all__ = ["LEAST_FOLDS", "NO_FOLD", "people_folds", "recording_folds", "ridge_predictions"]

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

STRENGTHS = 10.0 ** np.arange(-4, 5)
"""What is added to the variances of the features, which are standardised."""

LEAST_FOLDS = 3
"""One to predict, one to choose the strength on, and one to learn from."""

MOST_FOLDS = 5
NO_FOLD = -1


def people_folds(owner: Places) -> Places:
    """A fold for each frame, 0 .. at most 4, with all frames of a person in one.

    Args:
        owner: whose each frame is, 0 .. S - 1, int64 [M]; of two people at least.
    """
    folds = np.empty_like(owner)
    splits = GroupKFold(min(MOST_FOLDS, len(np.unique(owner)))).split(owner, groups=owner)
    for number, (_, held) in enumerate(splits):
        folds[held] = number
    return folds


def recording_folds(owner: Places, sequences: NDArray[Any]) -> Places:
    """A fold for each frame, 0 .. at most 4, with all frames of a recording in one.

    Every person is in every fold; those with fewer than three recordings are left out.

    Args:
        owner: whose each frame is, 0 .. S - 1, int64 [M].
        sequences: names of recordings among those of the same person, texts [M].

    Returns:
        int64 [M]; -1 for frames left out.
    """
    numbers = np.empty_like(owner)
    counts = np.zeros(owner.max() + 1, dtype=np.int64)
    for person in range(len(counts)):
        rows = owner == person
        names, numbers[rows] = np.unique(sequences[rows].astype(str), return_inverse=True)
        counts[person] = len(names)
    enough = counts >= LEAST_FOLDS
    fewest = counts[enough].min(initial=MOST_FOLDS)
    return np.where(enough[owner], numbers % fewest, NO_FOLD)


def ridge_predictions(
    features: NDArray[np.floating],
    targets: Numbers,
    folds: Places,
    *,
    one_strength: bool = False,
) -> Numbers:
    """Predict each frame's targets by a linear function learned from the other folds.

    Its strength is the one that predicts each of those folds best from the rest of them.

    Args:
        features: [M, F]; standardised by the mean and deviation of those that are learned from.
        targets: [M, T].
        folds: of each frame, int64 [M]; at least three different.
        one_strength: whether all targets share it.

    Returns:
        float64 [M, T].
    """
    parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    assert len(parts) >= LEAST_FOLDS, "nothing would be left to learn from"
    errors = np.zeros((len(parts), len(STRENGTHS), targets.shape[1]))
    for first, second in combinations(range(len(parts)), 2):
        held = np.concatenate([parts[first], parts[second]])
        squares = (_predictions(features, targets, held) - targets[held]) ** 2
        # Learned without both, so that each tells which strength suits the other one.
        errors[second] += squares[:, : len(parts[first])].sum(axis=1)
        errors[first] += squares[:, len(parts[first]) :].sum(axis=1)
    if one_strength:
        errors = np.broadcast_to(errors.sum(axis=2, keepdims=True), errors.shape)
    found = np.empty(targets.shape)
    for part, best in zip(parts, errors.argmin(axis=1), strict=True):
        by_strength = _predictions(features, targets, part)
        found[part] = np.take_along_axis(by_strength, best[None, None], axis=0)[0]
    return found


def _predictions(features: NDArray[np.floating], targets: Numbers, held: Places) -> Numbers:
    """Of some frames, learned from all others: by strength, [A, H, T]."""
    is_learned = np.ones(len(targets), dtype=bool)
    is_learned[held] = False
    learned = features[is_learned].astype(np.float64)
    mean, deviation = learned.mean(axis=0), learned.std(axis=0)
    deviation[deviation == 0] = 1
    learned = (learned - mean) / deviation
    asked = (features[held] - mean) / deviation
    offset = targets[is_learned].mean(axis=0)
    wanted = targets[is_learned] - offset
    # In the axes of the smaller of the two matrices of products.
    if len(learned) >= learned.shape[1]:
        variances, axes = np.linalg.eigh(learned.T @ learned)
        coefficients, values = axes.T @ (learned.T @ wanted), asked @ axes
    else:
        variances, axes = np.linalg.eigh(learned @ learned.T)
        coefficients, values = axes.T @ wanted, asked @ learned.T @ axes
    penalties = STRENGTHS[:, None] * len(learned)
    shrunk = coefficients / (variances.clip(0) + penalties)[:, :, None]
    predictions: Numbers = values @ shrunk + offset
    return predictions
