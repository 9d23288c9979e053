"""What measures say of a claim."""

from __future__ import annotations

import pytest

from fastcaps.training.analysis.parts.verdicts import verdict
from fastcaps.training.evaluation.measures import defined, undefined
from fastcaps.training.evaluation.report import Measure


def measure(value: float, low: float | None = None, high: float | None = None) -> Measure:
    return {**defined(value), "low": low, "high": high}


@pytest.mark.parametrize(
    ("found", "beyond", "told"),
    [
        (measure(0.5, 0.2, 0.7), 0.0, "It grows: holds, 0.50 (0.20 to 0.70)."),
        (measure(0.5, 0.2, 0.7), 0.3, "It grows: not decided, 0.50 (0.20 to 0.70)."),
        (
            measure(-0.5, -0.7, -0.2),
            0.0,
            "It grows: does not hold, -0.50 (-0.70 to -0.20).".replace("-", "\N{MINUS SIGN}"),
        ),
        (measure(0.5), 0.0, "It grows: 0.50, without an interval."),
        (undefined("nobody knows"), 0.0, "It grows: not measured (nobody knows)."),
    ],
)
def test_a_claim_holds_where_all_of_the_interval_is_beyond(
    found: Measure, beyond: float, told: str
) -> None:
    assert verdict("It grows", found, 6, beyond=beyond) == told


def test_a_lower_bound_and_few_people_decide_less() -> None:
    low, high = measure(0.2, 0.1, 0.4), measure(0.8, 0.6, 0.9)
    decided = "It grows: does not hold, 0.20 (0.10 to 0.40)."
    assert verdict("It grows", low, 6, beyond=0.5) == decided
    open_ = "It grows: not decided, 0.20 (0.10 to 0.40)."
    assert verdict("It grows", low, 6, beyond=0.5, at_least=True) == open_
    assert verdict("It grows", high, 6, at_least=True) == "It grows: holds, 0.80 (0.60 to 0.90)."
    of_few = "It grows: not decided by 5 people, 0.80 (0.60 to 0.90)."
    assert verdict("It grows", high, 5) == of_few
