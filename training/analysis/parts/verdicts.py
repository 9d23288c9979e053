"""What a measure says of a claim."""

from __future__ import annotations

from fastcaps.training.analysis.claims.significance import LEAST_PEOPLE
from fastcaps.training.evaluation.report import Measure
from fastcaps.training.tables.layout import rounded, span

__all__ = ["CONFIDENCE_NOTE", "DECIMALS", "verdict"]

DECIMALS = 2
"""Of all that reports of an analysis tell."""

CONFIDENCE_NOTE = "with its 95% confidence interval, from resampling people"


def verdict(
    claim: str, measure: Measure, people: int, *, beyond: float = 0.0, at_least: bool = False
) -> str:
    """Whether a claim holds here: whether the whole interval is above a number.

    Of fewer than six people nothing is decided: they agree by chance too often.

    Args:
        claim: a sentence without its full stop.
        measure: what the claim says is large.
        people: that it rests on.
        beyond: what it has to be above.
        at_least: whether the true value may be larger, so that a small one says nothing.
    """
    value, low, high = measure["value"], measure["low"], measure["high"]
    if value is None:
        return f"{claim}: not measured ({measure['undefined']})."
    if low is None or high is None:
        return f"{claim}: {rounded(value, DECIMALS)}, without an interval."
    told = f"{rounded(value, DECIMALS)} ({span(low, high, DECIMALS)})"
    if people < LEAST_PEOPLE:
        return f"{claim}: not decided by {people} people, {told}."
    if low > beyond:
        return f"{claim}: holds, {told}."
    if high < beyond and not at_least:
        return f"{claim}: does not hold, {told}."
    return f"{claim}: not decided, {told}."
