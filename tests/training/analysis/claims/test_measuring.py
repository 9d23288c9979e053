"""Numbers and their intervals against a bootstrap that repeats rows."""

from __future__ import annotations

import numpy as np
import pytest

from fastcaps.training.analysis.claims.measuring import (
    against_first,
    behind_mean,
    measured,
    numbered,
    sums_by_person,
)
from fastcaps.training.errors import InputError
from tests.training.evaluation.made import tails


def subject_means(chosen: np.ndarray) -> np.ndarray:
    """Two means over subjects, and one that is never defined."""
    values = np.array([[1.0, 5.0], [2.0, 0.0], [4.0, -1.0], [8.0, 3.0], [9.0, 3.0]])
    means = chosen @ values / chosen.sum(axis=1, keepdims=True)
    return np.concatenate([means, np.full((len(chosen), 1), np.nan)], axis=1)


def test_intervals_are_quantiles_over_the_same_draws() -> None:
    found = measured(subject_means, [5] * 3, 5, ["a", "b", "why"], resamples=300, seed=4)
    draws = np.random.default_rng(4).multinomial(5, [0.2] * 5, size=300)
    resampled = subject_means(draws)
    for place, value in enumerate((4.8, 2.0)):
        wanted = np.percentile(resampled[:, place], tails(5))
        assert found[place]["value"] == pytest.approx(value)
        np.testing.assert_allclose((found[place]["low"], found[place]["high"]), wanted)
    assert found[2] == {"value": None, "low": None, "high": None, "undefined": "why"}


def test_intervals_go_by_the_people_that_a_number_rests_on() -> None:
    """Of thirty people whose numbers are the same, and five whose are not."""
    values = np.zeros((30, 2))
    values[:5] = [[1.0], [2.0], [4.0], [8.0], [9.0]]

    def sums(chosen: np.ndarray) -> np.ndarray:
        return chosen @ values

    many, few = measured(sums, [30, 5], 30, ["-"] * 2, resamples=2000, seed=1)
    resampled = sums(np.random.default_rng(1).multinomial(30, [1 / 30] * 30, size=2000))
    np.testing.assert_allclose((few["low"], few["high"]), np.percentile(resampled[:, 1], tails(5)))
    assert few["high"] - few["low"] > many["high"] - many["low"]
    assert measured(sums, [30, 4], 30, ["-"] * 2)[1] == {**few, "low": None, "high": None}


def test_a_mean_rests_on_the_harmonic_mean_of_people() -> None:
    assert behind_mean([16, 16]) == 16
    assert behind_mean([6, 16, 16, 16]) == 11
    assert behind_mean([5, 7]) == 5
    assert behind_mean([3, 0]) == 0
    assert behind_mean([]) == 0


def test_intervals_can_be_freed_of_what_resamples_are_off() -> None:
    def square(chosen: np.ndarray) -> np.ndarray:
        return subject_means(chosen)[:, :1] ** 2

    plain, moved = (
        measured(square, [5], 5, ["-"], resamples=500, seed=1, recentred=recentred)[0]
        for recentred in (False, True)
    )
    draws = np.random.default_rng(1).multinomial(5, [0.2] * 5, size=500)
    bias = square(draws).mean() - 4.8**2
    assert bias > 0.5
    assert plain["value"] == moved["value"] == pytest.approx(4.8**2)
    assert plain["low"] - moved["low"] == pytest.approx(bias)
    assert plain["high"] - moved["high"] == pytest.approx(bias)


def test_one_subject_has_no_interval() -> None:
    found = measured(lambda chosen: chosen * 3.0, [1], 1, ["-"], resamples=10)
    assert found == [{"value": 3.0, "low": None, "high": None, "undefined": None}]


def test_numbers_out_of_range() -> None:
    with pytest.raises(InputError, match="resamples: expected at least 1"):
        measured(subject_means, [5] * 3, 5, ["-"] * 3, resamples=0)
    with pytest.raises(InputError, match="seed: expected at least 0"):
        measured(subject_means, [5] * 3, 5, ["-"] * 3, seed=-1)


def test_differences_are_from_the_first() -> None:
    np.testing.assert_array_equal(against_first(np.array([[5.0, 3.0, 7.0]])), [[5, 3, 7, 2, -2]])
    np.testing.assert_array_equal(against_first(np.array([[5.0]])), [[5]])


def test_names_become_numbers() -> None:
    count, numbers = numbered(np.array(["b", "a", "b", "c"], dtype=object))
    assert (count, numbers.tolist()) == (3, [1, 0, 1, 2])


def test_sums_are_of_each_person() -> None:
    numbers = np.arange(12.0).reshape(3, 2, 2)
    found = sums_by_person(numbers, np.array([2, 0, 2]), 3)
    np.testing.assert_array_equal(found, [numbers[1], np.zeros((2, 2)), numbers[0] + numbers[2]])
    assert sums_by_person(np.zeros((0, 4)), np.zeros(0, np.int64), 2).shape == (2, 4)
    assert sums_by_person(np.zeros((0, 4)), np.zeros(0, np.int64), 0).shape == (0, 4)
