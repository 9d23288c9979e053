"""Random numbers: against SplitMix64 in whole numbers of Python, uniform, independent."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.random_numbers import random_numbers
from tests.training.splitmix64 import expected_numbers, splitmix64


def test_the_reference_generator_is_splitmix64() -> None:
    assert splitmix64(1234567, 3) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 10**6),
    indices=st.lists(st.integers(0, 2**63 - 1), max_size=4),
    count=st.integers(0, 12),
)
@settings(max_examples=50, deadline=None)
def test_random_numbers_are_those_of_splitmix64(
    seed: int, epoch: int, indices: list[int], count: int
) -> None:
    numbers = random_numbers(seed, epoch, torch.tensor(indices, dtype=torch.int64), count)
    assert numbers.shape == (len(indices), count)
    assert numbers.tolist() == [expected_numbers(seed, epoch, i, count) for i in indices]


def test_random_numbers_are_uniform_and_independent(device: torch.device) -> None:
    indices = torch.arange(4096, device=device)
    runs = [random_numbers(s, e, indices, 6).cpu() for s, e in ((0, 0), (0, 1), (1, 0), (1, 1))]
    columns = torch.cat(runs, dim=1).T.numpy()
    assert columns.min() >= 0
    assert columns.max() < 1
    for column in columns:
        counts = np.histogram(column, bins=16, range=(0, 1))[0]
        # Chi-squared of 15 degrees of freedom: above 45 once in 10,000.
        assert ((counts - 256) ** 2 / 256).sum() < 45
    between = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(between).max() < 5 / np.sqrt(4096)
    for column in columns:
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 5 / np.sqrt(4096)
