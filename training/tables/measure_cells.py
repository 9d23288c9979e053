"""Measures with their intervals as cells of a table."""

from __future__ import annotations

from fastcaps.training.evaluation.report import Measure
from fastcaps.training.tables.layout import DASH, Notes, rounded, span
from fastcaps.training.tables.model import Cell

__all__ = ["measure_cell"]


def measure_cell(
    measure: Measure | None,
    notes: Notes,
    *,
    scale: float = 1.0,
    decimals: int = 1,
    sign: bool = False,
) -> Cell:
    """A measure with its interval below it; a dash with the reason where it is not defined.

    Args:
        measure: to be shown; None leaves the cell empty.
        notes: of the table; the reason becomes one of them.
        scale: what is shown for 1.
        decimals, sign: see :func:`rounded`.
    """
    if measure is None:
        return Cell()
    if measure["value"] is None:
        return Cell(DASH, notes=notes.numbers([f"undefined: {measure['undefined']}"]))
    low, high = measure["low"], measure["high"]
    known = low is not None and high is not None
    detail = span(scale * low, scale * high, decimals, sign=sign) if known else ""
    return Cell(rounded(scale * measure["value"], decimals, sign=sign), detail)
