"""From action units to expressions: sides, order of intensities, what excludes each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.synthetic.people import Person, State
from fastcaps.training.synthetic.rigged.expressions import (
    EXPRESSIONS,
    ONE_FOR_BOTH_SIDES,
    SHAPES,
    activations,
    expression_weights,
)

UNITS = list(ACTION_UNITS)
PERSON = Person(
    identity=np.zeros(100, np.float32),
    skin_tone=0.5,
    iris=0.5,
    brow=0.5,
    lip=0.5,
    detail=0,
    strength=np.ones((17, 2), np.float32),
)
INTENSITIES = arrays(np.float32, (17, 2), elements=st.floats(0, 5, width=32))


def weights(
    *units: int, level: Any = 5.0, person: Person = PERSON, **options: Any
) -> dict[str, float]:
    intensities = np.zeros((17, 2), np.float32)
    intensities[[UNITS.index(unit) for unit in units]] = level
    return expression_weights(person, State(intensities, **options))


def test_every_action_unit_has_expressions() -> None:
    assert list(SHAPES) == UNITS
    assert set(weights(*UNITS)) == EXPRESSIONS


def test_a_face_at_rest_has_no_expression() -> None:
    assert not any(weights().values())


@pytest.mark.parametrize("unit", UNITS)
def test_an_action_unit_alone_has_its_expressions_and_no_other(unit: int) -> None:
    found = {name.removesuffix("_L") for name, weight in weights(unit).items() if weight}
    assert {name for name in found if not name.endswith("_R")} == SHAPES[unit].keys()


@pytest.mark.parametrize("unit", UNITS)
def test_intensities_go_up_to_the_table(unit: int) -> None:
    name, greatest = next(iter(SHAPES[unit].items()))
    name += "" if name in ONE_FOR_BOTH_SIDES else "_L"
    steps = [weights(unit, level=level)[name] for level in np.arange(0, 5.25, 0.25)]
    assert (np.diff(np.abs(steps)) > 0).all()
    assert steps[0] == 0
    assert steps[-1] == pytest.approx(greatest, rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_sides(unit: int) -> None:
    left, both = weights(unit, level=(4, 0)), weights(unit, level=4)
    right = weights(unit, level=(0, 4))
    assert not any(weight for name, weight in left.items() if name.endswith("_R"))
    for name in SHAPES[unit]:
        if name in ONE_FOR_BOTH_SIDES:
            assert left[name] == right[name]
            assert left[name] == pytest.approx(both[name] / 2, rel=0.2)
        else:
            assert left[f"{name}_L"] == both[f"{name}_L"] == right[f"{name}_R"]


def test_people_differ_in_strength() -> None:
    strength = np.ones((17, 2), np.float32)
    strength[UNITS.index(12)] = (0.7, 1.3)
    found = weights(12, level=3, person=replace(PERSON, strength=strength))
    usual = weights(12, level=3)["mouthSmile_L"]
    assert found["mouthSmile_L"] == pytest.approx(0.7 * usual)
    assert found["mouthSmile_R"] == pytest.approx(1.3 * usual)
    state = State(np.full((17, 2), 5, np.float32))
    np.testing.assert_array_equal(activations(replace(PERSON, strength=strength), state), strength)


@settings(max_examples=100, deadline=None)
@given(intensities=INTENSITIES, blink=st.floats(0, 1))
def test_eyes_close_with_a_blink_only(intensities: np.ndarray, blink: float) -> None:
    found = expression_weights(PERSON, State(intensities, blink=blink))
    closed = (
        found["eyeBlink_L"]
        + 0.25 * found["eyeSquint_L"]
        + 0.3 * (found["cheekSquint_L"] + found["cheekRaiser_L"])
    )
    assert blink - 1e-5 <= closed <= 0.68 + 0.32 * blink + 1e-5
    if blink == 1:
        assert closed == pytest.approx(1)
        assert found["eyeWide_L"] == 0


@settings(max_examples=100, deadline=None)
@given(intensities=INTENSITIES)
def test_mouths_do_not_do_what_excludes_each_other(intensities: np.ndarray) -> None:
    found = expression_weights(PERSON, State(intensities))
    parts = np.interp(intensities[[UNITS.index(25), UNITS.index(26)]].max(axis=0), [0, 5], [0, 1])
    for side, apart in zip("LR", parts, strict=True):
        assert found[f"mouthPress_{side}"] <= 1.5 * (1 - apart) + 0.35
        assert found[f"mouthSmile_{side}"] + found[f"mouthStretch_{side}"] <= 1.5 + 1e-5
        assert found[f"mouthUpperUp_{side}"] <= 1.2 + 1e-5
    if parts.min() == 1:
        assert found["mouthRollLower"] == found["mouthRollUpper"] == found["mouthPucker"] == 0


@pytest.mark.parametrize(
    ("gaze", "shown"),
    [
        ((15.0, 0.0), {"eyeLookOut_L", "eyeLookIn_R"}),
        ((-15.0, 0.0), {"eyeLookIn_L", "eyeLookOut_R"}),
        ((0.0, 15.0), {"eyeLookUp_L", "eyeLookUp_R"}),
        ((0.0, -15.0), {"eyeLookDown_L", "eyeLookDown_R"}),
    ],
)
def test_lids_go_with_the_gaze(gaze: tuple[float, float], shown: set[str]) -> None:
    half = weights(gaze=gaze)
    assert {name for name, weight in half.items() if weight} == shown
    whole = weights(gaze=(2 * gaze[0], 2 * gaze[1]))
    assert all(whole[name] == pytest.approx(2 * half[name]) for name in shown)
    beyond = weights(gaze=(9 * gaze[0], 9 * gaze[1]))
    assert all(beyond[name] == whole[name] for name in shown)
