"""Telling action units apart, against scikit-learn's discriminant analysis person by person."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fastcaps.training.analysis.claims.telling_apart import (
    SHRINKAGE,
    comparable_pairs,
    shares_right,
    told_apart,
)
from tests.training.analysis.claims.made import co_occurring


@pytest.mark.parametrize("dimensions", [1, 3])
def test_shares_are_those_of_discriminant_analysis(dimensions: int) -> None:
    frames = co_occurring(people=7, frames=30)
    random = np.random.default_rng(0)
    axes = random.normal(size=(4, 2, dimensions))
    vectors = np.einsum("fa,aud->fud", frames.shown, axes) * 0.6
    vectors += random.normal(size=vectors.shape) + random.normal(size=(7, 2, 1))[frames.owner]
    vectors = vectors.astype(np.float32)
    found = shares_right(frames, (0, 2), vectors)
    first = frames.shown[:, 0] & ~frames.shown[:, 2]
    second = frames.shown[:, 2] & ~frames.shown[:, 0]
    used = first | second
    assert found.shape == (2, 7, 2)
    for person in range(7):
        learned, asked = used & (frames.owner != person), used & (frames.owner == person)
        for unit in range(2):
            model = LinearDiscriminantAnalysis(
                solver="lsqr", priors=[0.5, 0.5], shrinkage=SHRINKAGE / (1 + SHRINKAGE)
            )
            model.fit(vectors[learned, unit], first[learned])
            right = model.predict(vectors[asked, unit]) == first[asked]
            for side, rows in enumerate((first[asked], second[asked])):
                assert found[side, person, unit] == pytest.approx(right[rows].mean())


def test_a_unit_that_is_always_the_same_is_half_right() -> None:
    frames = co_occurring(people=7, frames=20)
    found = shares_right(frames, (0, 3), np.full((140, 1, 2), 0.7, np.float32))
    np.testing.assert_array_equal(found, np.full((2, 7, 1), 0.5))


def test_people_without_frames_on_a_side_have_no_share() -> None:
    frames = co_occurring(people=8, frames=20)
    frames.shown[frames.owner == 4, 2] = False
    found = shares_right(frames, (0, 2), np.random.default_rng(0).normal(size=(160, 1, 2)))
    assert np.isnan(found[1, 4])
    assert np.isnan(found).sum() == 1


def test_pairs_need_six_people_on_either_side() -> None:
    frames = co_occurring(people=7, frames=20)
    every = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    assert comparable_pairs(frames) == every
    frames.shown[frames.owner == 4, 2] = False
    assert comparable_pairs(frames) == every
    frames.shown[frames.owner == 5, 2] = False
    assert comparable_pairs(frames) == ((0, 1), (0, 3), (1, 3))


def told(shares: np.ndarray, pairs: int = 1) -> np.ndarray:
    """Of people [2, S, U], whose first pair is asked about."""
    chosen = np.ones((1, shares.shape[1]), dtype=np.int64)
    return told_apart(shares[None], chosen, np.ones((1, pairs, shares.shape[2]), bool))[0, 0]


def test_sides_of_the_same_people_are_tested_together() -> None:
    """With both shares of all people this is Student's test of their means, whose limit is met."""
    random = np.random.default_rng(0)
    shares = 0.5 + random.normal(0.06, 0.1, (2, 9, 500))
    shares[1] -= 0.8 * (shares[0] - 0.56)
    wanted = ttest_1samp(shares.mean(axis=0), 0.5, alternative="greater").pvalue <= 0.025
    assert 0.1 < wanted.mean() < 0.95
    np.testing.assert_array_equal(told(shares), wanted)


def test_sides_of_different_people() -> None:
    """Then it is the test of a sum of two independent means."""
    random = np.random.default_rng(0)
    shares = np.full((2, 14, 400), np.nan)
    shares[0, :7] = 0.5 + random.normal(0.06, 0.1, (7, 400))
    shares[1, 7:] = 0.5 + random.normal(0.06, 0.1, (7, 400))
    # Welch's statistic of the first against one less the second; degrees of freedom of either.
    test = ttest_ind(shares[0, :7], 1 - shares[1, 7:], equal_var=False, alternative="greater")
    found = told(shares)
    assert 0.1 < found.mean() < 0.95
    assert (test.pvalue[found] <= 0.025).all()
    assert (test.pvalue[~found] > 0.01).all()


def test_a_choice_of_people_is_as_if_only_they_were_there() -> None:
    random = np.random.default_rng(1)
    shares = 0.5 + random.normal(0.1, 0.2, (3, 2, 9, 200))
    shares[0, 1, 3] = shares[1, 0, 5] = np.nan
    chosen = np.array([[1, 1, 1, 1, 1, 1, 1, 0, 0], [2, 0, 1, 1, 3, 1, 0, 1, 0]])
    matters = random.random((2, 3, 200)) < 0.8
    found = told_apart(shares, chosen, matters)
    for row, times in enumerate(chosen):
        repeated = np.repeat(shares, times, axis=2)
        all_of_them = np.ones((1, times.sum()), dtype=np.int64)
        wanted = told_apart(repeated, all_of_them, matters[row : row + 1])[0]
        np.testing.assert_array_equal(found[row], wanted)
        assert 0 < wanted.mean() < 1
        assert not (found[row] & ~matters[row]).any()
