"""All parts of an analysis, one after another, and the report that they make."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from fastcaps.training.analysis.context import Context, Progress
from fastcaps.training.analysis.parts.ascent import ascent
from fastcaps.training.analysis.parts.attributes import attributes
from fastcaps.training.analysis.parts.coupling import coupling
from fastcaps.training.analysis.parts.deformations import deformations
from fastcaps.training.analysis.parts.direction import direction
from fastcaps.training.analysis.parts.intensity import intensity
from fastcaps.training.analysis.parts.magnitude import magnitude
from fastcaps.training.analysis.parts.sliders import sliders
from fastcaps.training.analysis.report import write_report
from fastcaps.training.analysis.section import Section
from fastcaps.training.errors import InputError
from fastcaps.training.face_arrays import NO_SUBJECTS

__all__ = ["PARTS", "analyze"]

LOG = logging.getLogger(__name__)

Part = Callable[[Context, Progress], Section]

PARTS: Mapping[str, Part] = {
    "Try it": sliders,
    "Magnitude": magnitude,
    "Direction": direction,
    "Activation maximisation": ascent,
    "Coupling coefficients": coupling,
    "Length and intensity": intensity,
    "What directions tell": attributes,
    "Deformations of one unit": deformations,
}
"""By their titles, in the order of the report."""


def analyze(
    context: Context,
    out: Path,
    *,
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> dict[str, Section]:
    """Look into a trained fold, and write the report.

    A part that cannot be made says so in the report; the others are made all the same.

    Args:
        context: what is looked into.
        out: folder of the report, made if it is missing.
        progress: gives what is told how far a part is, by the part's title.

    Raises:
        InputError: the report cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        sections = {}
        for title, part in PARTS.items():
            with progress(title) as told:
                sections[title] = _section(context, part, told)
        write_report(out, f"Looking inside {context.fold.name}", _about(context), sections)
    except OSError as error:
        raise InputError(f"out: {out} cannot be written: {error.strerror or error}") from error
    return sections


def _section(context: Context, part: Part, progress: Progress) -> Section:
    try:
        return part(context, progress)
    except InputError as error:
        return Section(missing=(str(error),))
    except Exception as error:
        # The work on the other parts is not to be lost by a fault in one.
        LOG.exception("a part of the report failed")
        return Section(missing=(f"{type(error).__name__}: {error}",))


def _about(context: Context) -> tuple[str, ...]:
    fold = context.fold
    tested = fold.tested
    unknown = fold.prepared.meta["made_by"].get("subjects") == NO_SUBJECTS
    people = len(set(tested.subjects.tolist()))
    of_people = "" if unknown else f"of {people:,} {'person' if people == 1 else 'people'} "
    classes = f"class{'es' if len(tested.classes) > 1 else ''} {', '.join(tested.classes)}"
    about = [
        f"{fold.settings.network}, fold {fold.number} of {fold.run.resolve().name}, with "
        f"{len(tested):,} test frames {of_people}that it was not trained on, and the {classes}."
    ]
    if unknown:
        about.append(
            "Nobody told who is in them, so that each frame counts as a person of its own: the "
            "same people may be in training frames, and intervals may be too narrow."
        )
    if context.baseline is not None:
        about.append(f"Beside it {context.baseline.name}, tested on the same frames.")
    return tuple(about)
