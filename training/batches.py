"""Batches of a prepared data set, read ahead of the device that trains.

Which frames come when follows from seed and epoch alone, whatever the number of workers, and of
devices that share a batch. A run that is taken up goes on with the batch that it would have had.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fastcaps.training.errors import InputError

__all__ = ["Batch", "InOrder", "Shuffled", "load"]


class Batch(NamedTuple):
    """Some frames of a data set.

    Attributes:
        frames: uint8 [B, stored_side, stored_side] or [..., 3].
        labels: int8 [B, N].
        rows: int64 [B], the frames' places in the data set.
    """

    frames: Tensor
    labels: Tensor
    rows: Tensor


class Shuffled(Sampler[NDArray[np.int64]]):
    """Rows in a new order in each epoch, one batch at a time.

    Every batch but that of a data set smaller than a batch is full: what is left over at the end
    of an epoch has its turn in others. Iterating goes through one epoch, and on to the next one
    the next time.

    Args:
        rows: int64 [M], those to train on.
        batch_size: rows in a batch of all devices together.
        seed: of the order.
        device: number, from 0, and count of the devices; each gets its share of every batch.

    Raises:
        InputError: a batch cannot be shared out evenly.
    """

    def __init__(
        self, rows: NDArray[np.int64], batch_size: int, seed: int, device: tuple[int, int] = (0, 1)
    ) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self.seed = seed
        self.number, self.devices = device
        if self.batch_size % self.devices:
            raise InputError(
                f"batch_size: expected a multiple of the {self.devices} devices, "
                f"got {self.batch_size} of {len(rows)} frames"
            )
        self.start_at(epoch=0, batch=0)

    def start_at(self, epoch: int, batch: int) -> None:
        """Continue with ``batch`` of ``epoch``, both from 0."""
        self.epoch, self.batch = epoch + batch // len(self), batch % len(self)

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        first = self.batch
        # Ahead of the batches, as whoever counts them need not ask for one beyond the last.
        self.start_at(self.epoch + 1, 0)
        for batch in range(first, len(self)):
            shared = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield shared[self.number :: self.devices]


class InOrder(Sampler[NDArray[np.int64]]):
    """Rows in their order, ``batch_size`` at a time."""

    def __init__(self, rows: NDArray[np.int64], batch_size: int) -> None:
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        for first in range(0, len(self.rows), self.batch_size):
            yield self.rows[first : first + self.batch_size]


def load(
    frames: NDArray[np.uint8],
    labels: NDArray[np.int8],
    order: Sampler[NDArray[np.int64]],
    workers: int,
    *,
    pinned: bool,
) -> DataLoader[Batch]:
    """Batches in an order.

    Args:
        frames: uint8 [F, stored_side, stored_side] or [..., 3]; usually a memory map.
        labels: int8 [F, N].
        order: gives the rows of each batch.
        workers: processes that read ahead; 0 to read when a batch is asked for.
        pinned: whether batches lie in memory that a GPU copies from by itself.
    """
    return DataLoader(
        _Frames(frames, labels),
        # One "sample" is a whole batch: frames are gathered at once.
        batch_size=None,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pinned,
        # Its own, so that torch's stays as it is.
        generator=torch.Generator().manual_seed(0),
    )


class _Frames(Dataset[Batch]):
    def __init__(self, frames: NDArray[np.uint8], labels: NDArray[np.int8]) -> None:
        self.frames = frames
        self.labels = labels

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are started afresh: a memory map is opened there, not copied."""
        state = self.__dict__.copy()
        frames = state["frames"]
        # Of a view, numpy does not know where it begins.
        if isinstance(frames, np.memmap) and isinstance(frames.base, mmap):
            state["frames"] = None
            state["map"] = (str(frames.filename), frames.offset, frames.shape)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "map" in state:
            path, offset, shape = state.pop("map")
            state["frames"] = np.memmap(path, np.uint8, "r", offset, shape)
        self.__dict__.update(state)

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch:
        # In the file's order, which disks like better.
        in_file = np.argsort(rows, kind="stable")
        frames = np.empty((len(rows), *self.frames.shape[1:]), dtype=np.uint8)
        frames[in_file] = self.frames[rows[in_file]]
        return Batch(
            torch.from_numpy(frames),
            torch.from_numpy(self.labels[rows]),
            torch.from_numpy(rows.copy()),
        )
