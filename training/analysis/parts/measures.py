"""Measures with their intervals as cells of a table, and what they say of a claim."""

from __future__ import annotations

from fastcaps.training.evaluation.report import Measure
from fastcaps.training.tables.layout import DASH, Notes
from fastcaps.training.tables.model import Cell

__all__ = ["CONFIDENCE_NOTE", "cell", "verdict"]

MINUS = "\N{MINUS SIGN}"

CONFIDENCE_NOTE = "with its 95% confidence interval, from resampling people"


def cell(measure: Measure | None, notes: Notes, decimals: int = 2) -> Cell:
    """A measure with its interval below it; a dash with the reason where it is not defined."""
    if measure is None:
        return Cell()
    if measure["value"] is None:
        return Cell(DASH, notes=notes.numbers([f"undefined: {measure['undefined']}"]))
    low, high = measure["low"], measure["high"]
    known = low is not None and high is not None
    detail = f"{_text(low, decimals)} to {_text(high, decimals)}" if known else ""
    return Cell(_text(measure["value"], decimals), detail)


def verdict(claim: str, measure: Measure, beyond: float = 0.0) -> str:
    """Whether a claim holds here: whether the whole interval is above a number.

    Args:
        claim: a sentence without its full stop.
        measure: what the claim says is large.
        beyond: what it has to be above.
    """
    value, low, high = measure["value"], measure["low"], measure["high"]
    if value is None:
        return f"{claim}: not measured ({measure['undefined']})."
    if low is None or high is None:
        return f"{claim}: {_text(value, 2)}, without an interval."
    span = f"{_text(value, 2)} ({_text(low, 2)} to {_text(high, 2)})"
    if low > beyond:
        return f"{claim}: holds, {span}."
    if high < beyond:
        return f"{claim}: does not hold, {span}."
    return f"{claim}: not decided, {span}."


def _text(number: float | None, decimals: int) -> str:
    assert number is not None
    text = f"{number:.{decimals}f}"
    return f"{0:.{decimals}f}" if float(text) == 0 else text.replace("-", MINUS)
