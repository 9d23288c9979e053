"""Order and content of batches: the same whoever reads them, and wherever they are taken up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastcaps.training.batches import Batch, InOrder, Shuffled, load
from fastcaps.training.errors import InputError

ROWS = st.lists(st.integers(0, 500), min_size=1, max_size=40, unique=True).map(
    lambda rows: np.array(sorted(rows), dtype=np.int64)
)


def epochs(order: Shuffled, count: int) -> list[list[list[int]]]:
    return [[batch.tolist() for batch in order] for _ in range(count)]


@given(rows=ROWS, batch_size=st.integers(1, 50), seed=st.integers(0, 2**31 - 1))
def test_an_epoch_is_a_permutation_in_full_batches(
    rows: NDArray[np.int64], batch_size: int, seed: int
) -> None:
    order = Shuffled(rows, batch_size, seed)
    full = min(batch_size, len(rows))
    for epoch in epochs(order, 2):
        assert len(epoch) == len(order) == len(rows) // full
        assert {len(batch) for batch in epoch} == {full}
        drawn = [row for batch in epoch for row in batch]
        assert len(set(drawn)) == len(drawn)
        assert set(drawn) <= set(rows.tolist())
        assert len(rows) - len(drawn) < full


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    rows = np.arange(100, 160)
    first, second = epochs(Shuffled(rows, 7, seed=1), 2)
    (other,) = epochs(Shuffled(rows, 7, seed=2), 1)
    assert len({str(order) for order in (first, second, other)}) == 3
    # Who is left over in one epoch has a turn in another.
    left = [
        set(rows.tolist()) - {row for batch in epoch for row in batch} for epoch in (first, second)
    ]
    assert len(left[0]) == 4
    assert left[0] != left[1]


@given(rows=ROWS, of_each=st.integers(1, 5), devices=st.integers(1, 4), start=st.integers(0, 9))
def test_devices_share_the_batches_of_one(
    rows: NDArray[np.int64], of_each: int, devices: int, start: int
) -> None:
    if len(rows) < of_each * devices:
        return
    orders = [
        Shuffled(rows, of_each * devices, 3, device)
        for device in ((0, 1), *((n, devices) for n in range(devices)))
    ]
    for order in orders:
        order.start_at(0, start)
    alone, *shares = (epochs(order, 2) for order in orders)
    for number, epoch in enumerate(alone):
        for place, batch in enumerate(epoch):
            parts = [share[number][place] for share in shares]
            assert {len(part) for part in parts} == {of_each}
            assert sorted(row for part in parts for row in part) == sorted(batch)


@given(rows=ROWS, batch_size=st.integers(1, 12), epoch=st.integers(0, 2), batch=st.integers(0, 40))
def test_the_order_can_be_taken_up_anywhere(
    rows: NDArray[np.int64], batch_size: int, epoch: int, batch: int
) -> None:
    whole, continued = Shuffled(rows, batch_size, 5), Shuffled(rows, batch_size, 5)
    batch = batch % (len(whole) + 1)
    expected = [rows for epoch in epochs(whole, 5) for rows in epoch][epoch * len(whole) + batch :]
    continued.start_at(epoch, batch)
    actual = [rows for epoch in epochs(continued, 6) for rows in epoch]
    assert actual[: len(expected)] == expected


def test_batches_that_devices_cannot_share_are_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size: .* multiple of the 2 devices, got 5 of 20"):
        Shuffled(np.arange(20), 5, 0, (0, 2))
    # A batch is never larger than the data.
    with pytest.raises(InputError, match="got 7 of 7 frames"):
        Shuffled(np.arange(7), 8, 0, (1, 2))


@given(rows=ROWS, batch_size=st.integers(1, 50))
def test_rows_in_order_are_all_there(rows: NDArray[np.int64], batch_size: int) -> None:
    order = InOrder(rows, batch_size)
    batches = list(order)
    assert len(batches) == len(order)
    assert np.concatenate(batches).tolist() == rows.tolist()
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}


@pytest.fixture
def frames(tmp_path: Path) -> NDArray[np.uint8]:
    """A memory map, as of a prepared data set."""
    made = np.random.default_rng(0).integers(0, 256, (23, 6, 6, 3), dtype=np.uint8)
    np.save(tmp_path / "frames.npy", made)
    opened: NDArray[np.uint8] = np.load(tmp_path / "frames.npy", mmap_mode="r")
    return opened


def labels_of(frames: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.random.default_rng(1).integers(-1, 2, (len(frames), 5), dtype=np.int8)


def test_a_batch_has_its_frames_and_labels(frames: NDArray[np.uint8]) -> None:
    rows, labels = np.arange(1, 23, 2), labels_of(frames)
    for batch in load(frames, labels, Shuffled(rows, 4, 0), 0, pinned=False):
        assert isinstance(batch, Batch)
        np.testing.assert_array_equal(batch.frames, frames[batch.rows.numpy()])
        np.testing.assert_array_equal(batch.labels, labels[batch.rows.numpy()])
        assert (batch.frames.dtype, batch.labels.dtype) == (torch.uint8, torch.int8)


def collected(batches: Iterable[Batch]) -> list[list[list[int]]]:
    return [[part.tolist() for part in batch] for batch in batches]


def test_workers_do_not_change_a_bit(frames: NDArray[np.uint8]) -> None:
    found = []
    for workers in (0, 1, 2):
        order = Shuffled(np.arange(20), 3, seed=4)
        order.start_at(1, 2)
        batches = load(frames, labels_of(frames), order, workers, pinned=False)
        # The rest of an epoch, a whole one, and one that is left early.
        found.append([*collected(batches), *collected(batches), *collected(islice(batches, 2))])
        assert len(found[-1]) == 4 + 6 + 2
    assert found[0] == found[1] == found[2]


def test_reading_leaves_torchs_random_numbers_alone(frames: NDArray[np.uint8]) -> None:
    before = torch.get_rng_state()
    list(load(frames, labels_of(frames), Shuffled(np.arange(20), 3, 0), 0, pinned=False))
    assert torch.equal(torch.get_rng_state(), before)
