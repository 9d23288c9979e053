"""Which test frames are looked into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.decisions import THRESHOLD
from fastcaps.training.evaluation.predictions import Predictions

__all__ = ["Selected", "select"]


@dataclass(frozen=True)
class Selected:
    """A test frame that stands for a class in a person.

    Attributes:
        place: among the test frames.
        subject: whose it is.
        class_index: the class that it stands for; it is present.
        score: of that class.
    """

    place: int
    subject: str
    class_index: int
    score: float


def select(tested: Predictions) -> tuple[Selected, ...]:
    """For each person and class the frame with the highest score that is right in every class.

    Rashid and Lee, section 4.4. A class whose label is unknown counts as right. With exclusive
    classes, the one with the highest score has to be the one present.

    Returns:
        Sorted by subject and class; no frame twice for one class.

    Raises:
        InputError: no frame is right in every class with one of them present.
    """
    right = _all_right(tested)
    chosen = []
    for subject in sorted(set(tested.subjects[right].tolist())):
        for class_index in range(len(tested.classes)):
            present = tested.labels[:, class_index] == 1
            places = np.flatnonzero(right & present & (tested.subjects == subject))
            if len(places):
                scores = tested.scores[places, class_index]
                best = int(scores.argmax())
                chosen.append(
                    Selected(int(places[best]), subject, class_index, float(scores[best]))
                )
    if not chosen:
        raise InputError(
            f"run: expected test frames in which all of {', '.join(tested.classes)} are right and "
            f"one is present, got none of {len(tested)}"
        )
    return tuple(chosen)


def _all_right(tested: Predictions) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if tested.exclusive:
        return np.asarray(tested.scores.argmax(1) == tested.labels.argmax(1))
    decided = tested.scores > THRESHOLD
    return np.asarray(((tested.labels == UNKNOWN) | (decided == (tested.labels == 1))).all(1))
