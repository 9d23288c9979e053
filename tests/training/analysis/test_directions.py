"""Cosines of what a unit gives for pairs of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastcaps.training.analysis.ascent import Ascent
from fastcaps.training.analysis.directions import pairs
from fastcaps.training.analysis.selection import Selected


def test_pairs_are_of_one_person_with_different_labels_and_know_their_cosines() -> None:
    selected = [Selected(place, "aabba"[place], place % 2, 0.9) for place in range(5)]
    # The last one stands for another class than the second, but shows the same.
    shown = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [1, 1]], dtype=np.int8)
    before = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 1.0]])
    after = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 4.0], [-1.0, 0.0]])
    found = pairs(selected, shown, Ascent(torch.empty(5, 1, 8, 8), before, after, torch.empty(5)))
    assert [(pair.first, pair.second) for pair in found] == [(0, 1), (0, 4), (2, 3)]
    half = 0.5**0.5
    assert [pair.before for pair in found] == pytest.approx([half, 0, 0])
    assert [pair.after for pair in found] == pytest.approx([0, -1, 1])
    assert [pair.fall for pair in found] == pytest.approx([half, -1, -1])
    # Where a unit is off it has no direction.
    after[1] = 0
    found = pairs(selected, shown, Ascent(torch.empty(5, 1, 8, 8), before, after, torch.empty(5)))
    assert [(pair.first, pair.second) for pair in found] == [(0, 4), (2, 3)]
