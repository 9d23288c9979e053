"""Concordant pairs, by subject and by frame, against counting every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.evaluation import concordance as module
from fastcaps.training.evaluation.bootstrap import average_differences, intervals
from fastcaps.training.evaluation.concordance import FramePairs, SubjectPairs, concordance
from fastcaps.training.evaluation.decisions import decide
from fastcaps.training.evaluation.tallies import Tallies, tally
from tests.training.evaluation.made import random_predictions


def counted(
    labels: np.ndarray, scores: np.ndarray, owner: np.ndarray, chosen: np.ndarray
) -> list[float]:
    times = chosen[:, owner]
    pairs = (labels == 1)[:, None] & (labels == 0)[None]
    wins = (scores[:, None] > scores[None]) + (scores[:, None] == scores[None]) / 2
    return [float((np.outer(each, each) * wins)[pairs].sum()) for each in times]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 60), st.sampled_from([1, 3, 500]))
def test_both_ways_count_every_pair(seed: int, subjects: int, frames: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, 2, frames).astype(np.int8)
    scores = (random.integers(0, levels, frames) / levels).astype(np.float32)
    owner = random.integers(0, subjects, frames)
    chosen = random.integers(0, 4, (3, subjects)).astype(np.float64)
    wanted = counted(labels, scores, owner, chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_SUBJECTS", 7)
        by_frame = module._frame_pairs(labels, scores, owner)
        by_subject = by_frame.by_subject(subjects)
    np.testing.assert_allclose(by_frame.of(chosen), wanted, rtol=1e-12)
    np.testing.assert_allclose(by_subject.of(chosen), wanted, rtol=1e-12)


@pytest.mark.parametrize(("subjects", "kind"), [(3, SubjectPairs), (4, FramePairs)])
def test_pairs_of_subjects_are_kept_where_they_are_fewer_than_frames(
    subjects: int, kind: type
) -> None:
    labels, owner = np.array([0, 1] * 5, np.int8), np.arange(10) % subjects
    assert isinstance(concordance(labels, np.zeros(10, np.float32), owner, subjects), kind)


def test_intervals_and_differences_are_the_same_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"S{number:02d}" for number in range(50)]
    made = [random_predictions(3, names, frames=2, levels=levels) for levels in (4, 60)]

    def tallied() -> list[Tallies]:
        return [tally(decide(each, each, "fold 1")) for each in made]

    by_frame = tallied()
    monkeypatch.setattr(
        "fastcaps.training.evaluation.tallies.concordance",
        lambda labels, scores, owner, subjects: module._frame_pairs(
            labels, scores, owner
        ).by_subject(subjects),
    )
    by_subject = tallied()
    assert isinstance(by_frame[0].concordant[0], FramePairs)
    assert isinstance(by_subject[0].concordant[0], SubjectPairs)
    assert intervals(by_frame[0], 100, 1) == intervals(by_subject[0], 100, 1)
    # Not a multiple of the resamples that are measured at once.
    found = average_differences(by_frame[0], by_frame[1], 101, 1)
    assert found == average_differences(by_subject[0], by_subject[1], 101, 1)
    assert found["auc"]["low"] != found["auc"]["high"]
