"""Which test frames are looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.decisions import THRESHOLD
from fastcaps.training.evaluation.predictions import Predictions

__all__ = ["Selected", "right_frames", "select"]


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
    chosen: dict[tuple[str, int], Selected] = {}
    for one in right_frames(tested, range(len(tested.classes))):
        chosen.setdefault((one.subject, one.class_index), one)
    if not chosen:
        raise InputError(
            f"run: expected test frames in which all of {', '.join(tested.classes)} are right and "
            f"one is present, got none of {len(tested)}"
        )
    return tuple(chosen[key] for key in sorted(chosen))


def right_frames(tested: Predictions, classes: Sequence[int]) -> tuple[Selected, ...]:
    """Frames that are right in some classes, once for each of these that they show.

    Args:
        tested: what is known of the frames.
        classes: which; exclusive classes are right together or not at all.

    Returns:
        The surest first.
    """
    right = _right(tested, classes)
    found = [
        Selected(
            place, tested.subjects[place], class_index, float(tested.scores[place, class_index])
        )
        for class_index in classes
        for place in np.flatnonzero(right & (tested.labels[:, class_index] == 1)).tolist()
    ]
    return tuple(sorted(found, key=lambda one: -one.score))


def _right(tested: Predictions, classes: Sequence[int]) -> NDArray[np.bool_]:
    if tested.exclusive:
        return np.asarray(tested.scores.argmax(1) == tested.labels.argmax(1))
    labels, scores = tested.labels[:, list(classes)], tested.scores[:, list(classes)]
    return ((labels == UNKNOWN) | ((scores > THRESHOLD) == (labels == 1))).all(axis=1)
