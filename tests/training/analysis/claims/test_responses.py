"""Areas under ROC curves against pairs one by one; what raises planted units."""

from __future__ import annotations

import numpy as np
import pytest

from fastcaps.training.analysis.claims.facial_parts import PartFrames, part_frames
from fastcaps.training.analysis.claims.responses import areas, comparisons, raised
from tests.training.analysis.claims.made import co_occurring


def everyone(frames: PartFrames) -> np.ndarray:
    return np.ones((1, frames.subjects), dtype=np.int64)


def of_people(frames: PartFrames, activations: np.ndarray) -> np.ndarray:
    return np.stack([areas(each, activations) for each in comparisons(frames)])


def test_areas_are_those_of_pairs_that_differ_in_one_action_unit() -> None:
    frames = co_occurring(people=3, frames=25)
    random = np.random.default_rng(0)
    activations = random.integers(0, 4, (len(frames.rows), 2)).astype(np.float32)
    for place, compared in enumerate(comparisons(frames)):
        larger, pairs = np.zeros((3, 2)), np.zeros((3, 1))
        for one in range(len(frames.rows)):
            for other in range(len(frames.rows)):
                differs = frames.shown[one] != frames.shown[other]
                same = frames.owner[one] == frames.owner[other]
                if (
                    same
                    and frames.shown[one, place]
                    and differs.tolist() == [unit == place for unit in range(4)]
                ):
                    ties = activations[one] == activations[other]
                    larger[frames.owner[one]] += (activations[one] > activations[other]) + ties / 2
                    pairs[frames.owner[one]] += 1
        assert (pairs > 0).all()
        assert compared.people == 3
        np.testing.assert_allclose(areas(compared, activations), larger / pairs)


def test_people_without_such_pairs_have_no_area() -> None:
    frames = co_occurring(people=4, frames=20)
    frames.shown[frames.owner == 2, 1] = True
    compared = comparisons(frames)
    assert [each.people for each in compared] == [4, 3, 4, 4]
    found = areas(compared[1], np.ones((80, 1), np.float32))
    np.testing.assert_array_equal(found[:, 0], [0.5, 0.5, np.nan, 0.5])


def test_units_are_raised_by_what_was_planted() -> None:
    """Though the second action unit comes with the first, and people differ by more than both."""
    frames = co_occurring()
    random = np.random.default_rng(0)
    offset = 5 * random.normal(size=frames.subjects)[frames.owner]
    shown = frames.shown.astype(float)
    assert np.corrcoef(shown[:, 0], shown[:, 1])[0, 1] > 0.4
    signals = np.stack([shown[:, 0], shown[:, 0] + shown[:, 2], -shown[:, 3]], axis=1)
    noise = 0.5 * random.normal(size=(len(offset), 50, 3))
    activations = (signals[:, None] + noise + offset[:, None, None]).reshape(len(offset), -1)
    found = raised(of_people(frames, activations), everyone(frames))[0].reshape(4, 50, 3)
    planted = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    shares = found.mean(axis=1)
    assert (shares[planted] == 1).all()
    # 2.5% of what is said is expected to be wrong.
    assert shares[~planted].max() <= 0.1
    assert found.sum(axis=0).mean(axis=0) == pytest.approx([1, 2, 0], abs=0.1)


def test_units_that_stand_for_nothing_are_seldom_raised() -> None:
    frames = co_occurring(people=8, frames=40)
    random = np.random.default_rng(3)
    activations = random.exponential(size=(len(frames.rows), 600)) * (
        random.random((len(frames.rows), 600)) < 0.5
    )
    found = raised(of_people(frames, activations), everyone(frames))[0]
    assert 0.005 < found.any(axis=0).mean() < 0.05


def test_a_choice_of_people_is_as_if_only_they_were_there() -> None:
    frames = co_occurring(people=10, frames=30)
    random = np.random.default_rng(0)
    activations = frames.shown @ random.normal(size=(4, 30)) * 0.3
    activations += random.normal(size=activations.shape)
    values = of_people(frames, activations)
    chosen = np.array([[1, 1, 1, 1, 1, 1, 1, 0, 0, 0], [2, 0, 1, 1, 3, 1, 0, 1, 1, 0]])
    found = raised(values, chosen)
    for row, times in enumerate(chosen):
        repeated = np.repeat(values, times, axis=1)
        wanted = raised(repeated, np.ones((1, times.sum()), dtype=np.int64))[0]
        np.testing.assert_array_equal(found[row], wanted)
        assert 0 < wanted.mean() < 1


def test_units_near_a_part_are_held_equal() -> None:
    """Brows that come down with narrowed eyes raise a unit at the eyes, which sees them."""
    random = np.random.default_rng(0)
    labels = (random.random((840, 4)) < 0.45).astype(np.int8)
    for place in (1, 2, 3):
        labels[:, place] = np.where(random.random(840) < 0.6, labels[:, 0], labels[:, place])
    names = np.repeat([f"S{number:02d}" for number in range(14)], 60)
    activations = 2 * labels[:, :1] + random.normal(0, 0.4, (840, 30))

    def responses(units: tuple[int, ...]) -> float:
        frames = part_frames("eyes", units, labels[:, -len(units) :], names)
        return raised(of_people(frames, activations), everyone(frames))[0].sum(axis=0).mean()

    assert responses((4, 5, 6, 7)) < 0.2
    assert responses((5, 6, 7)) > 2.5
