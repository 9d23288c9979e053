"""How many deformations of a part of the face one unit stands for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.deformations import (
    DeformationClaim,
    Deformations,
    deformation_claim,
    together,
)
from fastcaps.training.analysis.claims.facial_parts import part_frames
from fastcaps.training.analysis.context import Context, Progress
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.places import MEASURED_REGIONS
from fastcaps.training.analysis.section import Section
from fastcaps.training.networks.network import PRIMARY_DIM
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["deformations"]

CAPSULES = "primary capsules"
UNITS = "convolution units"
TOGETHER = f"{PRIMARY_DIM} convolution units together"

COUNTED: Mapping[str, str] = {UNITS: "a convolution unit", TOGETHER: TOGETHER}

TEXT = (
    "Rashid and Lee find that a single primary capsule stands for several deformations of a part "
    "of the face, and a convolution unit does not. Below are means over the units at the place of "
    "a part: how many of its action units raise a unit's activation, how many it also tells apart, "
    "and how well its output tells which of two is there (1/2 is chance). A capsule gives "
    f"{PRIMARY_DIM} numbers; what that alone brings, {TOGETHER} show."
)

COLUMNS: Mapping[str, str] = {
    "responses": "action units that raise it",
    "several": "part raised by two or more",
    "distinct": "distinct deformations",
    "area": "area under ROC",
    "accuracy": "accuracy of telling two apart",
}
"""Fields of :class:`Deformations`, and what they are called."""


def deformations(context: Context, progress: Progress) -> Section:
    """Counts of deformations for each part of the face, against the baseline's units.

    Raises:
        InputError: the network has no capsules.
    """
    fold = context.fold
    _ = fold.capsules
    rows = fold.rows[context.sample]
    tables, verdicts, missing = [], [], []
    for done, region in enumerate(MEASURED_REGIONS, start=1):
        frames = part_frames(
            region,
            # All that are labelled, learned or not: they change what a unit sees.
            fold.prepared.action_units,
            fold.prepared.labels[rows],
            fold.tested.subjects[context.sample],
        )
        if len(frames.action_units) < 2:
            missing.append(f"{region}: fewer than two of its action units are labelled")
            continue
        found = deformation_claim(
            frames, _populations(context, region), resamples=context.resamples, seed=context.seed
        )
        tables.append(_table(found))
        capsules = found.populations[CAPSULES].means
        verdicts.append(
            verdict(
                f"{region}: a capsule has more than one distinct deformation", capsules.distinct, 1
            )
        )
        for other, difference in found.differences.items():
            claim = f"{region}: it has more of them than {COUNTED[other]}"
            verdicts.append(verdict(claim, difference.distinct))
        progress(done, len(MEASURED_REGIONS))
    return Section(
        text=(TEXT,), verdicts=tuple(verdicts), tables=tuple(tables), missing=tuple(missing)
    )


def _populations(context: Context, region: str) -> dict[str, NDArray[np.float32]]:
    populations = {CAPSULES: context.activity.units[region]}
    if context.baseline_activity is not None:
        units = context.baseline_activity.units[region]
        populations |= {UNITS: units, TOGETHER: together(units, PRIMARY_DIM)}
    return populations


def _table(found: DeformationClaim) -> Table:
    notes = Notes()
    told = notes.numbers([CONFIDENCE_NOTE])
    constant = notes.numbers(["units that give the same in all frames; means are over the others"])
    rows = [
        Row(
            Heading(name),
            (
                Cell(f"{each.units:,}"),
                Cell(f"{each.constant:,}", notes=constant),
                *_cells(each.means, notes),
            ),
        )
        for name, each in found.populations.items()
    ]
    rows += [
        Row(Heading(f"{CAPSULES} less {name}"), (Cell(), Cell(), *_cells(each, notes)), ruled=True)
        for name, each in found.differences.items()
    ]
    return Table(
        f"{found.part.capitalize()}: {', '.join(f'AU {unit}' for unit in found.people_compared)}; "
        f"{found.frames:,} frames of {found.subjects:,} people",
        "Units",
        (
            Heading("units"),
            Heading("constant"),
            *(Heading(title, told) for title in COLUMNS.values()),
        ),
        tuple(rows),
        notes.texts,
    )


def _cells(means: Deformations, notes: Notes) -> list[Cell]:
    return [measure_cell(getattr(means, name), notes, decimals=DECIMALS) for name in COLUMNS]
