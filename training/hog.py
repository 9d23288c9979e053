"""Histograms of oriented gradients (Dalal and Triggs, 2005) of many frames, in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog

from fastcaps.training.errors import InputError
from fastcaps.training.frames import check_frames, check_rows
from fastcaps.training.processes import result_of, worker_pool

__all__ = ["Progress", "feature_blocks", "feature_count"]

ORIENTATIONS = 8
CELL_PIXELS = 8
BLOCK_CELLS = 2

BLOCK_FRAMES = 64
"""Frames that a worker takes at once."""

BLOCKS_PER_WORKER = 2
"""Those that lie ready for it or were done by it; more would fill the memory."""

Progress = Callable[[int, int], object]
"""Is told how many frames are done, and how many there are."""


def feature_count(side: int) -> int:
    """How many features a picture of ``side`` x ``side`` pixels has.

    Raises:
        InputError: it is smaller than one block of cells.
    """
    blocks = side // CELL_PIXELS - BLOCK_CELLS + 1
    if blocks < 1:
        raise InputError(f"side: expected at least {CELL_PIXELS * BLOCK_CELLS}, got {side}")
    return blocks**2 * BLOCK_CELLS**2 * ORIENTATIONS


def feature_blocks(
    frames: NDArray[np.uint8],
    rows: NDArray[np.int64],
    side: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Histograms of the frames' centre crops in gray: 8 orientations, 8x8 pixels a cell, 2x2 cells
    a block.

    Args:
        frames: stored crops, uint8 [N, stored_side, stored_side], or [..., 3] RGB; may be a
            memory map.
        rows: int64 [M], those to look at.
        side: of the centre crop, the window of ``centre_crop``.
        workers: processes at work; 1 for this one. They do not change a bit of the result.
        progress: is told how far the work is.

    Yields:
        Places of some rows among the M, and their features float32 [B, F], 0 .. 1; in order.

    Raises:
        InputError: frames, rows or side of another type, shape or size.
    """
    check_frames(frames, side, CELL_PIXELS * BLOCK_CELLS)
    check_rows(rows, len(frames), may_be_empty=True)
    first = (frames.shape[1] - side) // 2
    window = slice(first, first + side)
    starts = range(0, len(rows), BLOCK_FRAMES)
    crops = (frames[rows[start : start + BLOCK_FRAMES], window, window] for start in starts)
    for start, features in zip(starts, _computed(crops, workers), strict=True):
        block = slice(start, start + len(features))
        yield block, features
        if progress is not None:
            progress(block.stop, len(rows))


def _computed(crops: Iterator[NDArray[np.uint8]], workers: int) -> Iterator[NDArray[np.float32]]:
    """Features of each block of crops, in order."""
    if workers == 1:
        yield from map(_features, crops)
        return
    running: deque[Future[NDArray[np.float32]]] = deque()
    with worker_pool(workers) as pool:
        for crop in crops:
            running.append(pool.submit(_features, crop))
            if len(running) == BLOCKS_PER_WORKER * workers:
                yield result_of(running.popleft())
        while running:
            yield result_of(running.popleft())


def _features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features float32 [B, F] of crops uint8 [B, side, side] or [B, side, side, 3]."""
    in_colour = crops.ndim == 4
    grays = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if in_colour else crop for crop in crops]
    cell, block = (CELL_PIXELS, CELL_PIXELS), (BLOCK_CELLS, BLOCK_CELLS)
    return np.stack([hog(gray.astype(np.float32), ORIENTATIONS, cell, block) for gray in grays])
