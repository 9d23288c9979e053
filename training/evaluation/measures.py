"""F1, AUC and accuracy of each class over some frames.

What cannot be known - an F1 without any frame that shows the class, an AUC with one side only - is
reported as undefined with its reason, never as a number, and so is what is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.evaluation.decisions import RULES, Decisions
from fastcaps.training.evaluation.report import MEASURES, Measure

__all__ = ["accuracy", "auc", "class_measures", "defined", "f1", "mean", "undefined"]


def f1(labels: NDArray[np.int8], present: NDArray[np.bool_]) -> float | None:
    """F1 of one class over the frames with known labels; 0 where none of its frames is found.

    Args:
        labels: 1 present, 0 absent, -1 unknown, int8 [N].
        present: whether the class is taken to be present, bool [N].

    Returns:
        The F1, or None where no label is positive.
    """
    if not (labels == 1).any():
        return None
    known = labels != UNKNOWN
    return float(f1_score(labels[known] == 1, present[known]))


def auc(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float | None:
    """Area under the ROC curve of one class over the frames with known labels.

    Args:
        labels: 1 present, 0 absent, -1 unknown, int8 [N].
        scores: float32 [N].

    Returns:
        The area, or None where no label is positive or none is negative.
    """
    if not ((labels == 1).any() and (labels == 0).any()):
        return None
    known = labels != UNKNOWN
    return float(roc_auc_score(labels[known] == 1, scores[known]))


def accuracy(labels: NDArray[np.int8], present: NDArray[np.bool_]) -> float | None:
    """The part of the known labels of one class that is right; arguments as of :func:`f1`.

    Returns:
        The accuracy, or None where no label is known.
    """
    known = labels != UNKNOWN
    return float(accuracy_score(labels[known] == 1, present[known])) if known.any() else None


def class_measures(decisions: Decisions, where: str) -> list[dict[str, Measure]]:
    """All measures of each class, in the order of the classes, without intervals.

    Args:
        decisions: for some frames.
        where: what reasons call these frames, as "fold 1".
    """
    predictions = decisions.predictions
    return [
        _of_class(decisions, place, name, where) for place, name in enumerate(predictions.classes)
    ]


def defined(value: float) -> Measure:
    """A measure without interval."""
    return {"value": value, "low": None, "high": None, "undefined": None}


def undefined(reason: str) -> Measure:
    """A measure that cannot be known."""
    return {"value": None, "low": None, "high": None, "undefined": reason}


def mean(measures: Sequence[Measure]) -> Measure:
    """The mean of at least one measure, without interval; undefined where one of them is."""
    reasons = dict.fromkeys(each["undefined"] for each in measures if each["undefined"])
    values = [each["value"] for each in measures if each["value"] is not None]
    return undefined("; ".join(reasons)) if reasons else defined(float(np.mean(values)))


def _of_class(decisions: Decisions, place: int, name: str, where: str) -> dict[str, Measure]:
    predictions = decisions.predictions
    labels, scores = predictions.labels[:, place], predictions.scores[:, place]
    present = {rule: decisions.present[rule][:, place] for rule in RULES}
    values = {
        "auc": auc(labels, scores),
        "accuracy": accuracy(labels, present["f1"]),
        **{rule: f1(labels, present[rule]) for rule in RULES},
    }
    undecided: Mapping[str, str | None] = {
        rule: reasons[place] for rule, reasons in decisions.undecided.items()
    }
    missing = f"{name} has {_missing(labels)} in {where}"
    measures: dict[str, Measure] = {}
    for measure in MEASURES:
        value, reason = values[measure], undecided.get(measure)
        if value is None or reason:
            measures[measure] = undefined(missing if value is None else reason or "")
        else:
            measures[measure] = defined(value)
    return measures


def _missing(labels: NDArray[np.int8]) -> str:
    if not (labels != UNKNOWN).any():
        return "no known label"
    return "no negative" if (labels == 1).any() else "no positive"
