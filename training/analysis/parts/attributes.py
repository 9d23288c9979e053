"""What can be read from class capsules beside their class."""

from __future__ import annotations

from fastcaps.training.analysis.claims.attributes import known_attributes
from fastcaps.training.analysis.claims.gathering import THUMBNAIL_SIDE
from fastcaps.training.analysis.claims.probes import Probe, capsule_representations, probes
from fastcaps.training.analysis.context import Context, Progress
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.section import Section
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["attributes"]

TOLD = 0.1
"""What R^2 has to be above for an attribute to count as told."""

TEXT = (
    "Rashid and Lee find that the direction of a capsule captures face size, lighting, pose and "
    "skin colour. Below is how well linear probes read such attributes from the class capsules "
    "of test frames: from all their numbers, from their directions alone, and from their lengths "
    "alone, which is what a network without capsules would give; and, to see what is easy, from a "
    "tiny picture. Probes are tested on people they were not learned from; who it is, in "
    "recordings they were not learned from. An attribute counts as told where all of the interval "
    f"of R\N{SUPERSCRIPT TWO} is above {TOLD}."
)


def attributes(context: Context, progress: Progress) -> Section:
    """Cross-validated R^2 of attributes, and the accuracy of identity.

    Raises:
        InputError: the network has no capsules, or the truth of the data cannot be read.
    """
    fold = context.fold
    _ = fold.capsules
    activity = context.activity
    rows = fold.rows[context.sample]
    representations = capsule_representations(activity.features)
    small = f"picture of {THUMBNAIL_SIDE} x {THUMBNAIL_SIDE}"
    representations[small] = activity.thumbnails.reshape(len(rows), -1)
    if context.baseline_activity is not None:
        hidden = f"{context.baseline_name}, hidden layer"
        representations[hidden] = context.baseline_activity.features
    found = probes(
        representations,
        known_attributes(fold.prepared, rows, activity.thumbnails),
        fold.tested.subjects[context.sample],
        fold.tested.sequences[context.sample],
        resamples=context.resamples,
        seed=context.seed,
        progress=progress,
    )
    notes = Notes()
    told = notes.numbers([CONFIDENCE_NOTE])
    names = tuple(representations)
    headings = [Heading("Chance")] + [
        Heading(f"{name} ({found.dimensions[name]:,} numbers)", told) for name in names
    ]
    table = Table(
        "Attributes: R\N{SUPERSCRIPT TWO} on other people; identity: accuracy",
        "Attribute",
        tuple(headings),
        tuple(
            _row(one, names, notes, ruled=one is found.identity)
            for one in (*found.attributes, found.identity)
        ),
        notes.texts,
    )
    verdicts = [
        verdict(f"Directions tell {one.name.replace('_', ' ')}", one.values["directions"], TOLD)
        for one in found.attributes
    ]
    return Section(text=(TEXT,), verdicts=tuple(verdicts), tables=(table,))


def _row(one: Probe, names: tuple[str, ...], notes: Notes, ruled: bool) -> Row:
    about = notes.numbers([f"{one.name}: {one.about}; {one.frames:,} frames"])
    values = [measure_cell(one.values[name], notes, decimals=DECIMALS) for name in names]
    return Row(
        Heading(one.name.replace("_", " "), about), (Cell(f"{one.chance:.2f}"), *values), ruled
    )
