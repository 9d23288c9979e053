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
from fastcaps.training.analysis.context import Context, Progress, silently
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.places import (
    MEASURED_REGIONS,
    Place,
    region_place,
    shared_places,
)
from fastcaps.training.analysis.section import Section
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.networks.network import PRIMARY_DIM
from fastcaps.training.tables.layout import DASH, Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["deformations"]

CAPSULES = "primary capsules"
UNITS = "convolution units"
TOGETHER = f"{PRIMARY_DIM} convolution units together"

COUNTED: Mapping[str, str] = {
    CAPSULES: "a capsule",
    UNITS: "a convolution unit",
    TOGETHER: TOGETHER,
}

TEXT = (
    "Rashid and Lee find that a single primary capsule stands for several deformations of a part "
    "of the face, and a convolution unit does not. Below are means over the units at the place of "
    "a part: how many of its action units raise a unit's activation, how many it also tells apart, "
    "and how well its output tells which of two is there (1/2 is chance). Only what these people "
    "show beyond chance is counted, so the true numbers may be larger; other action units of the "
    "part and near it are held equal, as far as labels tell. A capsule gives "
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


def deformations(context: Context, progress: Progress = silently) -> Section:
    """Counts of deformations for each part of the face, against the baseline's units.

    Raises:
        InputError: the network has no capsules.
    """
    fold = context.fold
    _ = fold.capsules
    rows = fold.rows[context.sample]
    tables, verdicts, missing, places = [], [], [], {}
    for done, region in enumerate(MEASURED_REGIONS):
        progress(done, len(MEASURED_REGIONS))
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
        if not len(frames.rows):
            missing.append(f"{region}: in no test frame all of its action units are known")
            continue
        found = deformation_claim(
            frames, _populations(context, region), resamples=context.resamples, seed=context.seed
        )
        places[region], where = _place(context, region)
        tables.append(_table(found, where))
        verdicts += _verdicts(found)
    progress(len(MEASURED_REGIONS), len(MEASURED_REGIONS))
    return Section(
        text=(TEXT, *shared_places(places)),
        verdicts=tuple(verdicts),
        tables=tuple(tables),
        missing=(*missing, *context.baseline_missing),
    )


def _verdicts(found: DeformationClaim) -> list[str]:
    part = found.part
    verdicts = [
        verdict(
            f"{part}: {COUNTED[name]} has more than one distinct deformation",
            found.populations[name].means.distinct,
            found.people,
            beyond=1,
            at_least=True,
        )
        for name in (CAPSULES, UNITS)
        if name in found.populations
    ]
    for other, difference in found.differences.items():
        than = f"than {COUNTED[other]}"
        verdicts += [
            verdict(
                f"{part}: a capsule has more of them {than}", difference.distinct, found.people
            ),
            verdict(
                f"{part}: it tells two apart better {than}",
                difference.accuracy,
                found.people_of_pairs,
            ),
        ]
    return verdicts


def _populations(context: Context, region: str) -> dict[str, NDArray[np.float32]]:
    populations = {CAPSULES: context.activity.units[region]}
    if context.baseline_activity is not None:
        units = context.baseline_activity.units[region]
        populations |= {UNITS: units, TOGETHER: together(units, PRIMARY_DIM)}
    return populations


def _place(context: Context, region: str) -> tuple[Place, str]:
    """Where the capsules of a part are, and the same in words with how much they see."""
    field = unit_map(context.fold.network).field
    row, column = region_place(region, field, context.fold.network.options.side)
    words = f"capsules at row {row}, column {column}, which see {field.size} pixels either way"
    return (row, column), words


def _table(found: DeformationClaim, place: str) -> Table:
    notes = Notes()
    behind = f"of {found.people} people, and of {found.people_of_pairs} for two action units"
    told = notes.numbers([f"{CONFIDENCE_NOTE}, {behind}: harmonic means of those compared"])
    constant = notes.numbers(["units that give the same in all frames; means are over the others"])
    rows = [
        Row(
            Heading(name),
            (
                Cell(f"{each.units:,}"),
                Cell(f"{each.constant:,}", notes=constant),
                *_cells(each.means, notes),
                Cell(_part_of_two(each.distinct_counts)),
            ),
        )
        for name, each in found.populations.items()
    ]
    rows += [
        Row(
            Heading(f"{CAPSULES} less {name}"),
            (Cell(), Cell(), *_cells(each, notes), Cell()),
            ruled=True,
        )
        for name, each in found.differences.items()
    ]
    return Table(
        f"{found.part.capitalize()}: {', '.join(f'AU {unit}' for unit in found.people_compared)}; "
        f"{found.frames:,} frames of {found.subjects:,} people; {place}",
        "Units",
        (
            Heading("units"),
            Heading("constant"),
            *(Heading(title, told) for title in COLUMNS.values()),
            Heading("units with two distinct or more"),
        ),
        tuple(rows),
        notes.texts,
    )


def _part_of_two(counts: tuple[int, ...]) -> str:
    """Of units with 0, 1, 2 ... distinct deformations."""
    return f"{sum(counts[2:])} of {sum(counts)}" if counts else DASH


def _cells(means: Deformations, notes: Notes) -> list[Cell]:
    return [measure_cell(getattr(means, name), notes, decimals=DECIMALS) for name in COLUMNS]
