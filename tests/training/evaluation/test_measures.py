"""F1, AUC and accuracy by hand, and what of them is undefined."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastcaps.training.evaluation.decisions import decide
from fastcaps.training.evaluation.measures import (
    accuracy,
    auc,
    class_measures,
    defined,
    f1,
    mean,
    undefined,
)
from fastcaps.training.evaluation.report import MEASURES
from tests.training.evaluation.made import predictions

LABELS = np.array([1, 1, 1, 0, 0, -1, -1], np.int8)
SCORES = np.array([0.9, 0.5, 0.2, 0.5, 0.1, 0.0, 1.0], np.float32)


def test_measures_by_hand() -> None:
    present = SCORES >= 0.5
    # Two of three positives found, one of two negatives taken for positive.
    assert f1(LABELS, present) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert accuracy(LABELS, present) == pytest.approx(3 / 5)
    # Pairs: 0.9 above both, 0.5 above one and level with one, 0.2 above one.
    assert auc(LABELS, SCORES) == pytest.approx((2 + 1.5 + 1) / 6)


def test_finding_nothing_is_an_f1_of_zero() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f1(LABELS, np.zeros(7, bool)) == 0


def test_one_side_is_undefined() -> None:
    some = np.array([True, False, True])
    scores = np.array([0.1, 0.2, 0.3], np.float32)
    for labels, expected in (
        ([1, 1, -1], (2 / 3, None, 1 / 2)),
        ([0, 0, -1], (None, None, 1 / 2)),
        ([-1, -1, -1], (None, None, None)),
    ):
        array = np.array(labels, np.int8)
        found = (f1(array, some), auc(array, scores), accuracy(array, some))
        assert found == pytest.approx(expected)


def test_class_measures_say_what_is_missing() -> None:
    labels = [[1, 1, 0, -1], [0, 1, 0, -1]]
    both = predictions(labels, [[0.9] * 4, [0.2] * 4])
    measures = class_measures(decide(both, both, "fold 2"), "fold 2")
    assert [list(each) for each in measures] == [list(MEASURES)] * 4
    reasons = [{name: each[name]["undefined"] for name in MEASURES} for each in measures]
    threshold = "has no threshold: no negative in the training frames of fold 2"
    assert reasons == [
        dict.fromkeys(MEASURES),
        {
            "f1": None,
            "f1_equal_error": f"AU02 {threshold}",
            "f1_tuned": f"AU02 {threshold}",
            "auc": "AU02 has no negative in fold 2",
            "accuracy": None,
        },
        {**dict.fromkeys(MEASURES, "AU03 has no positive in fold 2"), "accuracy": None},
        dict.fromkeys(MEASURES, "AU04 has no known label in fold 2"),
    ]
    for each in measures:
        for name in MEASURES:
            assert (each[name]["value"] is None) == (each[name]["undefined"] is not None)
    assert [measures[0][name]["value"] for name in MEASURES] == [1.0] * 5
    assert measures[1]["f1"]["value"] == pytest.approx(2 / 3)
    assert measures[1]["accuracy"]["value"] == 0.5


def test_a_mean_is_undefined_where_a_part_is() -> None:
    assert mean([defined(0.25), defined(0.5)]) == defined(0.375)
    parts = [defined(0.25), undefined("a"), undefined("b"), undefined("a")]
    assert mean(parts) == undefined("a; b")
