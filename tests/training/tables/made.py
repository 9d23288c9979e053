"""Evaluations to put into tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastcaps.training.action_units import BP4D_ACTION_UNITS, DISFA_ACTION_UNITS, column
from fastcaps.training.evaluation.report import MEASURES, Evaluation

USUAL = {"network": "AUCapsNet", "data_set": "other", "weights": "random", "epochs": 7}

DASH = "\N{EN DASH}"

BP4D = tuple(map(column, BP4D_ACTION_UNITS))
DISFA = tuple(map(column, DISFA_ACTION_UNITS))


def measure(value: float | None, half_width: float | None = None) -> dict[str, Any]:
    """Of a fraction, with an interval around it; None is undefined."""
    low, high = None, None
    if value is not None and half_width is not None:
        low, high = value - half_width, value + half_width
    undefined = "a reason" if value is None else None
    return {"value": value, "low": low, "high": high, "undefined": undefined}


def result(values: Mapping[str, float | None], half_width: float | None) -> dict[str, Any]:
    """All measures of a class are the same, and AUC is half of them."""

    def measures(value: float | None) -> dict[str, Any]:
        of_value = dict.fromkeys(MEASURES, measure(value, half_width))
        return {**of_value, "auc": measure(None if value is None else value / 2, half_width)}

    known = [value for value in values.values() if value is not None]
    average = sum(known) / len(known) if len(known) == len(values) else None
    classes = {
        name: {"positives": 5, "known": 9, **measures(value)} for name, value in values.items()
    }
    return {"classes": classes, "average": measures(average)}


def evaluation(
    values: Mapping[str, float | None] | Sequence[str],
    *,
    folds: int = 3,
    half_width: float | None = 0.01,
    accuracies: Sequence[float | None] | None = None,
    data: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Evaluation:
    """Of the classes' values, 0.5 where only their names are given.

    Args:
        values: by class.
        folds: how many of three there are.
        half_width: of all intervals.
        accuracies: on emotions: collated, averaged, and of the best epochs.
        data: what is told of the data.
        **settings: of the run.
    """
    by_class = dict(values) if isinstance(values, Mapping) else dict.fromkeys(values, 0.5)
    names = ("accuracy", "averaged_accuracy", "best_epoch_accuracy")
    emotion = None
    if accuracies is not None:
        widths = (half_width, None, None)
        emotion = {
            name: measure(value, width)
            for name, value, width in zip(names, accuracies, widths, strict=True)
        }
    made: Any = {
        "version": 1,
        "settings": {**USUAL, **settings},
        "data": dict(data or {}),
        "target": "action_units" if accuracies is None else "emotions",
        "classes": list(by_class),
        "folds": list(range(1, folds + 1)),
        "folds_expected": 3,
        "frames": 1234,
        "subjects": 41,
        "resamples": 1000,
        "confidence": 0.95,
        "collated": result(by_class, half_width),
        "per_fold": {},
        "averaged": result(by_class, None),
        "emotion": emotion,
        "training": {
            "parameters": 1000,
            "decoder_parameters": 300,
            "images_per_second": 50.0,
            "seconds": 10.5,
            "device": "cpu",
        },
    }
    found: Evaluation = made
    return found
