"""Which frames are trained on, and with which labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastcaps.training.action_units import EMOTIONS, column
from fastcaps.training.errors import InputError
from fastcaps.training.folds import Fold
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_settings import RunSettings
from fastcaps.training.targets import make_targets

UNITS = (6, 12, 25)
INTENSITIES = np.array([[0, 1, 5], [-1, 2, 0], [-1, -1, -1], [0, 0, 0], [3, -1, 1]], dtype=np.int8)
EMOTION = [0, -1, 7, 3, 3]
SUBJECTS = ["a", "b", "b", "a", "c"]


def prepared_with(
    intensities: Any = INTENSITIES, positive_from: int = 2, **columns: Any
) -> Prepared:
    labels = np.where(intensities < 0, -1, intensities >= positive_from)
    index = pd.DataFrame(
        {
            "subject": SUBJECTS[: len(labels)],
            "emotion": EMOTION[: len(labels)],
            **{column(unit): labels[:, place] for place, unit in enumerate(UNITS)},
            **{
                f"{column(unit)}_intensity": intensities[:, place]
                for place, unit in enumerate(UNITS)
            },
            **columns,
        }
    )
    frames = np.zeros((len(index), 110, 110), dtype=np.uint8)
    return Prepared(Path("data"), {"action_units": list(UNITS)}, frames, index)


def test_frames_of_which_nothing_is_known_are_left_out() -> None:
    targets = make_targets(prepared_with(), RunSettings())
    assert targets.classes == ("AU06", "AU12", "AU25")
    assert not targets.exclusive
    assert targets.rows.tolist() == [0, 1, 3, 4]
    assert targets.labels.dtype == np.int8
    assert targets.labels.tolist() == [[0, 0, 1], [-1, 1, 0], [-1, -1, -1], [0, 0, 0], [1, -1, 0]]


def test_frames_without_action_units_can_be_left_out() -> None:
    targets = make_targets(prepared_with(), RunSettings(drop_inactive=True))
    assert targets.rows.tolist() == [0, 1, 4]


def test_what_is_known_of_chosen_action_units_counts() -> None:
    targets = make_targets(prepared_with(), RunSettings(action_units=(6,)))
    assert targets.classes == ("AU06",)
    assert targets.rows.tolist() == [0, 3, 4]
    both = make_targets(prepared_with(), RunSettings(action_units=(6, 25), drop_inactive=True))
    assert both.labels[both.rows].tolist() == [[0, 1], [1, 0]]


@given(
    intensities=arrays(np.int8, (5, 3), elements=st.integers(-1, 5)),
    positive_from=st.integers(1, 5),
    drop=st.booleans(),
)
def test_another_intensity_can_be_the_first_that_counts(
    intensities: np.ndarray, positive_from: int, drop: bool
) -> None:
    expected = [
        [-1 if i == -1 else int(i >= positive_from) for i in row] for row in intensities.tolist()
    ]
    kept = [
        place
        for place, row in enumerate(expected)
        if (1 in row if drop else any(label != -1 for label in row))
    ]
    given = prepared_with(intensities, positive_from=3)
    wanted = RunSettings(positive_from=positive_from, drop_inactive=drop)
    if not kept:
        with pytest.raises(InputError, match=r"data: no frame of data|positive_from: .* has none"):
            make_targets(given, wanted)
        return
    targets = make_targets(given, wanted)
    assert targets.labels.tolist() == expected
    assert targets.rows.tolist() == kept


def test_what_is_there_without_an_intensity_is_there_from_the_first() -> None:
    """As CK+ tells some."""
    data = prepared_with(AU06=[1, 0, -1, 0, 1], AU06_intensity=[-1, -1, -1, 0, 3])
    for positive_from, wanted in ((1, [1, 0, -1, 0, 1]), (2, [-1, -1, -1, 0, 1])):
        targets = make_targets(data, RunSettings(positive_from=positive_from))
        assert targets.labels[:, 0].tolist() == wanted


def test_emotions_are_one_of_eight() -> None:
    targets = make_targets(prepared_with(), RunSettings(target="emotions"))
    assert targets.exclusive
    assert targets.classes == EMOTIONS
    assert targets.rows.tolist() == [0, 2, 3, 4]
    assert targets.labels[targets.rows].argmax(1).tolist() == [0, 7, 3, 3]
    assert (targets.labels[targets.rows].sum(1) == 1).all()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({}, {"action_units": (6, 17, 9)}, r"action_units: expected some of 6, 12, 25.* got 9, 17"),
        ({"emotion": -1}, {"target": "emotions"}, r"data: no frame of data has emotions to learn"),
        ({"intensities": np.full((4, 3), -1)}, {}, r"data: no frame of data has action units"),
        ({"intensities": np.zeros((4, 3), int)}, {"drop_inactive": True}, r"data: no frame"),
        (
            {f"{column(unit)}_intensity": -1 for unit in UNITS},
            {"positive_from": 1},
            r"positive_from: expected intensities, data has none",
        ),
    ],
)
def test_data_without_such_labels_is_refused(
    data: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_targets(prepared_with(**data), RunSettings(**options))


def test_sides_of_a_fold_have_the_frames_that_count() -> None:
    prepared = prepared_with()
    targets = make_targets(prepared, RunSettings())
    train, test = targets.rows_of(Fold(("a", "c"), ("b",)), prepared)
    assert (train.tolist(), test.tolist()) == ([0, 3, 4], [1])
    assert train.dtype == test.dtype == np.int64


def test_a_side_without_frames_is_refused() -> None:
    prepared = prepared_with()
    targets = make_targets(prepared, RunSettings(action_units=(6,)))
    with pytest.raises(InputError, match=r"at least one row of test_subjects"):
        targets.rows_of(Fold(("a", "c"), ("b",)), prepared)


def test_folds_need_not_know_subjects_without_frames_that_count() -> None:
    prepared = prepared_with()
    targets = make_targets(prepared, RunSettings(action_units=(6,)))
    assert "b" not in set(prepared.index["subject"].iloc[targets.rows])
    train, test = targets.rows_of(Fold(("a",), ("c",)), prepared)
    assert set(prepared.index["subject"].iloc[train]) == {"a"}
    assert set(prepared.index["subject"].iloc[test]) == {"c"}
