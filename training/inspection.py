"""What is in a prepared data set, as tables."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.table import Table

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS, UNKNOWN, column
from fastcaps.training.prepared import RESIDUAL, Prepared
from fastcaps.training.statistics import frequencies

__all__ = ["tables"]


def tables(prepared: Prepared) -> list[Table]:
    """Counts for each action unit, each subject and, where there are some, each emotion."""
    made = [_of_action_units(prepared), _of_subjects(prepared)]
    if (prepared.index["emotion"] != UNKNOWN).any():
        made.append(_of_emotions(prepared.index))
    return made


def _of_action_units(prepared: Prepared) -> Table:
    table = Table(
        "action unit",
        "name",
        box=box.SIMPLE,
        title=f"{prepared.folder}: {len(prepared.index)} frames",
    )
    for name in ("present", "absent", "unknown", "base rate", "intensity known"):
        table.add_column(name, justify="right")
    names = [column(unit) for unit in prepared.action_units]
    counts = frequencies(prepared.labels, names)
    coded = (prepared.intensities != UNKNOWN).sum(axis=0)
    for unit, name, known in zip(prepared.action_units, names, coded, strict=True):
        row = counts.loc[name]
        table.add_row(
            name,
            ACTION_UNITS[unit],
            *(f"{int(row[kind])}" for kind in ("positives", "negatives", "unknown")),
            f"{row['base_rate']:.1%}",
            f"{known}",
        )
    return table


def _of_subjects(prepared: Prepared) -> Table:
    title = "frames of each subject, and how many of them show each action unit"
    table = Table("subject", box=box.SIMPLE, title=title, padding=(0, 1, 0, 0))
    for name in ("sequences", "frames", "residual", *map(str, prepared.action_units)):
        table.add_column(name, justify="right")
    present = pd.DataFrame(prepared.labels == 1).groupby(prepared.index["subject"]).sum()
    for subject, rows in prepared.index.groupby("subject", sort=True):
        table.add_row(
            str(subject),
            f"{rows['sequence'].nunique()}",
            f"{len(rows)}",
            f"{rows[RESIDUAL].median():.2f}",
            *map(str, present.loc[subject]),
        )
    return table


def _of_emotions(index: pd.DataFrame) -> Table:
    table = Table("emotion", box=box.SIMPLE)
    table.add_column("frames", justify="right")
    for place, emotion in enumerate(EMOTIONS):
        table.add_row(emotion, f"{(index['emotion'] == place).sum()}")
    return table
