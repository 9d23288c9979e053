"""Units with a planted number of deformations, and how sure their counts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from fastcaps.training.analysis.claims import deformations
from fastcaps.training.analysis.claims.deformations import (
    DeformationClaim,
    deformation_claim,
    together,
)
from fastcaps.training.analysis.claims.facial_parts import PartFrames, part_frames
from fastcaps.training.analysis.claims.measuring import Statistic, measured
from fastcaps.training.analysis.claims.unit_answers import Answers, ask, largest_sets
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.report import Measure
from tests.training.analysis.claims.made import co_occurring

AXES = np.eye(8)[:4]


def with_noise(signal: np.ndarray, units: int, seed: int = 0) -> np.ndarray:
    """Units [F, U, D] that give a signal [F, D], each with noise of its own."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(len(signal), units, signal.shape[1]))
    return (signal[:, None] + 0.4 * noise).astype(np.float32)


def capsules(frames: PartFrames, places: tuple[int, ...], units: int = 20) -> np.ndarray:
    """Capsules that some action units make longer, each in a direction of its own."""
    return with_noise(2 * frames.shown[:, list(places)] @ AXES[list(places)], units)


@pytest.fixture(scope="module")
def claim() -> DeformationClaim:
    """Three kinds of capsules, and convolution units that two action units raise, or none."""
    frames = co_occurring(part="mouth")
    shown = frames.shown.astype(float)
    return deformation_claim(
        frames,
        {
            "two": capsules(frames, (0, 2)),
            "four": capsules(frames, (0, 1, 2, 3)),
            "same direction": with_noise(2 * (shown[:, :1] + shown[:, 2:3]) @ AXES[:1], 20),
            "convolution": np.abs(with_noise(shown[:, :1] + shown[:, 2:3] + 3, 30)),
            "nothing": with_noise(0 * shown[:, :1] + 5, 30),
            "half off": with_noise(shown[:, :1] + 3, 6) * ([[1], [0]] * 3),
        },
        resamples=100,
    )


def test_a_unit_of_two_deformations_has_two(claim: DeformationClaim) -> None:
    two = claim.populations["two"]
    assert (two.units, two.constant, two.numbers) == (20, 0, 8)
    assert two.means.responses["value"] == pytest.approx(2, abs=0.15)
    assert two.means.distinct["value"] == pytest.approx(2, abs=0.1)
    assert two.means.several["value"] == 1
    assert two.distinct_counts[2] >= 18
    assert sum(two.distinct_counts) == 20
    # Of the six pairs only that of the two others is not told apart by one of these.
    assert (5 * 0.97 + 0.5) / 6 < two.means.accuracy["value"] < 0.97


def test_a_unit_of_four_deformations_has_four(claim: DeformationClaim) -> None:
    four = claim.populations["four"]
    assert four.means.distinct["value"] == 4
    assert four.distinct_counts == (0, 0, 0, 0, 20)
    assert four.means.accuracy["low"] > 0.95
    assert four.means.area["low"] > 0.9
    assert claim.differences["four"].distinct["high"] < -1


@pytest.mark.parametrize("name", ["same direction", "convolution"])
def test_what_is_active_for_two_and_the_same_for_both_has_one(
    claim: DeformationClaim, name: str
) -> None:
    found = claim.populations[name].means
    assert found.responses["value"] == pytest.approx(2, abs=0.15)
    assert found.distinct["value"] == pytest.approx(1, abs=0.1)
    assert claim.differences[name].distinct["low"] > 0.5
    assert claim.differences[name].responses["value"] == pytest.approx(0, abs=0.2)


def test_a_unit_of_nothing_has_none(claim: DeformationClaim) -> None:
    found = claim.populations["nothing"].means
    assert found.responses["value"] <= 0.1
    assert found.responses["low"] == 0
    assert found.several["value"] <= 0.05
    assert found.area["value"] == pytest.approx(0.5, abs=0.02)
    assert found.accuracy["value"] == pytest.approx(0.5, abs=0.03)


def test_units_that_are_always_the_same_are_left_out(claim: DeformationClaim) -> None:
    found = claim.populations["half off"]
    assert (found.units, found.constant) == (6, 3)
    assert found.means.responses["value"] == pytest.approx(1, abs=0.4)
    assert sum(found.distinct_counts) == 3


def test_what_was_compared_is_told(claim: DeformationClaim) -> None:
    assert (claim.part, claim.frames, claim.subjects) == ("mouth", 720, 12)
    assert claim.people_compared == {10: 12, 12: 12, 15: 12, 17: 12}
    assert claim.pairs == tuple(combinations((10, 12, 15, 17), 2))
    assert list(claim.differences) == list(claim.populations)[1:]


def test_differences_are_of_the_same_people(claim: DeformationClaim) -> None:
    for name, difference in claim.differences.items():
        of_both = [asdict(claim.populations[which].means) for which in ("two", name)]
        for measure, found in asdict(difference).items():
            first, second = (each[measure]["value"] for each in of_both)
            assert found["value"] == pytest.approx(first - second)
            assert found["low"] <= found["high"]


def test_rows_are_those_of_the_frames() -> None:
    """Frames with an unknown label are among those that vectors are given for."""
    known = co_occurring()
    labels = known.shown.astype(np.int8)
    unknown = np.random.default_rng(0).random(len(labels)) < 0.3
    labels[unknown, 1] = -1
    names = np.array([f"S{owner:02d}" for owner in known.owner])
    frames = part_frames("mouth", known.action_units, labels, names)
    vectors = capsules(known, (0, 2), units=3)
    vectors[unknown] = np.nan
    found = deformation_claim(frames, {"a": vectors}, resamples=5)
    assert found.frames == (~unknown).sum()
    assert found.populations["a"].means.distinct["value"] == pytest.approx(2, abs=0.4)
    assert found.differences == {}


def test_too_few_people_say_why() -> None:
    frames = co_occurring(people=5)
    found = deformation_claim(frames, {"a": capsules(frames, (0,), 2)}, resamples=5)
    population = found.populations["a"]
    assert population.distinct_counts == ()
    means = asdict(population.means)
    assert all(each["value"] is None for each in means.values())
    assert means["responses"]["undefined"] == (
        "no action unit of the mouth in which 6 people can be compared"
    )
    assert means["several"]["undefined"].startswith("fewer than two action units of the mouth")
    assert means["accuracy"]["undefined"].startswith("no two action units of the mouth")


def test_one_action_unit_can_only_raise() -> None:
    frames = co_occurring(people=7)
    one = part_frames(
        "mouth",
        (12,),
        frames.shown[:, :1].astype(np.int8),
        np.array([f"S{owner}" for owner in frames.owner]),
    )
    found = deformation_claim(one, {"a": capsules(frames, (0,), 3)}, resamples=20)
    means = found.populations["a"].means
    assert means.responses["value"] == 1
    assert means.area["value"] > 0.9
    for measure in (means.several, means.distinct, means.accuracy):
        assert measure["undefined"]


def test_intervals_go_by_those_who_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One action unit is compared in nine people of twelve, the others in all."""
    frames = co_occurring(people=12)
    shown = frames.shown.copy()
    shown[frames.owner < 3, 1] = False
    frames = replace(frames, shown=shown)
    asked = ask(frames)
    assert [each.people for each in asked.comparisons] == [12, 9, 12, 12]
    assert asked.people_of([(0, 1)]) == 9
    assert ask(co_occurring(people=5)).people == 0
    told = []

    def spied(
        statistic: Statistic, people: Sequence[int], *others: Any, **options: Any
    ) -> list[Measure]:
        told.append(list(people))
        return measured(statistic, people, *others, **options)

    monkeypatch.setattr(deformations, "measured", spied)
    claim = deformation_claim(frames, {"a": capsules(frames, (0, 2), units=4)}, resamples=5)
    assert (claim.people, claim.people_of_pairs) == (11, 10)
    assert told == [[11, 11, 10], [11, 10]]


def test_units_that_are_all_the_same_say_so() -> None:
    frames = co_occurring(people=7, frames=20)
    off = np.zeros((140, 4, 1), dtype=np.float32)
    found = deformation_claim(
        frames, {"a": capsules(frames, (0,), 2), "off": off, "none": off[:, :0]}, resamples=5
    )
    for name in ("off", "none"):
        for measure in asdict(found.populations[name].means).values():
            assert measure["undefined"] == "all units give the same in all frames"
        assert found.differences[name].area["value"] is None
    assert found.populations["off"].constant == 4
    assert found.populations["a"].means.area["value"] > 0.5


def test_at_least_one_population() -> None:
    with pytest.raises(InputError, match="populations: expected at least one"):
        deformation_claim(co_occurring(people=2, frames=3), {})


def test_neighbours_that_change_are_taken_together() -> None:
    units = np.random.default_rng(0).random((5, 9, 1)).astype(np.float32)
    units[:, [1, 4]] = 0
    found = together(units, 3)
    scaled = units / units.std(axis=0).clip(1e-9)
    np.testing.assert_allclose(found[2], scaled[2, [[0, 2, 3], [5, 6, 7]], 0], rtol=1e-5)
    assert together(units, 8).shape == (5, 0, 8)


def test_the_largest_set_is_the_largest_clique() -> None:
    random = np.random.default_rng(0)
    is_raised = random.random((5, 60)) < 0.7
    is_apart = {
        (a, b): is_raised[a] & is_raised[b] & (random.random(60) < 0.7)
        for a, b in combinations(range(5), 2)
        if (a, b) != (1, 3)
    }
    found = largest_sets(is_raised, is_apart)
    for unit in range(60):
        sizes = [
            size
            for size in range(6)
            for chosen in combinations(np.flatnonzero(is_raised[:, unit]).tolist(), size)
            if all(pair in is_apart and is_apart[pair][unit] for pair in combinations(chosen, 2))
        ]
        assert found[unit] == max(sizes)
    assert len(set(found.tolist())) > 3


def test_intervals_cover_what_other_people_would_show() -> None:
    """Of counts at a threshold, in people who differ in what raises all units at once."""
    random = np.random.default_rng(0)
    asked = ask(co_occurring(people=16, frames=40))
    effects = np.repeat([[0.0], [0.08], [0.12], [0.2]], 15, axis=1) + random.normal(
        0, 0.01, (4, 15)
    )

    def world() -> np.ndarray:
        people = random.normal(0, 0.1, (4, 16, 1)) + random.normal(0, 0.1, (4, 16, 15))
        return 0.5 + effects[:, None] + people

    def counts(areas: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        right = np.full((len(asked.pairs), 2, 16, 15), 0.5)
        return Answers(asked, 15, areas, right).counts(chosen).responses.mean(axis=1)

    everyone = np.ones((1, 16), dtype=np.int64)
    wanted = np.mean([counts(world(), everyone) for _ in range(200)])
    covered = 0
    for seed in range(60):
        areas = world()
        (found,) = measured(
            lambda chosen, areas=areas: counts(areas, chosen)[:, None],
            [16],
            16,
            ["-"],
            resamples=100,
            seed=seed,
            recentred=True,
        )
        covered += found["low"] <= wanted <= found["high"]
    assert covered >= 48
