"""What is logged of the test frames after an epoch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.evaluation.decisions import THRESHOLD
from fastcaps.training.evaluation.measures import auc, f1
from fastcaps.training.run_folder import Measures

__all__ = ["epoch_measures"]


def epoch_measures(
    labels: NDArray[np.int8], scores: NDArray[np.float32], *, exclusive: bool
) -> Measures:
    """Measures of all classes together.

    Args:
        labels: int8 [M, N]: 1 present, 0 absent, -1 unknown.
        scores: float32 [M, N].
        exclusive: whether exactly one class is present in each frame.

    Returns:
        ``test_accuracy`` where classes are exclusive, else the means of F1 and AUC over the
        classes, ``test_f1`` and ``test_auc``; None where one of them is not defined.
    """
    if exclusive:
        return {"test_accuracy": float((labels.argmax(1) == scores.argmax(1)).mean())}
    classes = list(zip(labels.T, scores.T, strict=True))
    return {
        "test_f1": _mean(f1(label, score > THRESHOLD) for label, score in classes),
        "test_auc": _mean(auc(label, score) for label, score in classes),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = list(values)
    defined = [value for value in found if value is not None]
    return float(np.mean(defined)) if len(defined) == len(found) else None
