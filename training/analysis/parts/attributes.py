"""What can be read from class capsules beside their class."""

from __future__ import annotations

from fastcaps.training.analysis.claims.gathering import THUMBNAIL_SIDE
from fastcaps.training.analysis.claims.probes import Probe, capsule_representations, probes
from fastcaps.training.analysis.context import Context, Progress, silently
from fastcaps.training.analysis.parts.verdicts import CONFIDENCE_NOTE, DECIMALS, verdict
from fastcaps.training.analysis.section import Section
from fastcaps.training.attributes import TRUE_NAMES, in_words
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["attributes"]

TOLD = 0.1
"""What R^2 has to be above for an attribute to count as told."""

DIRECTIONS, OF_CAPSULES = "directions", ("capsules", "lengths")

TEXT = (
    "Rashid and Lee find that the direction of a capsule captures face size, lighting, pose and "
    "skin colour. Below is how well linear probes read such attributes from the class capsules "
    "of test frames: from their directions alone, from all their numbers, and from their lengths "
    "alone, which are the network's scores; and, to see what is easy, from a tiny picture. "
    "Probes are tested on people they were not learned from; who it is, in "
    "recordings they were not learned from. An attribute counts as told where all of the interval "
    f"of R\N{SUPERSCRIPT TWO} is above {TOLD}."
)


def attributes(context: Context, progress: Progress = silently) -> Section:
    """Cross-validated R^2 of attributes, and the accuracy of identity.

    Raises:
        InputError: the network has no capsules, or the truth of the data cannot be read.
    """
    fold = context.fold
    _ = fold.capsules
    activity = context.activity
    representations = capsule_representations(activity.features)
    small = f"a picture of {THUMBNAIL_SIDE} x {THUMBNAIL_SIDE}"
    representations[small] = activity.thumbnails.reshape(len(activity.thumbnails), -1)
    if context.baseline_activity is not None:
        hidden = f"the hidden layer of {context.baseline_name}"
        representations[hidden] = context.baseline_activity.features
    known = context.attributes
    found = probes(
        representations,
        known,
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
    unknown = [name for name in TRUE_NAMES if name not in {one.name for one in known}]
    missing = [f"{in_words(name)}: not known of these pictures" for name in unknown]
    return Section(
        text=(TEXT,),
        verdicts=tuple(text for one in found.attributes for text in _verdicts(one)),
        tables=(table,),
        missing=(*missing, *context.baseline_missing),
    )


def _verdicts(one: Probe) -> list[str]:
    """Whether directions tell an attribute, and if so, more of it than what is beside them."""
    told = verdict(
        f"Directions tell {in_words(one.name)}", one.values[DIRECTIONS], one.subjects, beyond=TOLD
    )
    low = one.values[DIRECTIONS]["low"]
    if low is None or low <= TOLD:
        return [told]
    return [told] + [
        verdict(f"They tell more of {in_words(one.name)} than {name}", measure, one.subjects)
        for name, measure in one.differences.items()
        if name not in OF_CAPSULES
    ]


def _row(one: Probe, names: tuple[str, ...], notes: Notes, ruled: bool) -> Row:
    about = notes.numbers([f"{one.name}: {one.about}; {one.frames:,} frames"])
    values = [measure_cell(one.values[name], notes, decimals=DECIMALS) for name in names]
    return Row(Heading(in_words(one.name), about), (Cell(f"{one.chance:.2f}"), *values), ruled)
