"""Predictions and runs' folders to evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, t

from fastcaps.training.evaluation.predictions import Predictions

SETTINGS = {
    "network": "AUCapsNet",
    "data_set": "other",
    "target": "action_units",
    "fold_count": None,
    "seed": 0,
    "data": {"digest": "abc"},
}
RESULT = {
    "epochs": 2,
    "parameters": 1000,
    "decoder_parameters": 300,
    "images_per_second": 50.0,
    "seconds": 10.5,
    "device": "cpu",
    "alpha": 1e-7,
}


def predictions(
    labels: Any,
    scores: Any,
    subjects: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    exclusive: bool = False,
) -> Predictions:
    """Of the frames 0 .. N - 1; a list of numbers is one class."""
    labels, scores = np.asarray(labels, np.int8), np.asarray(scores, np.float32)
    if labels.ndim == 1:
        labels, scores = labels[:, None], scores[:, None]
    return Predictions(
        classes=tuple(classes or [f"AU{place + 1:02d}" for place in range(labels.shape[1])]),
        exclusive=exclusive,
        subjects=np.array(subjects or ["S1"] * len(labels), dtype=object),
        sequences=np.array(["T1"] * len(labels), dtype=object),
        frames=np.arange(len(labels), dtype=np.int64),
        labels=labels,
        scores=scores,
    )


def random_predictions(
    seed: int, subjects: Sequence[str], frames: int = 9, classes: int = 3, levels: int = 5
) -> Predictions:
    """With ties, unknown labels, and scores that are better than chance."""
    random = np.random.default_rng(seed)
    shape = (frames * len(subjects), classes)
    labels = random.choice([0, 0, 1, 1, -1], shape)
    scores = (random.integers(0, levels, shape) + (labels == 1)) / (levels + 1)
    return predictions(labels, scores, [name for name in subjects for _ in range(frames)])


def emotion_predictions(seed: int, subjects: Sequence[str], frames: int = 6) -> Predictions:
    random = np.random.default_rng(seed)
    classes = ("neutral", "anger", "fear")
    shown = np.arange(frames * len(subjects)) % 3
    labels = np.eye(3, dtype=np.int8)[shown]
    scores = random.random((len(shown), 3)) + labels / 2
    scores /= scores.sum(axis=1, keepdims=True)
    names = [name for name in subjects for _ in range(frames)]
    return predictions(labels, scores, names, classes, exclusive=True)


def write_fold(
    run: Path,
    number: int,
    tested: Predictions,
    trained: Predictions,
    log: str = "epoch,loss\n1,0.5\n",
    **result: Any,
) -> Path:
    """A fold that is trained to its end."""
    folder = run / f"fold-{number}"
    folder.mkdir(parents=True)
    sides = {"train_subjects": trained, "test_subjects": tested}
    lists = {name: sorted(set(side.subjects.tolist())) for name, side in sides.items()}
    (folder / "fold.json").write_text(json.dumps(lists))
    (folder / "log.csv").write_text(log)
    tested.save(folder / "predictions.parquet")
    trained.save(folder / "training_predictions.parquet")
    (folder / "result.json").write_text(json.dumps({**RESULT, **result}))
    return folder


def write_run(run: Path, make: Any = random_predictions, **settings: Any) -> Path:
    """A run of two folds with four subjects each."""
    run.mkdir()
    (run / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
    halves = [[f"S{number}" for number in range(start, 8, 2)] for start in (0, 1)]
    for number, (tested, trained) in enumerate((halves, halves[::-1]), start=1):
        write_fold(run, number, make(number, tested), make(number + 10, trained))
    return run


def tails(subjects: int) -> tuple[float, float]:
    """Percentiles whose distance for a mean is Student's, of standard deviations over n - 1."""
    low = 100 * norm.cdf(t.ppf(0.025, subjects - 1) * np.sqrt(subjects / (subjects - 1)))
    return low, 100 - low
