"""Names of the files in the folder of a run, see :mod:`fastcaps.training.au_run`."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BEST",
    "FOLD",
    "LAST",
    "LOG",
    "PREDICTIONS",
    "RESULT",
    "TRAINING_PREDICTIONS",
    "fold_folder",
]

LAST = "last.ckpt"
BEST = "best.ckpt"
LOG = "log.csv"
RESULT = "result.json"
FOLD = "fold.json"
PREDICTIONS = "predictions.parquet"
TRAINING_PREDICTIONS = "training_predictions.parquet"


def fold_folder(run: Path, number: int) -> Path:
    """Where a fold of a run, counted from 1, is kept."""
    return run / f"fold-{number}"
