"""Telling action units apart, against scikit-learn's discriminant analysis person by person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fastcaps.training.analysis.claims.facial_parts import PartFrames
from fastcaps.training.analysis.claims.telling_apart import (
    SHRINKAGE,
    comparable_pairs,
    shares_right,
    told_apart,
)
from tests.training.analysis.claims.made import co_occurring


@pytest.mark.parametrize("dimensions", [1, 3])
def test_shares_are_those_of_discriminant_analysis(dimensions: int) -> None:
    # Without others, all frames of a side weigh the same.
    frames = co_occurring(people=7, frames=30, units=(10, 15))
    random = np.random.default_rng(0)
    axes = random.normal(size=(2, 2, dimensions))
    vectors = np.einsum("fa,aud->fud", frames.shown, axes) * 0.6
    vectors += random.normal(size=vectors.shape) + random.normal(size=(7, 2, 1))[frames.owner]
    vectors = vectors.astype(np.float32)
    found = shares_right(frames, (0, 1), vectors)
    first = frames.shown[:, 0] & ~frames.shown[:, 1]
    second = frames.shown[:, 1] & ~frames.shown[:, 0]
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


def test_frames_weigh_as_if_both_sides_showed_the_same_otherwise() -> None:
    """Weights are those of repeating frames until each state is there as often on both sides."""
    frames = co_occurring(people=9, frames=12)
    pair = (0, 2)
    state = frames.shown[:, 1] + 2 * frames.shown[:, 3]
    sides = [frames.shown[:, a] & ~frames.shown[:, b] for a, b in (pair, pair[::-1])]
    counts = np.array([[(state[side] == s).sum() for s in range(4)] for side in sides])
    assert (counts > 0).all()
    assert (counts[0] != counts[1]).any()
    often = np.lcm.reduce(counts.max(axis=0))
    rows = np.concatenate(
        [
            np.repeat(
                np.flatnonzero(side & (state == s)), often * counts[:, s].min() // counts[n, s]
            )
            for n, side in enumerate(sides)
            for s in range(4)
        ]
    )
    vectors = np.random.default_rng(0).normal(size=(len(frames.rows), 2, 3))
    repeated = PartFrames(
        "mouth",
        (10, 15),
        rows,
        frames.shown[rows][:, pair],
        np.zeros((len(rows), 0), np.int8),
        frames.owner[rows],
        9,
    )
    np.testing.assert_allclose(
        shares_right(frames, pair, vectors), shares_right(repeated, (0, 1), vectors[rows])
    )


def test_what_comes_along_with_one_of_two_does_not_tell_them_apart() -> None:
    """A unit answers three action units alike; the second comes with the first."""
    frames = co_occurring(people=14, frames=80)
    random = np.random.default_rng(0)
    answer = frames.shown[:, :3].sum(axis=1)[:, None] + random.normal(0, 0.4, (14 * 80, 40))
    shares = shares_right(frames, (0, 2), answer[:, :, None])
    assert np.nanmean(shares) == pytest.approx(0.5, abs=0.03)
    assert told(shares).mean() <= 0.15
    alone = PartFrames("mouth", (10, 15), *_without_the_second(frames))
    assert told(shares_right(alone, (0, 1), answer[:, :, None])).mean() > 0.9


def _without_the_second(frames: PartFrames) -> tuple[Any, ...]:
    """As if nothing was known of what comes along."""
    shown, nothing = frames.shown[:, [0, 2]], np.zeros((len(frames.rows), 0), np.int8)
    return frames.rows, shown, nothing, frames.owner, frames.subjects


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
