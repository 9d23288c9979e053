"""Whether arrays are stored frames, and numbers of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError

__all__ = ["check_frames", "check_rows"]


def check_frames(frames: NDArray[np.uint8], side: int | None, smallest: int = 1) -> None:
    """See that these are frames, and large enough for a crop.

    Args:
        frames: uint8 [N, stored_side, stored_side], or [..., 3] in colour.
        side: of the crop; None for whole frames.
        smallest: what ``side`` may be.

    Raises:
        InputError: frames of another type or shape, or ``side`` is out of range.
    """
    square = frames.ndim >= 3 and frames.shape[1] == frames.shape[2]
    if frames.dtype != np.uint8 or not square or frames.shape[3:] not in ((), (3,)):
        raise InputError(
            "frames: expected uint8 [N, side, side] or [N, side, side, 3], "
            f"got {frames.dtype} {list(frames.shape)}"
        )
    if side is not None and not smallest <= side <= frames.shape[1]:
        raise InputError(
            f"side: expected {smallest} .. {frames.shape[1]}, the frames' side, got {side}"
        )


def check_rows(rows: NDArray[np.int64], count: int, *, may_be_empty: bool = False) -> None:
    """See that these are numbers of frames.

    Args:
        rows: int64 [M].
        count: how many frames there are.
        may_be_empty: whether M may be 0.

    Raises:
        InputError: rows of another type or shape, none, or of frames that are not there.
    """
    if rows.dtype != np.int64 or rows.ndim != 1 or not (may_be_empty or len(rows)):
        least = "" if may_be_empty else ", at least one"
        raise InputError(f"rows: expected int64 [M]{least}, got {rows.dtype} {list(rows.shape)}")
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise InputError(f"rows: expected 0 .. {count - 1}, got {rows.min()} .. {rows.max()}")
