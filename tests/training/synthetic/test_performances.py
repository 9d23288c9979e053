"""Made-up performances: rates, co-occurrence, smoothness, emotions, coding."""

from __future__ import annotations

import numpy as np
import pytest

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS
from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.people import State
from fastcaps.training.synthetic.performances import (
    TASKS,
    coded_intensities,
    occurrences,
    perform,
    perform_emotion,
)

UNITS = list(ACTION_UNITS)
BP4D_PERCENT = {
    1: 21, 2: 17, 4: 20, 6: 46, 7: 55, 10: 59, 12: 56, 14: 47, 15: 17, 17: 34, 23: 17, 24: 15,
}  # fmt: skip


def shown(states: list[State]) -> np.ndarray:
    return np.array([state.intensities for state in states])


def state(**intensities: tuple[float, float]) -> State:
    values = np.zeros((17, 2), np.float32)
    for name, sides in intensities.items():
        values[UNITS.index(int(name.removeprefix("AU")))] = sides
    return State(intensities=values)


@pytest.fixture(scope="module")
def recordings() -> dict[str, list[list[State]]]:
    random = np.random.default_rng(0)
    return {task: [perform(task, 250, random) for _ in range(16)] for task in TASKS}


def rates(sequences: list[list[State]]) -> dict[int, float]:
    coded = np.concatenate([occurrences(coded_intensities(states)) for states in sequences])
    return dict(zip(UNITS, 100 * coded.mean(axis=0), strict=True))


def test_action_units_occur_about_as_often_as_in_bp4d(
    recordings: dict[str, list[list[State]]],
) -> None:
    percent = rates([states for sequences in recordings.values() for states in sequences])
    assert all(5 <= value <= 62 for value in percent.values()), percent
    for unit, expected in BP4D_PERCENT.items():
        assert percent[unit] == pytest.approx(expected, abs=9), unit


@pytest.mark.parametrize(
    ("task", "typical", "rare"),
    [
        ("T1", (6, 12, 25), (4, 9)),
        ("T2", (1, 4, 15, 17), (2, 9)),
        ("T3", (1, 2, 5, 26), (4, 15)),
        ("T4", (14, 24), (4, 5)),
        ("T5", (4, 5, 20), (9, 15)),
        ("T6", (7, 9, 10), (5, 24)),
        ("T7", (4, 7, 23, 24), (9, 26)),
        ("T8", (9, 10, 17), (23, 26)),
    ],
)
def test_each_task_has_its_expression(
    recordings: dict[str, list[list[State]]],
    task: str,
    typical: tuple[int, ...],
    rare: tuple[int, ...],
) -> None:
    percent = rates(recordings[task])
    assert min(percent[unit] for unit in typical) > 15
    assert min(percent[u] for u in typical) > 1.5 * max(percent[u] for u in rare)


def test_action_units_of_an_expression_come_together(
    recordings: dict[str, list[list[State]]],
) -> None:
    every = np.concatenate([shown(s) for sequences in recordings.values() for s in sequences])
    together = np.corrcoef(every.max(axis=2).T)
    between = {
        pair: together[UNITS.index(pair[0]), UNITS.index(pair[1])]
        for pair in [(6, 12), (1, 2), (4, 7), (12, 15), (24, 25)]
    }
    assert min(between[6, 12], between[1, 2]) > 0.4
    assert between[4, 7] > 0.1
    assert max(between[12, 15], between[24, 25]) < 0


def test_antagonists_are_not_seen_together(recordings: dict[str, list[list[State]]]) -> None:
    for sequences in recordings.values():
        strong = shown([s for states in sequences for s in states]).max(axis=2)
        parted = strong[:, [UNITS.index(25), UNITS.index(26)]].max(axis=1) >= 3
        assert (strong[parted, UNITS.index(24)] < 0.01).all()
        assert (strong[:, UNITS.index(25)] >= 0.69 * strong[:, UNITS.index(26)]).all()


def test_performances_are_smooth_and_within_range(
    recordings: dict[str, list[list[State]]],
) -> None:
    for sequences in recordings.values():
        values = np.array([shown(states) for states in sequences])
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 5
        assert np.abs(np.diff(values, axis=1)).max() < 1.6
        poses = np.array([[(s.pose.yaw, s.pose.pitch, s.pose.roll) for s in x] for x in sequences])
        assert np.abs(np.diff(poses, axis=1)).max() < 3
        assert (np.percentile(np.abs(poses), 90, axis=(0, 1)) < (20, 12, 8)).all()
        assert np.abs(poses).max(axis=(0, 1)).min() > 4
        zooms = np.array([[s.zoom for s in states] for states in sequences])
        assert np.abs(np.diff(zooms, axis=1)).max() < 0.01
        for states in sequences:
            assert len({(s.background, s.contrast) for s in states}) == 1


def test_eyes_blink_now_and_then(recordings: dict[str, list[list[State]]]) -> None:
    closed = [[s.blink for s in states] for states in recordings["T1"]]
    assert np.min(closed) == 0
    assert np.max(closed) == 1
    assert 0.02 < np.mean(np.array(closed) > 0.5) < 0.15


def test_the_dimpler_is_often_on_one_side_and_the_jaw_never(
    recordings: dict[str, list[list[State]]],
) -> None:
    values = shown([s for states in recordings["T4"] + recordings["T1"] for s in states])
    dimples = values[:, UNITS.index(14)]
    dimples = dimples[dimples.max(axis=1) >= 1]
    one_sided = dimples.min(axis=1) < 0.3 * dimples.max(axis=1)
    assert 0.2 < one_sided.mean() < 0.7
    assert (dimples[one_sided].argmax(axis=1) == 0).mean() == pytest.approx(0.5, abs=0.3)
    assert (values[:, UNITS.index(26), 0] == values[:, UNITS.index(26), 1]).all()


@pytest.mark.parametrize("frames", [1, 2, 7, 77])
def test_any_number_of_frames_is_performed_and_can_be_repeated(frames: int) -> None:
    for emotion in EMOTIONS:
        assert len(perform_emotion(emotion, frames, np.random.default_rng(1))) == frames
    for task in TASKS:
        first, again, other = (perform(task, frames, np.random.default_rng(i)) for i in (1, 1, 2))
        assert len(first) == frames
        assert all(repr(a) == repr(b) for a, b in zip(first, again, strict=True))
        assert first[0].background != other[0].background


@pytest.mark.parametrize(
    ("emotion", "units"),
    [
        ("neutral", set()),
        ("anger", {4, 5, 7, 23}),
        ("contempt", {14}),
        ("disgust", {9, 10, 17}),
        ("fear", {1, 2, 4, 5, 20, 25}),
        ("happiness", {6, 12}),
        ("sadness", {1, 4, 15}),
        ("surprise", {1, 2, 5, 25, 26}),
    ],
)
def test_emotions_rise_from_neutral_to_their_prototype(emotion: str, units: set[int]) -> None:
    for seed in range(5):
        states = perform_emotion(emotion, 20, np.random.default_rng(seed))
        values = shown(states)
        assert not values[0].any()
        assert (np.diff(values.max(axis=2), axis=0) >= -1e-6).all()
        coded = coded_intensities(states)
        assert {unit for unit, value in zip(UNITS, coded[-1], strict=True) if value} == units
        assert (coded[-3:] > 0).any(axis=1).all() == bool(units)
        assert max(abs(s.pose.yaw) for s in states) < 10
    if emotion == "contempt":
        assert values[-1, UNITS.index(14)].min() < 0.1 * values[-1, UNITS.index(14)].max()


def test_coders_write_the_rounded_intensity_of_the_stronger_side() -> None:
    states = [
        state(),
        state(AU01=(0.49, 0.2), AU02=(0.5, 0.0), AU04=(0.0, 1.49)),
        state(AU12=(2.5, 4.5), AU14=(5.0, 5.0), AU26=(3.4, 3.4)),
    ]
    expected = np.zeros((3, 17), np.int8)
    expected[1, [UNITS.index(2), UNITS.index(4)]] = 1
    expected[2, [UNITS.index(unit) for unit in (12, 14, 26)]] = 5, 5, 3
    coded = coded_intensities(states)
    assert coded.dtype == np.int8
    np.testing.assert_array_equal(coded, expected)
    present = occurrences(coded)
    assert present.dtype == np.int8
    np.testing.assert_array_equal(present, (expected > 0).astype(np.int8))
    assert coded_intensities([]).shape == (0, 17)


def test_bad_arguments_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"^task: expected one of T1, .* T8, got T9"):
        perform("T9", 10, random)
    with pytest.raises(InputError, match=r"^frames: expected at least 1, got 0"):
        perform("T1", 0, random)
    with pytest.raises(InputError, match=r"^emotion: expected one of neutral, .* got joy"):
        perform_emotion("joy", 10, random)
    with pytest.raises(InputError, match=r"^frames: expected at least 1, got -3"):
        perform_emotion("anger", -3, random)
