"""Tests over people against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp

from fastcaps.training.analysis.claims.significance import (
    LEVEL,
    over_people,
    p_values,
    significant,
    totals,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 5))
def test_what_is_significant(seed: int, things: int, units: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.choice([0.0, 0.001, 0.01, LEVEL, 0.04, 0.3, 1.0], (2, things, units))
    asked = random.random((2, things, units)) < 0.7
    found = significant(probabilities, asked)
    for choice in range(2):
        for unit in range(units):
            rows = asked[choice, :, unit]
            wanted = np.zeros(things, dtype=bool)
            if rows.any():
                adjusted = false_discovery_control(probabilities[choice, rows, unit])
                wanted[rows] = adjusted <= LEVEL + 1e-12
            np.testing.assert_array_equal(found[choice, :, unit], wanted)


def test_nothing_asked_of_no_unit() -> None:
    for shape in ((3, 0, 2), (3, 2, 0)):
        assert significant(np.ones(shape), np.ones(shape, dtype=bool)).shape == shape


def test_means_and_their_tests_are_those_of_people_that_are_there() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0.3, 1, (2, 9, 3))
    values[1, [2, 5]] = np.nan
    chosen = np.stack([np.ones(9, int), random.multinomial(9, [1 / 9] * 9)])
    mean, variance, count = over_people(values, chosen)
    found = p_values(mean, variance, count)
    for choice, times in enumerate(chosen):
        for thing in range(2):
            drawn = np.repeat(values[thing], times, axis=0)
            drawn = drawn[~np.isnan(drawn).any(axis=1)]
            assert count[choice, thing, 0] == len(drawn)
            np.testing.assert_allclose(mean[choice, thing], drawn.mean(axis=0))
            error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
            np.testing.assert_allclose(variance[choice, thing], error**2)
            wanted = ttest_1samp(drawn, 0, alternative="greater").pvalue
            np.testing.assert_allclose(found[choice, thing], wanted)


def test_sums_leave_out_what_is_not_known() -> None:
    values = np.array([[[1.0], [np.nan], [4.0]]])
    np.testing.assert_array_equal(totals(values, np.array([[2, 5, 1], [0, 1, 0]])), [[[6]], [[0]]])


@pytest.mark.parametrize(
    ("excess", "variance", "people", "wanted"),
    [(0.5, 0.0, 6, 0.0), (0.0, 0.0, 6, 1.0), (-0.1, 0.0, 6, 1.0), (0.5, np.nan, 1, 1.0)],
)
def test_people_who_do_not_differ(
    excess: float, variance: float, people: int, wanted: float
) -> None:
    found = p_values(np.array([excess]), np.array([variance]), np.array([people]))
    assert found.tolist() == [wanted]
