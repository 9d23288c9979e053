"""How often the emotion with the largest score is right."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.measures import defined, undefined
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import Measure
from fastcaps.training.run_files import LOG

__all__ = ["best_epoch_accuracy", "confusion", "emotion_accuracy"]

COLUMN = "test_accuracy"


def emotion_accuracy(predictions: Predictions) -> Measure:
    """The part of the frames that are right, without interval."""
    return defined(float(accuracy_score(*_shown_and_found(predictions))))


def confusion(predictions: Predictions) -> list[list[int]]:
    """How many frames: a row for each emotion shown, a column for each emotion found."""
    emotions = np.arange(len(predictions.classes))
    counts = confusion_matrix(*_shown_and_found(predictions), labels=emotions)
    return [[int(count) for count in row] for row in counts]


def best_epoch_accuracy(folder: Path, name: str) -> Measure:
    """The largest test accuracy of any epoch of a fold; undefined where none is in its log.

    Args:
        folder: the fold's, with ``log.csv``.
        name: what reasons call the fold.

    Raises:
        InputError: the log cannot be read, or holds something else than numbers 0 .. 1.
    """
    path = folder / LOG
    if not path.exists():
        return undefined(f"{name} has no {LOG}")
    try:
        with open(path, newline="") as file:
            texts = [row.get(COLUMN) for row in csv.DictReader(file)]
        values = [float(text) for text in texts if text]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"{path}: expected {COLUMN} 0 .. 1, got {values}")
    if not values:
        return undefined(f"{name} was not tested after each epoch (test_each_epoch)")
    return defined(max(values))


def _shown_and_found(predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return predictions.labels.argmax(axis=1), predictions.scores.argmax(axis=1)
