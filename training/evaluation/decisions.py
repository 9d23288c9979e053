"""Which classes are present in each frame, by several rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.evaluation.predictions import Predictions, concatenated
from fastcaps.training.evaluation.thresholds import equal_error_threshold, largest_f1_threshold

__all__ = ["RULES", "THRESHOLD", "Decisions", "collated", "decide"]

THRESHOLD = 0.5
"""A class is present where its capsule is longer, or its probability larger."""

CHOSEN: Mapping[str, Callable[[NDArray[np.int8], NDArray[np.float32]], float | None]] = {
    "f1_equal_error": equal_error_threshold,
    "f1_tuned": largest_f1_threshold,
}

RULES = ("f1", *CHOSEN)
"""Named as the F1 of what they decide. ``f1``: the score is above 0.5, or, where classes are
exclusive, it is the largest of the frame, the first of several. The others: the score is at least
a threshold that was chosen on the fold's training frames."""


@dataclass(frozen=True)
class Decisions:
    """Predictions and what becomes of them.

    Attributes:
        predictions: for N frames and C classes.
        present: by rule: whether the class is taken to be present, bool [N, C].
        undecided: by rule and class: why the rule could not be applied, or None.
    """

    predictions: Predictions
    present: Mapping[str, NDArray[np.bool_]]
    undecided: Mapping[str, tuple[str | None, ...]]

    def of_frames(self, chosen: NDArray[np.bool_]) -> Decisions:
        """Those of some frames, bool [N]."""
        present = {rule: decided[chosen] for rule, decided in self.present.items()}
        return replace(self, predictions=self.predictions.of_frames(chosen), present=present)


def decide(tested: Predictions, trained: Predictions, where: str) -> Decisions:
    """Apply all rules to one fold's test frames.

    Args:
        tested: of the test frames.
        trained: of the training frames, of the same classes; thresholds are chosen on these.
        where: what reasons call the fold, as "fold 1".
    """
    present = {"f1": _by_score(tested)}
    undecided: dict[str, tuple[str | None, ...]] = {"f1": (None,) * len(tested.classes)}
    for rule, choose in CHOSEN.items():
        chosen = [
            choose(labels, scores)
            for labels, scores in zip(trained.labels.T, trained.scores.T, strict=True)
        ]
        # float64, as middles of float32 numbers are; no score is as large as infinity.
        thresholds = np.array([np.inf if value is None else value for value in chosen])
        present[rule] = tested.scores >= thresholds
        undecided[rule] = tuple(
            f"{name} has no threshold: {_missing_side(labels)} in the training frames of {where}"
            if value is None
            else None
            for name, value, labels in zip(tested.classes, chosen, trained.labels.T, strict=True)
        )
    return Decisions(tested, present, undecided)


def collated(folds: Sequence[Decisions]) -> Decisions:
    """All frames of all folds together.

    Raises:
        InputError: there is no fold, or they are of different classes.
    """
    predictions = concatenated([fold.predictions for fold in folds])
    return Decisions(
        predictions,
        {rule: np.concatenate([fold.present[rule] for fold in folds]) for rule in RULES},
        {
            rule: tuple(
                "; ".join(filter(None, reasons)) or None
                for reasons in zip(*(fold.undecided[rule] for fold in folds), strict=True)
            )
            for rule in RULES
        },
    )


def _by_score(predictions: Predictions) -> NDArray[np.bool_]:
    if predictions.exclusive:
        classes = np.arange(len(predictions.classes))
        return predictions.scores.argmax(axis=1)[:, None] == classes
    return predictions.scores > THRESHOLD


def _missing_side(labels: NDArray[np.int8]) -> str:
    return "no negative" if (labels == 1).any() else "no positive"
