"""Parts of the face and the frames in which all of one is known."""

from __future__ import annotations

import numpy as np
import pytest

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.analysis.claims.facial_parts import NEAR_UNITS, PART_UNITS, part_frames
from fastcaps.training.analysis.places import REGIONS
from fastcaps.training.errors import InputError


def test_each_action_unit_moves_one_part() -> None:
    assert set(PART_UNITS) == set(REGIONS)
    units = [unit for part in ("brows", "eyes", "nose", "mouth") for unit in PART_UNITS[part]]
    assert sorted(units) == sorted(ACTION_UNITS)


def test_frames_with_an_unknown_action_unit_of_the_part_are_left_out() -> None:
    labels = np.array([[1, 0, 1], [0, -1, 1], [-1, 0, 0], [0, 1, 1]], dtype=np.int8)
    subjects = np.array(["b", "a", "c", "a"], dtype=object)
    found = part_frames("brows", (12, 4, 1), labels, subjects)
    assert found.part == "brows"
    assert found.action_units == (1, 4)
    assert found.rows.tolist() == [0, 2, 3]
    assert found.shown.tolist() == [[True, False], [False, False], [True, True]]
    assert (found.owner.tolist(), found.subjects) == ([1, 2, 0], 3)


def test_what_is_near_a_part_is_known_with_it() -> None:
    assert set(NEAR_UNITS) == set(PART_UNITS)
    labels = np.array([[1, 0, 1, -1], [0, -1, 1, 1]], dtype=np.int8)
    found = part_frames("brows", (12, 4, 1, 6), labels, np.array(["a", "b"]))
    assert (found.rows.tolist(), found.near.tolist()) == ([0], [[-1]])
    mouth = part_frames("mouth", (12, 4, 1, 6), labels, np.array(["a", "b"]))
    assert (mouth.action_units, mouth.near.tolist()) == ((12,), [[-1], [1]])


def test_a_part_that_is_not_known() -> None:
    with pytest.raises(InputError, match=r"part: expected one of brows, .*, got ear"):
        part_frames("ear", (1,), np.zeros((1, 1), np.int8), np.array(["a"]))
