"""What training needs to know of its data beforehand; all of it from the training rows only."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.frames import check_frames, check_rows

__all__ = [
    "SMALLEST_STD",
    "PixelStatistics",
    "class_weights",
    "frequencies",
    "pixel_statistics",
]

WHITE = 255

SMALLEST_STD = 1 / WHITE
"""Smaller standard deviations count as this, one grey level, so that pixels that (nearly) never
change can be divided by theirs."""

BLOCK_FRAMES = 64
"""Frames read at once; as many squares of bytes fit into 32 bits."""


@dataclass(frozen=True)
class PixelStatistics:
    """Mean and standard deviation of each pixel, float32 [C, side, side], of pixels in 0 .. 1.

    The shape and the range are those of augmented images: ``(images - mean) / std``.

    Raises:
        InputError: an array is of another type or shape, or holds what cannot be.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, array in (("mean", self.mean), ("std", self.std)):
            if array.dtype != np.float32 or array.ndim != 3 or array.shape != self.mean.shape:
                raise InputError(
                    f"{name}: expected float32 [C, side, side], the same for mean and std, "
                    f"got {array.dtype} {list(array.shape)}"
                )
        for name, fits, expected in (
            ("mean", ((self.mean >= 0) & (self.mean <= 1)).all(), "0 .. 1"),
            ("std", ((self.std > 0) & (self.std <= 1)).all(), "above 0 and up to 1"),
        ):
            if not fits:
                raise InputError(f"{name}: expected numbers {expected}, got others")

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        write_atomically(path, lambda file: np.savez(file, mean=self.mean, std=self.std))

    @classmethod
    def load(cls, path: Path) -> PixelStatistics:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: there is no such file, it cannot be read, or it holds something else.
        """
        if not path.is_file():
            raise InputError(f"statistics: there is no file {path}")
        try:
            archive = np.load(path, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError("expected an npz file with mean and std")
            with archive:
                return cls(archive["mean"], archive["std"])
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"statistics: {path} cannot be used: {error}") from error


def frequencies(labels: NDArray[np.int8], names: Sequence[str]) -> pd.DataFrame:
    """How often each class is present.

    Args:
        labels: int8 [N, A]: 1 present, 0 absent, -1 unknown.
        names: of the A classes.

    Returns:
        A table with a row for each class, by name, and the columns ``positives``, ``negatives``,
        ``unknown`` (int64) and ``base_rate`` (float64): the part of the known labels that are
        positive, NaN where none is known.

    Raises:
        InputError: labels of another type, shape or value.
    """
    _check_labels(labels, names)
    counts = {
        name: np.count_nonzero(labels == value, axis=0).astype(np.int64)
        for name, value in (("positives", 1), ("negatives", 0), ("unknown", UNKNOWN))
    }
    table = pd.DataFrame(counts, index=pd.Index(list(names), name="class"))
    # 0 / 0 is NaN in pandas.
    table["base_rate"] = table["positives"] / (table["positives"] + table["negatives"])
    return table


def class_weights(
    labels: NDArray[np.int8], rows: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.float32]:
    """The weights w_c of the margin loss: 1 / base rate, normalised to sum to one (paper, 3).

    Args:
        labels: int8 [N, A]: 1 present, 0 absent, -1 unknown, which does not count.
        rows: int64 [M], those to train on.
        names: of the A classes.

    Returns:
        float32 [A].

    Raises:
        InputError: a class is never present in these rows, so that its weight would be infinite
            and nothing could be learned of it; or the arguments are of another type or shape.
    """
    _check_labels(labels, names)
    check_rows(rows, len(labels))
    rates = frequencies(labels[rows], names)["base_rate"]
    never = [name for name, rate in zip(names, rates, strict=True) if not rate > 0]
    if never:
        raise InputError(
            f"labels: expected every class at least once in the training rows, got none of "
            f"{', '.join(never)}; leave it out or train on more subjects"
        )
    inverse = 1 / rates.to_numpy(np.float64)
    return (inverse / inverse.sum()).astype(np.float32)


def pixel_statistics(
    frames: NDArray[np.uint8],
    rows: NDArray[np.int64],
    side: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> PixelStatistics:
    """Mean and standard deviation (of the population) of each pixel over some frames.

    Sums are kept in whole numbers, so the result is the same to the last bit in whatever order
    and blocks the frames are read. Memory does not grow with the number of frames.

    Args:
        frames: uint8 [N, stored_side, stored_side], or [..., 3] in colour; may be a memmap.
        rows: int64 [M], those to train on.
        side: of the centre crop to look at, where the window of an odd margin is as in
            ``centre_crop``; None for whole frames.
        progress: is told after each block how many frames are done, and of how many.

    Raises:
        InputError: arguments of another type or shape, no rows, or rows that are not there.
    """
    check_frames(frames, side)
    check_rows(rows, len(frames))
    stored_side = frames.shape[1]
    first = (stored_side - (side or stored_side)) // 2
    window = slice(first, first + (side or stored_side))
    total = np.zeros_like(frames[0, window, window], dtype=np.int64)
    squares = np.zeros_like(total)
    in_file_order = np.sort(rows)
    for start in range(0, len(rows), BLOCK_FRAMES):
        block = frames[in_file_order[start : start + BLOCK_FRAMES], window, window]
        total += block.sum(axis=0, dtype=np.uint32)
        squares += np.square(block, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
        progress(start + len(block), len(rows))
    mean, std = _moments(total, squares, len(rows))
    return PixelStatistics(
        _channels_first(mean / WHITE), np.maximum(_channels_first(std / WHITE), SMALLEST_STD)
    )


def _moments(
    total: NDArray[np.int64], squares: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation from sums; deviations are taken from the mean rounded down, in
    whole numbers, so that nothing cancels."""
    floor = total // count
    rest = (total - count * floor).astype(np.float64)  # sum of the deviations
    deviations = squares - 2 * floor * total + count * floor**2  # sum of their squares
    variance = (deviations - rest**2 / count) / count
    return total / count, np.sqrt(np.maximum(variance, 0))


def _channels_first(image: NDArray[np.float64]) -> NDArray[np.float32]:
    with_channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(with_channels, dtype=np.float32)


def _check_labels(labels: NDArray[np.int8], names: Sequence[str]) -> None:
    if labels.dtype != np.int8 or labels.ndim != 2 or labels.shape[1] != len(names):
        raise InputError(
            f"labels: expected int8 [N, {len(names)}], a column for each of {', '.join(names)}, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if labels.size and (labels.min() < UNKNOWN or labels.max() > 1):
        raise InputError(
            f"labels: expected 0, 1 and {UNKNOWN} for unknown, got {labels.min()} .. {labels.max()}"
        )
