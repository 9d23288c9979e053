"""Scores by condition: a row for each third of the frames by each attribute."""

from __future__ import annotations

import math

from fastcaps.training.attributes import in_words
from fastcaps.training.comparison.comparing import Comparison
from fastcaps.training.comparison.conditions import Condition, Third
from fastcaps.training.tables.layout import Notes, span
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Heading, Row, Table

__all__ = ["conditions_table"]


def conditions_table(comparison: Comparison) -> Table:
    """AUC of the first run in each third of the frames, and how the other runs' differ."""
    notes = Notes()
    first, *others = comparison.runs
    confidence = f"{first.evaluation['confidence']:.0%} confidence interval"
    of_first = notes.numbers([f"mean over the classes, in percent, with its {confidence}"])
    of_others = notes.numbers(
        [
            f"against {first.name} on the same frames, in percentage points; with its "
            f"{confidence} from {comparison.resamples:,} resamples of the subjects"
        ]
    )
    return Table(
        title="AUC by what is known of the frames, in thirds",
        corner="Frames",
        columns=(
            Heading(first.name, of_first),
            *(Heading(f"{run.name}, difference", of_others) for run in others),
        ),
        rows=tuple(
            _row(condition, third, notes)
            for condition in comparison.conditions
            for third in condition.thirds
        ),
        notes=notes.texts,
    )


def _row(condition: Condition, third: Third, notes: Notes) -> Row:
    about = notes.numbers([f"{in_words(condition.name)}: {condition.about}"])
    spread = condition.thirds[-1].high - condition.thirds[0].low
    decimals = max(0, 1 - math.floor(math.log10(spread))) if spread else 0
    cells = [
        measure_cell(third.auc, notes, scale=100),
        *(measure_cell(each, notes, scale=100, sign=True) for each in third.differences),
    ]
    return Row(
        Heading(f"{in_words(condition.name)} {span(third.low, third.high, decimals)}", about),
        tuple(cells),
        ruled=third is condition.thirds[0],
    )
