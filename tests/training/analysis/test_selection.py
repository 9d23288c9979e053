"""Frames that stand for a class in a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fastcaps.training.analysis.selection import select
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions


def predictions(
    subjects: str,
    labels: Sequence[Sequence[int]],
    scores: Sequence[Sequence[float]],
    *,
    exclusive: bool = False,
) -> Predictions:
    count = len(labels)
    return Predictions(
        classes=tuple(f"C{place}" for place in range(len(labels[0]))),
        exclusive=exclusive,
        subjects=np.array(list(subjects), dtype=object),
        sequences=np.array(["T1"] * count, dtype=object),
        frames=np.arange(count),
        labels=np.array(labels, dtype=np.int8),
        scores=np.array(scores, dtype=np.float32),
    )


def test_the_surest_right_frame_of_each_person_and_class_is_taken() -> None:
    tested = predictions(
        "baabb",
        [[1, 1], [1, 0], [1, -1], [1, 0], [0, 0]],
        # The fourth is the surest of b's first class, but wrong in the second.
        [[0.7, 0.8], [0.6, 0.1], [0.9, 0.9], [0.95, 0.6], [0.1, 0.2]],
    )
    found = [(one.subject, one.class_index, one.place) for one in select(tested)]
    assert found == [("a", 0, 2), ("b", 0, 0), ("b", 1, 0)]
    assert select(tested)[0].score == np.float32(0.9)


def test_a_score_of_a_half_is_absent() -> None:
    tested = predictions("aa", [[1], [1]], [[0.5], [0.51]])
    assert [one.place for one in select(tested)] == [1]


def test_exclusive_classes_are_right_where_theirs_is_the_largest() -> None:
    tested = predictions(
        "aab",
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.4, 0.35, 0.25], [0.4, 0.35, 0.25], [0.3, 0.3, 0.4]],
        exclusive=True,
    )
    assert [(one.subject, one.class_index) for one in select(tested)] == [("a", 0), ("b", 2)]


@pytest.mark.parametrize("labels", [[[1], [1]], [[0], [0]], [[-1], [-1]]])
def test_where_no_frame_will_do_that_is_told(labels: list[list[int]]) -> None:
    tested = predictions("ab", labels, [[0.3], [0.2]])
    with pytest.raises(InputError, match=r"^run: expected test frames in which all of C0 are"):
        select(tested)
