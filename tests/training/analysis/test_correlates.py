"""Names for what dimensions of a capsule change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastcaps.training.analysis.correlates import strongest_correlates
from fastcaps.training.attributes import Attribute

PEOPLE, FRAMES = 12, 10
SUBJECTS = np.repeat([f"S{number:02d}" for number in range(PEOPLE)], FRAMES).astype(object)
ROWS = PEOPLE * FRAMES


def test_the_strongest_attribute_gives_the_name() -> None:
    random = np.random.default_rng(0)
    yaw, light = random.normal(size=(2, ROWS))
    light[::7] = np.nan
    directions = np.stack(
        [np.exp(yaw) + 0.1 * random.normal(size=ROWS), -np.nan_to_num(light), np.full(ROWS, 0.5)],
        axis=1,
    )
    first, second, constant = strongest_correlates(
        directions, [Attribute("yaw", "", yaw), Attribute("light_left", "", light)], SUBJECTS
    )
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("yaw", "light_left")
    assert first.rho == pytest.approx(spearmanr(directions[:, 0], yaw).statistic)
    # Frames whose light is not known do not count.
    assert second.rho == pytest.approx(-1)
    assert second.text == "light left -1.00"
    assert constant is None


def test_what_is_alike_in_a_person_gives_no_name_by_chance() -> None:
    random = np.random.default_rng(1)
    named = 0
    for _ in range(20):
        people = random.normal(size=(PEOPLE, 32)).repeat(FRAMES, axis=0)
        directions = people + 0.3 * random.normal(size=(ROWS, 32))
        values = random.normal(size=(10, PEOPLE)).repeat(FRAMES, axis=1)
        attributes = [Attribute(str(number), "", each) for number, each in enumerate(values)]
        named += any(strongest_correlates(directions, attributes, SUBJECTS))
        # Of frames that were each a person's, most dimensions would have a name.
        assert np.abs(spearmanr(directions, values.T).statistic[:32, 32:]).max() > 0.5
    assert named <= 4


def test_few_people_give_no_name() -> None:
    yaw = np.random.default_rng(2).normal(size=ROWS)
    subjects = np.array(list("abcde"), dtype=object)[np.arange(ROWS) % 5]
    assert strongest_correlates(yaw[:, None], [Attribute("yaw", "", yaw)], subjects) == (None,)


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * ROWS, [np.nan] * ROWS])
def test_what_does_not_vary_gives_no_name(values: list[float]) -> None:
    directions = np.random.default_rng(1).normal(size=(len(values), 5))
    attributes = [Attribute("yaw", "", np.array(values))]
    assert strongest_correlates(directions, attributes, SUBJECTS[: len(values)]) == (None,) * 5


def test_people_with_many_frames_give_no_name_by_chance() -> None:
    random = np.random.default_rng(1)
    frames = np.array([60, 50, 40, *[4] * 11])
    subjects = np.repeat([f"S{number:02d}" for number in range(14)], frames).astype(object)
    named = 0
    for _ in range(20):
        people = random.normal(size=(14, 32)).repeat(frames, axis=0)
        directions = people + 0.3 * random.normal(size=people.shape)
        values = random.normal(size=(10, 14)).repeat(frames, axis=1)
        attributes = [Attribute(str(number), "", each) for number, each in enumerate(values)]
        named += any(strongest_correlates(directions, attributes, subjects))
    assert named <= 1
