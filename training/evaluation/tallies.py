"""Sums over the frames of each subject, from which the measures of any choice of subjects follow.

Let a subject be chosen w_s times. True positives and all other counts are then sums over s of w_s
times those of the subject, and the AUC is the part of the pairs of a positive and a negative frame
in which the positive one has the larger score, ties counting half (see :mod:`.concordance`):

    AUC = sum_st w_s U_st w_t / sum_st w_s P_s N_t w_t

with P_s positive and N_t negative frames, and U_st of such pairs of subject s's positive with
subject t's negative ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.evaluation.concordance import Concordance, concordance
from fastcaps.training.evaluation.decisions import RULES, Decisions
from fastcaps.training.evaluation.predictions import Predictions

__all__ = ["ALL_CLASSES", "Tallies", "measures_of", "tally"]

Numbers = NDArray[np.float64]

ALL_CLASSES = "all_classes"
"""Of :func:`measures_of`: the part of the frames of which every class is right. Where classes are
exclusive this is how often the one with the largest score is the one present."""


@dataclass(frozen=True)
class Tallies:
    """Of S subjects and C classes; all float64.

    Attributes:
        classes: names.
        subjects: names, sorted.
        digest: of the frames and their labels, whatever their order.
        frames: how many, [S].
        all_right: those with all classes decided rightly by the first rule, [S].
        known, positives: labels, [S, C].
        right: labels that the first rule decides rightly, [S, C].
        taken: by rule: known labels taken for positive, [S, C]; NaN for classes that the rule
            leaves undecided.
        found: by rule: those of them that are positive, [S, C].
        concordant: pairs, of each class.
    """

    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    digest: str
    frames: Numbers
    all_right: Numbers
    known: Numbers
    positives: Numbers
    right: Numbers
    taken: Mapping[str, Numbers]
    found: Mapping[str, Numbers]
    concordant: tuple[Concordance, ...]


def tally(decisions: Decisions) -> Tallies:
    """Add up the frames of each subject."""
    predictions = decisions.predictions
    labels = predictions.labels
    subjects, owner = np.unique(predictions.subjects.astype(str), return_inverse=True)

    def by_subject(is_counted: NDArray[np.bool_]) -> Numbers:
        columns = is_counted.reshape(len(owner), -1).T
        sums = [np.bincount(owner, column, minlength=len(subjects)) for column in columns]
        return np.stack(sums, axis=1)

    known, is_positive = labels != UNKNOWN, labels == 1
    right = decisions.present["f1"] == is_positive
    undecided = {
        rule: np.array([reason is not None for reason in decisions.undecided[rule]])
        for rule in RULES
    }
    return Tallies(
        classes=predictions.classes,
        subjects=tuple(subjects.tolist()),
        digest=_digest(predictions),
        frames=by_subject(np.ones(len(owner), bool))[:, 0],
        all_right=by_subject((right | ~known).all(axis=1))[:, 0],
        known=by_subject(known),
        positives=by_subject(is_positive),
        right=by_subject(right & known),
        taken={
            rule: np.where(undecided[rule], np.nan, by_subject(decisions.present[rule] & known))
            for rule in RULES
        },
        found={rule: by_subject(decisions.present[rule] & is_positive) for rule in RULES},
        concordant=tuple(
            concordance(labels[:, place], predictions.scores[:, place], owner, len(subjects))
            for place in range(len(predictions.classes))
        ),
    )


def measures_of(tallies: Tallies, weights: NDArray[np.int64]) -> dict[str, Numbers]:
    """The measures of R choices of subjects.

    Args:
        tallies: of S subjects and C classes.
        weights: how often each subject is chosen, int64 [R, S].

    Returns:
        For each of ``MEASURES`` (see :mod:`.report`) float64 [R, C], and for
        :data:`ALL_CLASSES` float64 [R, 1]; NaN where undefined.
    """
    chosen = weights.astype(np.float64)
    known, positives = chosen @ tallies.known, chosen @ tallies.positives
    concordant = np.stack([pairs.of(chosen) for pairs in tallies.concordant], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            rule: np.where(
                positives > 0,
                2 * (chosen @ tallies.found[rule]) / (chosen @ tallies.taken[rule] + positives),
                np.nan,
            )
            for rule in RULES
        }
        measures["auc"] = concordant / (positives * (known - positives))
        measures["accuracy"] = (chosen @ tallies.right) / known
        measures[ALL_CLASSES] = (chosen @ tallies.all_right / (chosen @ tallies.frames))[:, None]
    return measures


def _digest(predictions: Predictions) -> str:
    table = pd.DataFrame(predictions.labels)
    table["subject"] = predictions.subjects.astype(object)
    table["sequence"] = predictions.sequences.astype(object)
    table["frame"] = predictions.frames
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashlib.sha256(np.sort(rows).tobytes()).hexdigest()
