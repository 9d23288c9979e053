"""Thresholds against every possible one, tried in turn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcaps.training.evaluation.thresholds import equal_error_threshold, largest_f1_threshold

ONE_CLASS = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 4)), min_size=1)


def arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, levels = zip(*rows, strict=True)
    return np.array(labels, np.int8), np.array(levels, np.float32) / 4


def count(labels: np.ndarray, present: np.ndarray) -> tuple[int, ...]:
    """True and false positives, false and true negatives."""
    pairs = list(zip(labels.tolist(), present.tolist(), strict=True))
    return tuple(pairs.count(pair) for pair in ((1, True), (0, True), (1, False), (0, False)))


def error_gap(labels: np.ndarray, present: np.ndarray) -> Fraction:
    tp, fp, fn, tn = count(labels, present)
    return abs(Fraction(fp, fp + tn) - Fraction(fn, fn + tp))


def f1(labels: np.ndarray, present: np.ndarray) -> Fraction:
    tp, fp, fn, _ = count(labels, present)
    return Fraction(2 * tp, 2 * tp + fp + fn)


@given(ONE_CLASS)
def test_no_other_threshold_is_better(rows: list[tuple[int, int]]) -> None:
    labels, scores = arrays(rows)
    all_thresholds = np.arange(-1, 11) / 8
    equal, tuned = equal_error_threshold(labels, scores), largest_f1_threshold(labels, scores)
    if not {0, 1} <= set(labels.tolist()):
        assert equal is None
        assert tuned is None
        return
    gaps = [error_gap(labels, scores >= threshold) for threshold in all_thresholds]
    assert error_gap(labels, scores >= equal) == min(gaps)
    f1s = [f1(labels, scores >= threshold) for threshold in all_thresholds]
    assert f1(labels, scores >= tuned) == max(f1s)
    # The smallest of the best, but for what lies between the same two scores.
    known = scores[labels >= 0]
    for chosen, is_best in (
        (equal, [gap == min(gaps) for gap in gaps]),
        (tuned, [value == max(f1s) for value in f1s]),
    ):
        smallest = all_thresholds[is_best][0]
        assert (known >= chosen).sum() == (known >= smallest).sum()


def test_separated_sides_are_parted_in_the_middle() -> None:
    labels, scores = arrays([(0, 0), (0, 1), (1, 3), (1, 4), (-1, 2)])
    assert equal_error_threshold(labels, scores) == 0.5
    assert largest_f1_threshold(labels, scores) == 0.5


def test_ties_take_the_smaller_threshold() -> None:
    # From 1/4 on: FPR 1/2, FNR 0. From 1/2 on: FPR 0, FNR 1/2.
    labels, scores = arrays([(0, 0), (0, 1), (1, 1), (1, 2)])
    assert equal_error_threshold(labels, scores) == 0.125
    # F1 is 2/3 for all four frames and for the uppermost alone.
    labels, scores = arrays([(1, 0), (0, 1), (0, 2), (1, 3)])
    assert largest_f1_threshold(labels, scores) == 0


def test_equal_scores_leave_no_choice() -> None:
    labels, scores = arrays([(0, 2), (1, 2), (0, 2)])
    assert equal_error_threshold(labels, scores) == 0.5
    assert largest_f1_threshold(labels, scores) == 0.5


def test_neighbouring_float32_numbers_are_parted() -> None:
    low = np.float32(0.3)
    scores = np.array([low, np.nextafter(low, np.float32(1))])
    threshold = equal_error_threshold(np.array([0, 1], np.int8), scores)
    assert (scores >= np.array([threshold])).tolist() == [False, True]


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [-1, 1], [-1, -1]])
def test_one_side_has_no_threshold(labels: list[int]) -> None:
    for choose in (equal_error_threshold, largest_f1_threshold):
        assert choose(np.array(labels, np.int8), np.array([0.25, 0.75], np.float32)) is None
