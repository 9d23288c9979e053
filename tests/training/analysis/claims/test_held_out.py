"""Folds that keep people or recordings together, and ridge regression against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastcaps.training.analysis.claims import held_out
from fastcaps.training.analysis.claims.held_out import (
    people_folds,
    recording_folds,
    ridge_predictions,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(9, 40))
def test_a_person_is_in_one_fold(seed: int, people: int, frames: int) -> None:
    random = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(people), random.integers(0, people, frames)])
    folds = people_folds(owner)
    assert sorted(set(folds.tolist())) == list(range(min(people, 5)))
    assert all(len(set(folds[owner == person].tolist())) == 1 for person in range(people))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10**6))
def test_a_recording_is_in_one_fold_and_a_person_in_all(counts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = [
        (person, f"T{number}")
        for person, count in enumerate(counts)
        for number in range(count)
        for _ in range(int(random.integers(1, 4)))
    ]
    shuffled = [frames[place] for place in random.permutation(len(frames))]
    owner = np.array([person for person, _ in shuffled])
    sequences = np.array([name for _, name in shuffled], dtype=object)
    folds = recording_folds(owner, sequences)
    enough = [count for count in counts if count >= 3]
    for person, count in enumerate(counts):
        of_person = folds[owner == person]
        if count < 3:
            assert set(of_person.tolist()) == {-1}
            continue
        assert sorted(set(of_person.tolist())) == list(range(min(5, *enough)))
        for name in set(sequences[owner == person].tolist()):
            rows = (owner == person) & (sequences == name)
            assert len(set(folds[rows].tolist())) == 1


def by_scikit_learn(
    features: np.ndarray,
    target: np.ndarray,
    learned: np.ndarray,
    asked: np.ndarray,
    strength: float,
) -> np.ndarray:
    model = make_pipeline(StandardScaler(), Ridge(alpha=strength * learned.sum()))
    return np.asarray(model.fit(features[learned], target[learned]).predict(features[asked]))


def brute_force(features: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Nested cross-validation, one regression at a time."""
    found = np.empty_like(targets)
    for place, target in enumerate(targets.T):
        for fold in np.unique(folds):
            errors = np.zeros(len(held_out.STRENGTHS))
            for other in np.unique(folds[folds != fold]):
                learned, asked = (folds != fold) & (folds != other), folds == other
                for number, strength in enumerate(held_out.STRENGTHS):
                    told = by_scikit_learn(features, target, learned, asked, strength)
                    errors[number] += ((told - target[asked]) ** 2).sum()
            best = held_out.STRENGTHS[errors.argmin()]
            asked = folds == fold
            found[asked, place] = by_scikit_learn(features, target, ~asked, asked, best)
    return found


@pytest.mark.parametrize(("frames", "width"), [(60, 7), (31, 40)])
def test_predictions_are_those_of_nested_cross_validation(frames: int, width: int) -> None:
    random = np.random.default_rng(0)
    folds = random.integers(0, 4, frames)
    features = (random.normal(size=(frames, width)) * random.uniform(0.1, 9, width)).astype("f4")
    features[:, 2] = 3.0
    targets = np.stack(
        [features[:, 0] + 0.1 * random.normal(size=frames), random.normal(size=frames)], axis=1
    )
    found = ridge_predictions(features, targets, folds)
    np.testing.assert_allclose(found, brute_force(features, targets, folds), rtol=1e-4, atol=1e-4)


def test_one_strength_suits_all_targets_together() -> None:
    """A target of noise that is much larger than the others decides for all of them."""
    random = np.random.default_rng(0)
    folds = np.arange(60) % 3
    features = random.normal(size=(60, 30))
    clear, noise = features[:, :1], 1000 * random.normal(size=(60, 1))
    targets = np.concatenate([clear, noise], axis=1)
    each = ridge_predictions(features, targets, folds)
    together = ridge_predictions(features, targets, folds, one_strength=True)
    np.testing.assert_allclose(each[:, :1], ridge_predictions(features, clear, folds))
    assert np.corrcoef(each[:, 0], clear[:, 0])[0, 1] > 0.95
    assert np.abs(together[:, 0]).max() < 0.5 * np.abs(each[:, 0]).max()
    alone = ridge_predictions(features, clear, folds, one_strength=True)
    np.testing.assert_array_equal(alone, ridge_predictions(features, clear, folds))


def test_frames_of_the_same_fold_do_not_help() -> None:
    """Within a fold, noise of its own makes its target known exactly; that is of no use outside."""
    random = np.random.default_rng(2)
    folds = np.repeat(np.arange(5), 40)
    marks = random.normal(size=(5, 50))[folds]
    targets = random.normal(size=5)[folds][:, None]
    found = ridge_predictions(marks, targets, folds)
    assert ((found - targets) ** 2).mean() > 0.8 * targets.var()
