"""Gradient ascent on units that see a part of the face: figures 4 to 6 of Rashid and Lee."""

from __future__ import annotations

from functools import partial

import numpy as np

from fastcaps.training.analysis.ascent_picture import ascent_picture
from fastcaps.training.analysis.claims.orthogonality import (
    SAME_DEFORMATION,
    SAME_PERSON,
    Orthogonality,
    OrthogonalityClaim,
    orthogonality_claim,
)
from fastcaps.training.analysis.context import Context, Progress, places_of, silently
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.places import shared_places
from fastcaps.training.analysis.section import Section
from fastcaps.training.analysis.target_ascent import (
    TargetAscent,
    further_images,
    target_ascent,
    target_images,
)
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.report import Measure
from fastcaps.training.networks.network import CapsuleNetwork
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["ascent"]

SHOWN = 8
MEASURED = 48
"""Images of a target; of a network without capsules, whose cosines tell nothing, those shown."""

TEXT = (
    "Test images that are right in every class are changed by gradient ascent until one unit is as "
    "active as it can be at one place of its map (Rashid and Lee, section 4.4). First "
    "come images of whoever has most with different labels, then two at a time of others. Unless a "
    "primary capsule was asked for, the one is climbed that gives most to the classes that the "
    "images stand for; of convolution units, the most active one.",
    "Beside the rows stands how active the unit is in them. "
    "Numbers between two images of one person are cosines of what the unit gives for them, before "
    "and after: green where ascent made them more orthogonal, red where less; there is none where "
    "the unit is off. A convolution unit gives one number from 0 on, so its cosines are 1.",
    "That ascent parts the directions of different deformations (the paper's section 4.4) asks for "
    "two things: those in images of one person that show different deformations become more "
    "orthogonal, and those in images of different people that show the same one do not. "
    "Deformations are the same where all labels of the part's action units are, learned by the "
    "network or not, and of faces with emotions, or at a place that is told by its row and column, "
    "all labels. As few people may have two such images that differ there, the tables also count, "
    f"up to {MEASURED} in all, images that are right in the classes that change the part, one for "
    "each other set of labels of a person; they do not decide which unit is climbed. Intervals are "
    "of this unit and these images.",
)


def ascent(context: Context, progress: Progress = silently) -> Section:
    """For each target images before and after ascent on one unit, of both networks, and a table of
    whether directions became more orthogonal.

    Raises:
        InputError: no test image is right in every class.
    """
    folds = [context.fold, *([context.baseline] if context.baseline else [])]
    images = {target: target_images(context, target, SHOWN) for target in context.targets}
    missing = [
        f"{target.name}: no test image that is right in every class shows one of its action units "
        "that the network was trained for"
        for target, selected in images.items()
        if not selected
    ]
    work = [(target, fold) for target, selected in images.items() if selected for fold in folds]
    pictures, tables, verdicts, places = [], [], [], {}
    for number, (target, fold) in enumerate(work):
        told = partial(_tell, progress, number, len(work))
        has_capsules = isinstance(fold.network, CapsuleNetwork)
        selected, further = images[target], ()
        if has_capsules:
            further = further_images(context, target, selected, MEASURED - len(selected))
        try:
            found = target_ascent(context, fold, target, selected, told, further)
        except InputError as error:
            missing.append(f"{fold.name}, {target.name}: {error}")
            continue
        pictures.append(ascent_picture(context, found, len(selected)))
        if has_capsules:
            places[target.name] = found.place
            claim = _claim(context, found)
            tables.append(_table(found, claim))
            verdicts += [
                _verdict(
                    found, claim.kinds[SAME_PERSON], "of one person with different deformations"
                ),
                _verdict(
                    found,
                    claim.kinds[SAME_DEFORMATION],
                    "of different people with the same deformation",
                ),
            ]
    return Section(
        text=(*TEXT, *shared_places(places)),
        verdicts=tuple(verdicts),
        pictures=tuple(pictures),
        tables=tuple(tables),
        missing=tuple(missing),
    )


def _tell(progress: Progress, number: int, count: int, done: int, total: int) -> None:
    """How much is done of ``count`` works of the same size, of which this is one."""
    progress(number * total + done, count * total)


def _claim(context: Context, found: TargetAscent) -> OrthogonalityClaim:
    selected = found.selected
    return orthogonality_claim(
        found.ascent.before.float().cpu().numpy(),
        found.ascent.after.float().cpu().numpy(),
        np.array([one.subject for one in selected], dtype=object),
        found.shown,
        places_of(selected),
        resamples=context.resamples,
        seed=context.seed,
    )


def _verdict(found: TargetAscent, kind: Orthogonality, images: str) -> str:
    change = kind.change
    fall: Measure = {
        **change,
        "value": _negative(change["value"]),
        "low": _negative(change["high"]),
        "high": _negative(change["low"]),
    }
    return verdict(
        f"{found.target.name}: ascent makes directions in images {images} more orthogonal (fall of "
        "the absolute cosine)",
        fall,
        kind.people,
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _table(found: TargetAscent, claim: OrthogonalityClaim) -> Table:
    notes = Notes()
    told = notes.numbers(["mean of the absolute cosine", CONFIDENCE_NOTE])
    rows = [
        Row(
            Heading(kind),
            (
                Cell(f"{each.pairs:,}"),
                Cell(f"{each.subjects:,}"),
                measure_cell(each.before, notes, decimals=DECIMALS),
                measure_cell(each.after, notes, decimals=DECIMALS),
                measure_cell(each.change, notes, decimals=DECIMALS),
            ),
        )
        for kind, each in claim.kinds.items()
    ]
    return Table(
        f"{found.target.name.capitalize()}: directions of {found.units.name} {found.unit} in "
        f"{claim.images} images of {claim.subjects} people"
        + (f"; it is off in {claim.off} others" if claim.off else ""),
        "Pairs of images",
        (
            Heading("Pairs"),
            Heading("People"),
            *(Heading(name, told) for name in ("before", "after", "change")),
        ),
        tuple(rows),
        notes.texts,
    )
