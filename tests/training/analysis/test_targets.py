"""Targets of gradient ascent as texts."""

from __future__ import annotations

import pytest

from fastcaps.training.analysis.targets import REGION_TARGETS, Target, parse_targets
from fastcaps.training.errors import InputError


def test_targets_are_told_by_name_or_by_number() -> None:
    assert parse_targets(["nose", "5,16", "nose"], unit=3) == (
        Target("nose", 3),
        Target((5, 16), 3),
    )
    assert parse_targets([]) == REGION_TARGETS
    assert {target.unit for target in parse_targets([], unit=4)} == {4}
    assert Target((5, 16)).name == "row 5, column 16"


@pytest.mark.parametrize("text", ["ear", "", "5", "5,", "-1,2", "5,6,7", "5.0,6"])
def test_another_text_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"^at: expected ROW,COLUMN or one of brows, .*, got "):
        parse_targets([text])
