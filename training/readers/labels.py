"""Label tables as the readers share them: which action units are wanted, and their codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, LARGEST_INTENSITY, UNKNOWN
from fastcaps.training.errors import InputError

__all__ = ["NOT_CODED", "check_action_units", "from_codes", "occurrence"]

NOT_CODED = 9
"""What BP4D writes where an action unit could not be coded."""


def check_action_units(wanted: Sequence[int]) -> tuple[int, ...]:
    """The wanted action units, ascending.

    Raises:
        InputError: there is none, one is given twice, or one is not known.
    """
    strange = [unit for unit in wanted if unit not in ACTION_UNITS]
    if strange or not wanted or len(set(wanted)) < len(wanted):
        raise InputError(
            f"action_units: expected different numbers of {', '.join(map(str, ACTION_UNITS))}, "
            f"got {', '.join(map(str, wanted)) or 'none'}"
        )
    return tuple(sorted(wanted))


def from_codes(codes: NDArray[np.int64], largest: int) -> NDArray[np.int8]:
    """Labels from codes: 0 .. ``largest`` as they are, 9 (not coded) unknown.

    Raises:
        InputError: there is another code.
    """
    strange = (codes != NOT_CODED) & ((codes < 0) | (codes > largest))
    if strange.any():
        raise InputError(
            f"expected codes 0 .. {largest}, or {NOT_CODED} for what was not coded, "
            f"got {codes[strange][0]}"
        )
    return np.where(codes == NOT_CODED, UNKNOWN, codes).astype(np.int8)


def occurrence(intensities: NDArray[np.int8], positive_from: int) -> NDArray[np.int8]:
    """Labels from intensities: present from ``positive_from`` on, unknown where they are.

    Raises:
        InputError: ``positive_from`` is not in 1 .. 5.
    """
    if not 1 <= positive_from <= LARGEST_INTENSITY:
        raise InputError(f"positive_from: expected 1 .. {LARGEST_INTENSITY}, got {positive_from}")
    return np.where(intensities == UNKNOWN, UNKNOWN, intensities >= positive_from).astype(np.int8)
