"""Resamples against scikit-learn on rows that are repeated; intervals; paired differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import (
    average_differences,
    draws,
    interval_of,
    intervals,
)
from fastcaps.training.evaluation.decisions import Decisions, decide
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import MEASURES
from fastcaps.training.evaluation.tallies import ALL_CLASSES, Tallies, measures_of, tally
from tests.training.evaluation.made import (
    emotion_predictions,
    predictions,
    random_predictions,
    tails,
)


def decided(made: Predictions, trained: Predictions | None = None) -> Decisions:
    return decide(made, trained or made, "fold 1")


def repeated(decisions: Decisions, weights: np.ndarray, rule: str) -> dict[str, np.ndarray]:
    """scikit-learn's measures of each class on a frame for each time that it is chosen."""
    made = decisions.predictions
    times = dict(zip(sorted(set(made.subjects.tolist())), weights.tolist(), strict=True))
    rows = np.repeat(np.arange(len(made)), [times[subject] for subject in made.subjects])
    found: dict[str, list[float]] = {"f1": [], "auc": [], "accuracy": []}
    for place in range(len(made.classes)):
        known = rows[made.labels[rows, place] >= 0]
        labels, scores = made.labels[known, place] == 1, made.scores[known, place]
        present = decisions.present[rule][known, place]
        is_decided = labels.any() and decisions.undecided[rule][place] is None
        two_sides = 0 < labels.sum() < len(labels)
        found["f1"].append(f1_score(labels, present) if is_decided else np.nan)
        found["auc"].append(roc_auc_score(labels, scores) if two_sides else np.nan)
        found["accuracy"].append(accuracy_score(labels, present) if len(labels) else np.nan)
    return {name: np.array(values) for name, values in found.items()}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7), st.sampled_from([1, 3, 50]))
def test_a_resample_is_what_repeated_frames_give(
    seed: int, subjects: int, frames: int, levels: int
) -> None:
    random = np.random.default_rng(seed)
    names = [f"S{number}" for number in random.permutation(subjects)]
    made = random_predictions(seed, names, frames, classes=2, levels=levels)
    decisions = decided(made, random_predictions(seed + 1, names, 2, classes=2))
    weights = random.integers(0, 4, (3, subjects))
    weights[:, 0] += 1
    found = measures_of(tally(decisions), weights)
    for number, chosen in enumerate(weights):
        for rule in ("f1", "f1_equal_error", "f1_tuned"):
            wanted = repeated(decisions, chosen, rule)
            np.testing.assert_allclose(found[rule][number], wanted["f1"], rtol=1e-12)
            if rule == "f1":
                np.testing.assert_allclose(found["auc"][number], wanted["auc"], rtol=1e-12)
                np.testing.assert_allclose(found["accuracy"][number], wanted["accuracy"])


def test_all_classes_of_emotions_is_their_accuracy() -> None:
    made = emotion_predictions(0, ["S1", "S2", "S3"], frames=5)
    right = made.labels.argmax(axis=1) == made.scores.argmax(axis=1)
    assert 0 < right.mean() < 1
    weights = np.array([[1, 1, 1], [2, 0, 1]])
    found = measures_of(tally(decided(made)), weights)[ALL_CLASSES]
    by_subject = right.reshape(3, 5).mean(axis=1)
    np.testing.assert_allclose(found[:, 0], weights @ by_subject / 3)


def test_intervals_of_a_mean_of_few_subjects_hold_what_they_promise() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = random.normal(size=6)
        resampled = np.concatenate([chosen @ values / 6 for chosen in draws(6, 1000, 0)])
        low, high = interval_of(resampled, 6)
        assert low is not None
        assert high is not None
        held += low < 0 < high
    # In 2,000 cases 92.4%; plain percentiles 85.4%.
    assert 0.92 < held / 400 < 0.98


def test_intervals_are_quantiles_over_resampled_subjects() -> None:
    made = random_predictions(5, [f"S{number}" for number in range(7)], frames=11, classes=2)
    tallies = tally(decided(made))
    found = intervals(tallies, resamples=200, seed=3)
    draws = np.random.default_rng(3).multinomial(7, [1 / 7] * 7, size=200)
    for name, values in measures_of(tallies, draws).items():
        for place in range(values.shape[1]):
            wanted = np.percentile(values[:, place], tails(7))
            np.testing.assert_allclose(found[name].classes[place], wanted)
        wanted = np.percentile(values.mean(axis=1), tails(7))
        np.testing.assert_allclose(found[name].average, wanted)
        assert found[name].average[0] < found[name].average[1]
    assert intervals(tallies, 200, 3) == found
    assert intervals(tallies, 200, 4) != found


def test_the_order_of_frames_does_not_matter() -> None:
    made = random_predictions(5, ["S1", "S2", "S3", "S4", "S5"])
    order = np.random.default_rng(0).permutation(len(made))
    names = ("subjects", "sequences", "frames", "labels", "scores")
    shuffled = replace(made, **{name: getattr(made, name)[order] for name in names})
    first, second = tally(decided(made)), tally(decided(shuffled))
    assert intervals(first, 50, 0) == intervals(second, 50, 0)
    assert first.digest == second.digest


@pytest.mark.parametrize("subjects", [1, 4])
def test_few_subjects_have_no_interval(subjects: int) -> None:
    names = [f"S{number}" for number in range(subjects)]
    found = intervals(tally(decided(random_predictions(0, names, frames=40))), 100, 0)
    for name in (*MEASURES, ALL_CLASSES):
        assert found[name].average == (None, None)
        assert set(found[name].classes) == {(None, None)}


def few_positives(with_positives: int, subjects: int) -> Tallies:
    """Two classes; only the first so many subjects show the second one."""
    count = 2 * subjects
    labels = np.zeros((count, 2), np.int8)
    labels[::2, 0] = 1
    labels[: 2 * with_positives : 2, 1] = 1
    scores = np.random.default_rng(0).random((count, 2))
    names = [f"S{number // 2:02d}" for number in range(count)]
    both_sides = predictions([[1, 1], [0, 0]], [[0.6, 0.6], [0.4, 0.4]])
    return tally(decided(predictions(labels, scores, names), both_sides))


def test_a_class_that_many_resamples_lack_has_no_interval() -> None:
    # A resample of 20 subjects lacks a given one with probability 0.36, 3 with 0.04.
    for with_positives, has_interval in ((1, False), (3, True)):
        found = intervals(few_positives(with_positives, 20), 1000, 0)
        for name in ("f1", "f1_tuned", "auc"):
            assert None not in found[name].classes[0]
            assert (None not in found[name].classes[1]) == has_interval
            assert (None not in found[name].average) == has_interval
        assert None not in found["accuracy"].average


def test_a_tenth_of_the_resamples_may_be_left_out() -> None:
    values = np.arange(100.0)
    values[:10] = np.nan
    wanted = tuple(np.percentile(np.arange(10, 100), tails(5)))
    assert interval_of(values, 5) == pytest.approx(wanted)
    values[10] = np.nan
    assert interval_of(values, 5) == (None, None)


def test_a_class_without_threshold_has_no_interval() -> None:
    made = random_predictions(0, ["S1", "S2", "S3", "S4", "S5"], frames=30, classes=2)
    one_sided = predictions([[1, 1], [0, 1]], [[0.6, 0.6], [0.4, 0.4]])
    found = intervals(tally(decided(made, one_sided)), 100, 0)
    assert None not in found["f1"].average
    for name in ("f1_tuned", "f1_equal_error"):
        assert None not in found[name].classes[0]
        assert found[name].classes[1] == found[name].average == (None, None)


def test_intervals_cover_the_truth() -> None:
    """Subjects differ in how often they are right; the mean over all that could be is 0.7."""
    random = np.random.default_rng(0)
    subjects, frames, runs = 30, 20, 200
    names = np.repeat([f"S{number:02d}" for number in range(subjects)], frames).tolist()
    labels = np.tile([0, 1], subjects * frames // 2)
    by_subject = by_frame = 0
    for _ in range(runs):
        chance = np.repeat(random.beta(7, 3, subjects), frames)
        right = random.random(len(chance)) < chance
        made = predictions(labels, np.where(right, labels, 1 - labels), names)
        low, high = intervals(tally(decided(made)), 200, int(random.integers(1000)))[
            "accuracy"
        ].average
        by_subject += low <= 0.7 <= high
        half_width = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / len(right))
        by_frame += abs(right.mean() - 0.7) <= half_width
    assert 0.89 <= by_subject / runs <= 0.985
    # As if frames were independent, which is what resampling subjects avoids.
    assert by_frame / runs < 0.85


def better_and_worse() -> tuple[Predictions, Predictions]:
    """Two models that find the same subjects hard; the second is right a little less often."""
    random = np.random.default_rng(1)
    names = [f"S{number:02d}" for number in range(25) for _ in range(40)]
    labels = random.integers(0, 2, (1000, 2))
    hard = np.repeat(random.uniform(0, 1.5, 25), 40)[:, None]
    noise = random.normal(size=labels.shape)
    scores = [
        1 / (1 + np.exp(-(labels * 2 - 1 + hard * noise + extra * random.normal(size=(1000, 2)))))
        for extra in (0.0, 0.6)
    ]
    first, second = (predictions(labels, each, names) for each in scores)
    return first, second


def test_differences_are_of_the_same_subjects() -> None:
    first, second = (tally(decided(made)) for made in better_and_worse())
    found = average_differences(first, second, 400, 7)
    assert list(found) == [*MEASURES, ALL_CLASSES]
    draws = np.random.default_rng(7).multinomial(25, [1 / 25] * 25, size=400)
    everyone = np.ones((1, 25), np.int64)
    for name, measure in found.items():
        of_both = [measures_of(each, everyone)[name].mean() for each in (first, second)]
        assert measure["value"] == pytest.approx(of_both[0] - of_both[1])
        drawn = [measures_of(each, draws)[name].mean(axis=1) for each in (first, second)]
        wanted = np.percentile(drawn[0] - drawn[1], tails(25))
        np.testing.assert_allclose((measure["low"], measure["high"]), wanted)
    # Told apart though the models' own intervals overlap.
    own = [intervals(each, 400, 7)["auc"].average for each in (first, second)]
    assert own[0][0] < own[1][1]
    assert found["auc"]["low"] > 0


def test_a_model_does_not_differ_from_itself() -> None:
    first = tally(decided(better_and_worse()[0]))
    for measure in average_differences(first, first, 50, 0).values():
        assert (measure["value"], measure["low"], measure["high"]) == (0, 0, 0)


def test_an_undefined_measure_has_no_difference() -> None:
    made = predictions([[1, 1], [0, 1], [1, 1]], [[0.9, 0.8], [0.3, 0.4], [0.6, 0.1]], [*"ABC"])
    found = average_differences(tally(decided(made)), tally(decided(made)), 50, 0)
    assert found["auc"]["value"] is None
    assert found["auc"]["undefined"] == "AU02 undefined in one model or both"
    assert found["f1"]["value"] == 0


def test_only_models_on_the_same_frames_are_compared() -> None:
    made = random_predictions(0, ["S1", "S2"])
    labels, subjects, frames = made.labels.copy(), made.subjects.copy(), made.frames.copy()
    labels[0] = 1 - abs(labels[0])
    subjects[0] = "S2"
    frames[0] = 1000
    for other in (
        replace(made, labels=labels),
        replace(made, subjects=subjects),
        replace(made, frames=frames),
        replace(made, classes=("AU01", "AU02", "AU04")),
        random_predictions(0, ["S1", "S2", "S3"]),
    ):
        with pytest.raises(InputError, match="models: expected predictions for the same frames"):
            average_differences(tally(decided(made)), tally(decided(other)), 10, 0)
    same = replace(made, scores=made.scores[::-1].copy())
    assert average_differences(tally(decided(made)), tally(decided(same)), 10, 0)


@pytest.mark.parametrize(("name", "numbers"), [("resamples", (0, 0)), ("seed", (10, -1))])
def test_numbers_out_of_range(name: str, numbers: tuple[int, int]) -> None:
    tallies = tally(decided(random_predictions(0, ["S1", "S2"])))
    with pytest.raises(InputError, match=f"{name}: expected at least"):
        intervals(tallies, *numbers)
    with pytest.raises(InputError, match=f"{name}: expected at least"):
        average_differences(tallies, tallies, *numbers)
