"""What ``evaluation.json`` in a run's folder holds, and how it is read.

All measures are fractions, 0 .. 1. No number in it is ever NaN or infinite.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypedDict

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.types_in_json import check_type
from fastcaps.training.folders import read_json

__all__ = [
    "EVALUATION",
    "MEASURES",
    "VERSION",
    "ClassResult",
    "Emotion",
    "Evaluation",
    "Measure",
    "MeasureName",
    "Measures",
    "OptimisticMeasure",
    "Result",
    "Training",
    "load_evaluation",
]

EVALUATION = "evaluation.json"
VERSION = 1

MeasureName = Literal["f1", "f1_equal_error", "f1_tuned", "auc", "accuracy"]
MEASURES: tuple[MeasureName, ...] = ("f1", "f1_equal_error", "f1_tuned", "auc", "accuracy")


class Measure(TypedDict):
    """A number and its confidence interval.

    ``undefined`` says why there is no value. ``low`` and ``high`` are None where the value is, and
    where no interval can be given: of fewer than five subjects, where too many resamples leave the
    measure undefined, and of means over folds.
    """

    value: float | None
    low: float | None
    high: float | None
    undefined: str | None


class OptimisticMeasure(Measure):
    """A measure that is better than what is to be expected of new frames, and why."""

    optimistic: str


class Measures(TypedDict):
    """F1 of what the three rules decide (see ``RULES`` in :mod:`.decisions`), the area under the
    ROC curve, and the part of the labels that is right by the first rule."""

    f1: Measure
    f1_equal_error: Measure
    f1_tuned: Measure
    auc: Measure
    accuracy: Measure


class ClassResult(Measures):
    """Of one class, with the number of positive and of known labels."""

    positives: int
    known: int


class Result(TypedDict):
    """Of each class, and the means over these."""

    classes: dict[str, ClassResult]
    average: Measures


class Emotion(TypedDict):
    """How often the emotion with the largest score is right.

    ``accuracy`` is of all frames together, ``averaged_accuracy`` the mean over the folds.
    ``confusion`` has a row for each emotion shown and a column for each emotion found.
    """

    accuracy: Measure
    averaged_accuracy: Measure
    best_epoch_accuracy: OptimisticMeasure
    per_fold: dict[str, Measure]
    confusion: list[list[int]]


class Training(TypedDict):
    """What it cost: ``images_per_second`` is the median of the folds, ``seconds`` their sum."""

    parameters: int | None
    decoder_parameters: int | None
    images_per_second: float | None
    seconds: float | None
    device: str


class Evaluation(TypedDict):
    """All of it. ``collated`` is of all test frames of all folds together, ``averaged`` holds the
    means over the folds. ``folds`` were evaluated, ``folds_expected`` is how many the run has when
    it is complete."""

    version: int
    settings: dict[str, Any]
    data: dict[str, Any]
    target: Literal["action_units", "emotions"]
    classes: list[str]
    folds: list[int]
    folds_expected: int
    frames: int
    subjects: int
    resamples: int
    confidence: float
    collated: Result
    per_fold: dict[str, Result]
    averaged: Result
    emotion: Emotion | None
    training: Training


def load_evaluation(path: Path) -> Evaluation:
    """Read an ``evaluation.json``.

    Raises:
        InputError: it cannot be read, is of another version, or does not hold what it must.
    """
    found: Any = read_json(path)
    if found.get("version") != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION}, got {found.get('version')}; "
            "evaluate the run again"
        )
    try:
        check_type(found, Evaluation, "evaluation")
        _check_consistent(found)
    except InputError as error:
        raise InputError(f"{path}: {error}; evaluate the run again") from error
    evaluation: Evaluation = found
    return evaluation


def run_evaluation(run: Path) -> Evaluation:
    """The evaluation in a run's folder.

    Raises:
        InputError: there is none, or it cannot be used; see :func:`load_evaluation`.
    """
    path = run / EVALUATION
    if not path.is_file():
        raise InputError(
            f"{run}: expected a run with {EVALUATION}, got none; "
            f"evaluate it first: fastcaps-au evaluate {run}"
        )
    return load_evaluation(path)


def _check_consistent(found: Evaluation) -> None:
    results = [found["collated"], found["averaged"], *found["per_fold"].values()]
    if any(list(result["classes"]) != found["classes"] for result in results):
        raise InputError(f"expected results of {', '.join(found['classes'])}, got others")
    if list(found["per_fold"]) != [str(fold) for fold in found["folds"]]:
        raise InputError(f"expected results of the folds {found['folds']}, got others")
    for name, part in found.items():
        if name not in ("settings", "data"):
            _check_measures(part, name)
    if (found["emotion"] is None) != (found["target"] == "action_units"):
        raise InputError("expected emotion where emotions are the target, and only there")


def _check_measures(found: Any, place: str) -> None:
    """See that every measure within is a fraction, or says why there is none."""
    if not isinstance(found, dict):
        return
    if "undefined" not in found:
        for name, entry in found.items():
            _check_measures(entry, f"{place}, {name}")
        return
    numbers = (found["value"], found["low"], found["high"])
    if any(number is not None and not 0 <= number <= 1 for number in numbers):
        raise InputError(f"{place}: expected fractions, 0 .. 1, got {numbers}")
    if (found["value"] is None) == (found["undefined"] is None):
        raise InputError(f"{place}: expected either a value or why there is none, got {found}")
