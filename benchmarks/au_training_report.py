"""What ``au_training.py`` measured: as data, as JSON, and as tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.formats import milliseconds
from benchmarks.results import Machine

__all__ = [
    "CAPSULES",
    "REFERENCE",
    "STEP",
    "Table",
    "Timing",
    "TrainingReport",
    "read",
    "tables",
    "write",
]

REFERENCE = "reference"
"""The backend that fastcaps' own choice is compared with."""

STEP = "training step"
"""The work that others are shares of."""

CAPSULES = "capsule part"
"""The work of a step that backends differ in."""


@dataclass(frozen=True)
class Timing:
    """One piece of work and how long it took.

    Attributes:
        work: what was done.
        network: with which network.
        precision: in which arithmetic, as Lightning calls it.
        batch: images in one call.
        seconds: of one call, one entry for each repeat.
        backend: of the capsule layers; None where fastcaps chooses.
        workers: processes that read frames ahead; None where none are read.
    """

    work: str
    network: str
    precision: str
    batch: int
    seconds: list[float]
    backend: str | None = None
    workers: int | None = None

    @property
    def median(self) -> float:
        """Seconds of one call."""
        return statistics.median(self.seconds)

    @property
    def images_per_second(self) -> float:
        """By the median."""
        return self.batch / self.median


@dataclass(frozen=True)
class TrainingReport:
    """All timings of a run.

    Attributes:
        machine: what it ran on.
        races: :data:`STEP` and :data:`CAPSULES`, each with fastcaps' backend and the reference.
        parts: of a training step, in order, for each precision and number of workers.
        networks: :data:`STEP`, and scores of one image and of many, of every network.
    """

    machine: Machine
    races: list[Timing]
    parts: list[Timing]
    networks: list[Timing]


@dataclass(frozen=True)
class Table:
    """Texts in columns, of which all but the first hold numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def write(report: TrainingReport, path: Path) -> None:
    """Write a report as JSON, making the folder where needed; times are seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> TrainingReport:
    """Read what :func:`write` wrote.

    Raises:
        ValueError: the file is not such a report.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        machine = Machine(**found.pop("machine"))
        lists = {name: [Timing(**row) for row in rows] for name, rows in found.items()}
        return TrainingReport(machine=machine, **lists)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected a report of au_training.py ({error!r})") from error


def tables(report: TrainingReport) -> list[Table]:
    """The races, where the time of a step goes, and all networks."""
    return [_races(report.races), _parts(report.parts), _networks(report.networks)]


def _races(timings: Sequence[Timing]) -> Table:
    rows = []
    for ours in timings:
        if ours.backend is not None:
            continue
        precision = ours.precision
        theirs = _find(timings, work=ours.work, precision=precision, backend=REFERENCE)
        row = [f"{ours.work}, {precision}"]
        for timing in (ours, theirs):
            step = _find(timings, work=STEP, precision=precision, backend=timing.backend)
            row += [f"{milliseconds(timing.median)} ms", f"{timing.median / step.median:.0%}"]
        rows.append([*row, f"{theirs.median / ours.median:.2f}", _at_most(timings, theirs)])
    return Table(
        f"{timings[0].network}, batches of {timings[0].batch}: a training step, and its capsule "
        "part alone",
        ["", "fastcaps", "of the step", "reference", "of the step", "times faster", "at most"],
        rows,
    )


def _at_most(timings: Sequence[Timing], step: Timing) -> str:
    """How many times faster a step would be whose capsule part took no time."""
    if step.work != STEP:
        return ""
    capsules = _find(timings, work=CAPSULES, precision=step.precision, backend=step.backend)
    return f"{step.median / (step.median - capsules.median):.2f}"


def _parts(timings: Sequence[Timing]) -> Table:
    columns = [""]
    cells: dict[str, list[str]] = {work: [] for work in [*_distinct(timings, "work"), "together"]}
    for workers in _distinct(timings, "workers"):
        for precision in _distinct(timings, "precision"):
            found = [t for t in timings if (t.workers, t.precision) == (workers, precision)]
            total = sum(timing.median for timing in found)
            for timing in found:
                share = f"{timing.median / total:.1%}"
                cells[timing.work].append(f"{milliseconds(timing.median)} ms, {share}")
            cells["together"].append(f"{milliseconds(total)} ms")
            columns.append(f"{precision}, {workers} worker{'' if workers == 1 else 's'}")
    return Table(
        f"{timings[0].network}, batches of {timings[0].batch}: where a step's time goes",
        columns,
        [[work, *texts] for work, texts in cells.items()],
    )


def _networks(timings: Sequence[Timing]) -> Table:
    works = _distinct(timings, "work")
    rows = []
    for network in _distinct(timings, "network"):
        for precision in _distinct(timings, "precision"):
            found = [
                _find(timings, network=network, work=work, precision=precision) for work in works
            ]
            rows.append([f"{network}, {precision}", *map(_speed, found)])
    columns = [
        work if batch == 1 else f"{work}, {batch} images"
        for work, batch in ((work, _find(timings, work=work).batch) for work in works)
    ]
    return Table("Networks for gray images of 96 x 96 pixels", ["", *columns], rows)


def _speed(timing: Timing) -> str:
    if timing.batch == 1:
        return f"{milliseconds(timing.median)} ms"
    rate = timing.images_per_second
    return f"{rate:,.0f} images/s" if rate >= 100 else f"{rate:.3g} images/s"


def _distinct(timings: Sequence[Timing], field: str) -> list[Any]:
    return list(dict.fromkeys(getattr(timing, field) for timing in timings))


def _find(timings: Sequence[Timing], **wanted: object) -> Timing:
    return next(
        timing
        for timing in timings
        if all(getattr(timing, name) == value for name, value in wanted.items())
    )
