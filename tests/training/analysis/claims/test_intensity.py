"""Correlations against SciPy's on repeated frames; what is left out; paired differences."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastcaps.training.analysis.claims.intensity import (
    intensities_of,
    intensity_claim,
)
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import Measure
from tests.training.evaluation.made import predictions, tails

SUBJECTS = [f"S{number}" for number in range(6)]


def made(
    seed: int = 0, frames: int = 15, classes: int = 2, noise: float = 2.0
) -> tuple[Predictions, np.ndarray]:
    """Scores that follow intensities, with ties among them, and people with offsets."""
    random = np.random.default_rng(seed)
    shape = (frames * len(SUBJECTS), classes)
    intensities = random.integers(0, 6, shape).astype(np.int8)
    offsets = np.repeat(random.normal(size=(len(SUBJECTS), classes)), frames, axis=0)
    shown = intensities + offsets + noise * random.normal(size=shape)
    scores = np.round(1 / (1 + np.exp(2 - shown)), 2)
    names = [name for name in SUBJECTS for _ in range(frames)]
    return predictions(intensities > 0, scores, names), intensities


def test_values_and_intervals_are_those_of_repeated_frames() -> None:
    tested, intensities = made()
    intensities[::7, 0] = -1
    baseline = replace(made(seed=0, noise=6.0)[0], labels=tested.labels)
    claim = intensity_claim(tested, intensities, baseline, resamples=150, seed=3)
    draws = np.random.default_rng(3).multinomial(6, [1 / 6] * 6, size=150)
    rows_of = [np.flatnonzero(tested.subjects == name) for name in SUBJECTS]
    choices = [np.arange(len(tested))]
    for times in draws:
        choices.append(np.concatenate([np.tile(r, t) for r, t in zip(rows_of, times, strict=True)]))
    for table, least in ((claim.all_frames, 0), (claim.present, 1)):
        values = np.empty((len(choices), 2, 2))
        for number, rows in enumerate(choices):
            for place in range(2):
                chosen = rows[intensities[rows, place] >= least]
                for which, model in enumerate((tested, baseline)):
                    values[number, which, place] = spearmanr(
                        model.scores[chosen, place], intensities[chosen, place]
                    ).statistic
        differences = values[:, :1] - values[:, 1:]
        values = np.concatenate([values, differences], axis=1)
        values = np.concatenate([values, values.mean(axis=2, keepdims=True)], axis=2)
        found = [*table.classes.values(), table.average]
        for place, each in enumerate(found):
            for which, measure in enumerate((each.network, each.baseline, each.difference)):
                assert measure["value"] == pytest.approx(values[0, which, place])
                wanted = np.percentile(values[1:, which, place], tails(6))
                np.testing.assert_allclose((measure["low"], measure["high"]), wanted)
        counted = (intensities >= least).sum(axis=0)
        assert [each.frames for each in found[:2]] == counted.tolist()
        assert table.averaged == ("AU01", "AU02")
        assert [each.people for each in found] == [6] * 3


def test_a_paired_difference_is_surer_than_either_number() -> None:
    """Two networks for which the same people are hard."""
    random = np.random.default_rng(5)
    names = np.repeat(SUBJECTS, 100).tolist()
    intensities = random.integers(0, 6, (600, 1)).astype(np.int8)
    noise = np.repeat([0.3, 0.8, 1.5, 3.0, 6.0, 9.0], 100)[:, None] * random.normal(size=(600, 1))
    shown = intensities + noise
    tested, baseline = (
        predictions(intensities > 0, 1 / (1 + np.exp(-(shown + more) / 4)), names)
        for more in (0, 1.5 * random.normal(size=(600, 1)))
    )
    average = intensity_claim(tested, intensities, baseline, resamples=300).all_frames.average

    def width(measure: Measure) -> float:
        return measure["high"] - measure["low"]

    assert average.difference["low"] > 0
    assert width(average.difference) < 0.6 * width(average.network)


def test_telling_presence_is_not_telling_intensity() -> None:
    """Scores that tell whether an action unit is there, and nothing of how intense it is."""
    random = np.random.default_rng(1)
    intensities = random.choice([0, 0, 0, 1, 2, 3, 4, 5], (600, 1)).astype(np.int8)
    scores = 0.1 + 0.5 * (intensities > 0) + 0.3 * random.random((600, 1))
    tested = predictions(intensities > 0, scores, [SUBJECTS[n % 6] for n in range(600)])
    claim = intensity_claim(tested, intensities, resamples=300)
    assert claim.all_frames.average.network["low"] > 0.6
    low, high = (claim.present.average.network[side] for side in ("low", "high"))
    assert low < 0.1
    assert high > -0.1
    assert high < 0.35
    assert claim.present.average.baseline is None
    assert claim.present.average.difference is None


def test_what_cannot_be_known_says_why() -> None:
    tested, intensities = made(classes=4)
    intensities[:, 1] = -1
    intensities[:, 2] = np.where(intensities[:, 2] > 0, 3, 0)
    scores = tested.scores.copy()
    scores[:, 3] = 0.25
    claim = intensity_claim(replace(tested, scores=scores), intensities, resamples=50)
    reasons = {
        name: (claim.all_frames.classes[name].network, claim.present.classes[name].network)
        for name in tested.classes
    }
    assert reasons["AU01"][0]["undefined"] is None
    assert reasons["AU02"][0]["undefined"] == "AU02 is in no frame with known intensity"
    assert reasons["AU02"][1]["value"] is None
    assert reasons["AU03"][0]["value"] is not None
    assert reasons["AU03"][1]["undefined"] == "AU03 has the same intensity in all frames"
    assert reasons["AU04"][0]["undefined"] == "AU04 has the same score in all frames"
    assert claim.all_frames.averaged == ("AU01", "AU03")
    assert claim.present.averaged == ("AU01",)
    wanted = np.mean([reasons[name][0]["value"] for name in ("AU01", "AU03")])
    assert claim.all_frames.average.network["value"] == pytest.approx(wanted)
    assert claim.all_frames.classes["AU02"].frames == 0


def test_nothing_known_at_all() -> None:
    tested, intensities = made()
    claim = intensity_claim(tested, np.full_like(intensities, -1), tested, resamples=20)
    average = claim.all_frames.average
    assert (average.frames, average.people, claim.all_frames.averaged) == (0, 0, ())
    for measure in (average.network, average.baseline, average.difference):
        assert measure["undefined"] == "undefined for every class"


def test_what_few_people_show_has_no_interval_and_no_part_in_the_mean() -> None:
    tested, intensities = made()
    shows = np.isin(tested.subjects, SUBJECTS[:3])
    intensities[~shows, 1] = 0
    tested = replace(tested, labels=(intensities > 0).astype(np.int8))
    table = intensity_claim(tested, intensities, resamples=50).all_frames
    rare = table.classes["AU02"]
    assert (rare.frames, rare.people) == (90, 3)
    assert rare.network["value"] > 0.2
    assert (rare.network["low"], rare.network["high"]) == (None, None)
    assert table.averaged == ("AU01",)
    assert table.average == table.classes["AU01"]
    # Where it is always there, those count who show it more or less than others do.
    always = np.where(shows, intensities[:, 1], 3).clip(1)[:, None].astype(np.int8)
    alone = replace(
        tested, classes=("AU02",), labels=np.ones_like(always), scores=tested.scores[:, 1:]
    )
    assert intensity_claim(alone, always, resamples=5).present.classes["AU02"].people == 3
    # Where no more show any, all count.
    intensities[~shows] = 0
    tested = replace(tested, labels=(intensities > 0).astype(np.int8))
    table = intensity_claim(tested, intensities, resamples=50).all_frames
    assert table.averaged == ("AU01", "AU02")
    assert (table.average.people, table.average.network["low"]) == (3, None)


@pytest.mark.parametrize(("few", "many"), [(3, 4), (4, 3)])
def test_people_count_and_not_their_frames(few: int, many: int) -> None:
    """Two people with many frames of one intensity, ten with few of another."""
    owner = np.repeat(np.arange(12), [60] * 2 + [5] * 10)
    intensities = np.where(owner < 2, few, many)[:, None].astype(np.int8)
    scores = np.random.default_rng(0).random((170, 1))
    tested = predictions(intensities > 0, scores, [f"S{number:02d}" for number in owner])
    assert intensity_claim(tested, intensities, resamples=5).present.average.people == 2


def test_one_subject_has_no_interval() -> None:
    tested, intensities = made()
    claim = intensity_claim(replace(tested, subjects=np.full(90, "S0")), intensities, resamples=20)
    measure = claim.all_frames.average.network
    assert measure["value"] > 0
    assert (measure["low"], measure["high"]) == (None, None)


def test_only_the_same_frames_are_compared() -> None:
    tested, intensities = made()
    for other, complaint in (
        (replace(tested, frames=tested.frames + 1), "scores of the same 90 frames"),
        (made(frames=14)[0], "scores of the same 90 frames"),
        (replace(tested, classes=("AU01", "AU04")), "expected the classes AU01, AU02, got"),
    ):
        with pytest.raises(InputError, match=f"baseline: .*{complaint}"):
            intensity_claim(tested, intensities, other, resamples=5)
    with pytest.raises(InputError, match=r"intensities: expected \[90, 2\], got \[90, 1\]"):
        intensity_claim(tested, intensities[:, :1], resamples=5)


def test_intensities_are_those_of_the_classes() -> None:
    stored = np.arange(12, dtype=np.int8).reshape(4, 3) % 6
    prepared = SimpleNamespace(action_units=(4, 6, 12), intensities=stored)
    tested = SimpleNamespace(classes=("AU12", "AU04"))
    opened = SimpleNamespace(prepared=prepared, tested=tested, rows=np.array([3, 1]))
    np.testing.assert_array_equal(intensities_of(opened), stored[[3, 1]][:, [2, 0]])
    tested.classes = ("AU12", "anger")
    with pytest.raises(InputError, match=r"run: expected action units.* got anger"):
        intensities_of(opened)
