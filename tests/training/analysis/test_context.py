"""Which of the selected images are shown."""

from __future__ import annotations

from fastcaps.training.analysis.context import places_of, spread
from fastcaps.training.analysis.selection import Selected


def test_classes_take_turns_and_people_too() -> None:
    selected = [
        Selected(0, "a", 0, 0.9),
        Selected(0, "a", 1, 0.95),
        Selected(1, "a", 1, 0.8),
        Selected(2, "b", 0, 0.7),
        Selected(3, "c", 0, 0.6),
        Selected(3, "c", 1, 0.5),
    ]
    found = spread(selected, 10)
    # Frame 0 is of class 0 already; a has been shown once, so c comes before a in class 1.
    assert [(one.place, one.class_index) for one in found] == [(0, 0), (3, 1), (2, 0), (1, 1)]
    assert places_of(found).tolist() == [0, 3, 2, 1]
    assert spread(selected, 3) == found[:3]


def test_there_may_be_fewer_than_asked_for() -> None:
    only = Selected(4, "a", 2, 0.9)
    assert spread([only], 3) == (only,)
    assert spread([], 3) == ()
