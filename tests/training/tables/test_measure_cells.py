"""Measures as cells of a table."""

from __future__ import annotations

from fastcaps.training.evaluation.measures import defined, undefined
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell


def test_cells_have_their_intervals_and_reasons() -> None:
    notes = Notes()
    found = measure_cell({**defined(-0.001), "low": -0.25, "high": 0.5}, notes, decimals=2)
    assert (found.text, found.detail) == ("0.00", "\N{MINUS SIGN}0.25 to 0.50")
    missing = measure_cell(undefined("nobody knows"), notes)
    assert [notes.texts[number - 1] for number in missing.notes] == ["undefined: nobody knows"]
    assert measure_cell(None, notes).text == ""
