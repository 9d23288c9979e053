"""Whether the length of a class capsule tells how intense an action unit is."""

from __future__ import annotations

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.analysis.claims.intensity import (
    Correlation,
    IntensityTable,
    intensities_of,
    intensity_claim,
)
from fastcaps.training.analysis.context import Context, Progress, silently
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.section import Section
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import FEWEST_SUBJECTS
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["intensity"]

TEXT = (
    "Rashid and Lee find that capsule magnitude correlates with the intensity of an expression. "
    "Below is Spearman's correlation of each class's score, a capsule's length, with the true "
    "intensity from 0 to 5: in all test frames, where it is high as soon as frames with and "
    "without the action unit are told apart; and in frames that show it, where only intensity is "
    "left to tell."
)


PEOPLE_NOTE = (
    "the fewest without whose frames all would be of one intensity, as on these it rests; "
    "of the mean, the harmonic mean of its classes, of which those with fewer than "
    f"{FEWEST_SUBJECTS} are left out where others have more"
)


def intensity(context: Context, progress: Progress = silently) -> Section:
    """Correlations of scores with intensities, and the baseline's beside them.

    Raises:
        InputError: the classes are no action units, no intensity is known, or the baseline tested
            other frames.
    """
    fold, baseline = context.fold, context.baseline
    intensities = intensities_of(fold)
    if (intensities == UNKNOWN).all():
        raise InputError(f"data: {fold.prepared.folder} does not tell how intense action units are")
    found = intensity_claim(
        fold.tested,
        intensities,
        None if baseline is None else baseline.tested,
        resamples=context.resamples,
        seed=context.seed,
    )
    progress(1, 1)
    tables = {
        "in all test frames": found.all_frames,
        "in frames that show the action unit": found.present,
    }
    verdicts = []
    for where, table in tables.items():
        mean = table.average
        verdicts.append(
            verdict(f"Scores grow with intensity {where} (mean of rho)", mean.network, mean.people)
        )
        if mean.difference is not None:
            claim = f"They do so more than those of {context.baseline_name} {where}"
            verdicts.append(verdict(claim, mean.difference, mean.people))
    return Section(
        text=(TEXT,),
        verdicts=tuple(verdicts),
        tables=tuple(_table(context, where, table) for where, table in tables.items()),
    )


def _table(context: Context, where: str, table: IntensityTable) -> Table:
    notes = Notes()
    told = notes.numbers([CONFIDENCE_NOTE])
    columns = [
        Heading("Frames"),
        Heading("People", notes.numbers([PEOPLE_NOTE])),
        Heading(context.fold.name, told),
    ]
    if context.baseline is not None:
        columns += [Heading(context.baseline_name, told), Heading("Difference", told)]
    mean = f"mean of {len(table.averaged)}"
    rows = [Row(Heading(name), _cells(context, one, notes)) for name, one in table.classes.items()]
    rows.append(Row(Heading(mean), _cells(context, table.average, notes), ruled=True))
    title = f"Correlation of scores with intensity {where}"
    return Table(title, "Class", tuple(columns), tuple(rows), notes.texts)


def _cells(context: Context, one: Correlation, notes: Notes) -> tuple[Cell, ...]:
    cells = [
        Cell(f"{one.frames:,}"),
        Cell(f"{one.people:,}"),
        measure_cell(one.network, notes, decimals=DECIMALS),
    ]
    if context.baseline is not None:
        cells += [
            measure_cell(one.baseline, notes, decimals=DECIMALS),
            measure_cell(one.difference, notes, decimals=DECIMALS),
        ]
    return tuple(cells)
