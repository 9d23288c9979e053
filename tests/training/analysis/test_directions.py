"""Cosines of what a unit gives for pairs of images."""

from __future__ import annotations

import pytest
import torch

from fastcaps.training.analysis.ascent import Ascent
from fastcaps.training.analysis.directions import pairs
from fastcaps.training.analysis.selection import Selected


def test_pairs_are_of_different_classes_and_know_their_cosines() -> None:
    selected = [
        Selected(3, "a", 0, 0.9),
        Selected(5, "a", 1, 0.9),
        Selected(8, "b", 0, 0.9),
        Selected(9, "b", 1, 0.9),
    ]
    before = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-3.0, 0.0]])
    after = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 4.0]])
    found = pairs(selected, Ascent(torch.empty(4, 1, 8, 8), before, after, torch.empty(4, 2)))
    assert [(pair.first, pair.second) for pair in found] == [(0, 1), (0, 3), (1, 2), (2, 3)]
    half = 0.5**0.5
    assert [pair.before for pair in found] == pytest.approx([half, -1, half, 0])
    assert [pair.after for pair in found] == pytest.approx([0, 0, 1, 1])
    assert [pair.fall for pair in found] == pytest.approx([half, 1, half - 1, -1])
    # Where a unit is off it has no direction.
    after[1] = 0
    found = pairs(selected, Ascent(torch.empty(4, 1, 8, 8), before, after, torch.empty(4, 2)))
    assert [(pair.first, pair.second) for pair in found] == [(0, 3), (2, 3)]
