"""Turns what a reader finds into a prepared data set: in parallel, and safe against a kill.

Each sequence becomes a part (:mod:`fastcaps.training.parts`); at the end all parts become one data
set. Work that was stopped, in whatever way, goes on when the same call is made again, and ends
with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Detector, Device, make_detector
from fastcaps.training.folders import claimed
from fastcaps.training.parts import PartFiles, digest, prepare_part
from fastcaps.training.prepared import (
    CONTENTS,
    META,
    Prepared,
    Shape,
    combined,
    open_prepared,
    write_prepared,
)
from fastcaps.training.processes import result_of, worker_pool
from fastcaps.training.readers.landmark_table import load_landmarks, with_landmarks
from fastcaps.training.readers.sequences import Contents, Problem, Reader, Sequence

__all__ = ["Alignment", "Options", "Progress", "Resources", "Summary", "prepare"]

Alignment = Literal["given", "face-alignment", "dlib"]

PARTS = "parts"
SECONDS_BETWEEN_LOOKS = 0.5

Progress = Callable[[int, int], None]
"""Is told how many frames are done, and how many there are."""


@dataclass(frozen=True)
class Options:
    """What decides the content of a prepared data set, beside the reader.

    Attributes:
        shape: of the stored frames.
        alignment: "given" for landmarks that come with the data set, else a detector's name.
        landmarks: a table of landmarks (:mod:`fastcaps.training.readers.landmark_table`) to use
            in place of the data set's own.
        face_detector: what a detector of landmarks finds faces with, see :func:`make_detector`.
        shard: number, from 0, and count of the shards that the subjects are dealt out to.
    """

    shape: Shape
    alignment: Alignment = "given"
    landmarks: Path | None = None
    face_detector: str | None = None
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        number, count = self.shard
        if not 0 <= number < count:
            raise InputError(f"shard: expected i/n with 0 <= i < n, got {number}/{count}")
        if self.landmarks is not None and self.alignment != "given":
            raise InputError(
                f"landmarks: expected none with alignment {self.alignment!r}, got {self.landmarks}"
            )


@dataclass(frozen=True)
class Resources:
    """What does the work, and leaves its result as it is.

    Attributes:
        workers: processes that work at once; 1 for this one.
        device: of the detectors' networks: "auto", "cpu" or "cuda".
        batch: pictures that they work on at once.
    """

    workers: int = 1
    device: Device = "auto"
    batch: int = 8


@dataclass(frozen=True)
class Summary:
    """How it ended: what is in the data set, what was left out, and what is as it should be."""

    frames: int
    problems: pd.DataFrame
    notes: tuple[str, ...]


def prepare(
    reader: Reader,
    root: Path,
    out: Path,
    options: Options,
    described: dict[str, Any],
    *,
    resources: Resources = Resources(),
    progress: Progress | None = None,
) -> Summary:
    """Prepare a data set in the folder ``out``, or go on where an earlier call was stopped.

    Args:
        reader: finds the sequences.
        root: the data set's folder; files are named from there.
        out: made if it is missing; work with other options there is refused.
        options: what decides the content, beside the reader.
        described: the reader's name and options, for ``meta.json``.
        resources: what does the work.
        progress: is told how far the work is.

    Raises:
        InputError: the data set cannot be read, ``out`` holds other work, or the disk is full.
    """
    contents = _contents(reader, root, options)
    if not (out / META).exists():
        # First, so that weights are downloaded once, and a call that must fail leaves no folder.
        _make_detector(options, resources)
    settings = {**described, "root": str(root.resolve()), **_json(options)}
    with claimed(out, settings, (*CONTENTS, PARTS)):
        jobs = _jobs(contents.sequences, root, out / PARTS, options, resources)
        made_from = _made_from(jobs, contents.problems)
        prepared = _finished(out, made_from)
        if prepared is None:
            _prepare_parts(jobs, out / PARTS, resources, progress)
            meta = {"made_by": settings, "made_from": made_from}
            _join(out, jobs, contents.problems, meta, reader.action_units, options.shape)
            prepared = open_prepared(out)
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return Summary(len(prepared.frames), prepared.left_out(), tuple(contents.notes))


def _json(options: Options) -> dict[str, Any]:
    values = asdict(options)
    values["landmarks"] = options.landmarks and str(options.landmarks.resolve())
    return values


def _contents(reader: Reader, root: Path, options: Options) -> Contents:
    """The shard's sequences, sorted, with the landmarks that were asked for."""
    try:
        contents = reader.read()
    except OSError as error:
        raise InputError(f"root: {root} cannot be read: {error}") from error
    sequences, problems = contents.sequences, list(contents.problems)
    if options.alignment == "given":
        sequences, missing = _with_landmarks(sequences, options.landmarks)
        problems += missing
    number, count = options.shard
    known = {sequence.subject for sequence in sequences}
    known |= {problem.subject for problem in problems} - {""}
    mine = set(sorted(known)[number::count])
    # What belongs to no subject is told by the first shard.
    told = mine | {""} if number == 0 else mine
    return Contents(
        sorted(
            (sequence for sequence in sequences if sequence.subject in mine),
            key=lambda sequence: (sequence.subject, sequence.name),
        ),
        [problem for problem in problems if problem.subject in told],
        contents.notes,
    )


def _with_landmarks(
    sequences: list[Sequence], table_file: Path | None
) -> tuple[list[Sequence], list[Problem]]:
    if table_file is not None:
        table = load_landmarks(table_file)
        return [with_landmarks(sequence, table) for sequence in sequences], []
    without = [sequence for sequence in sequences if sequence.landmarks is None]
    if sequences and len(without) == len(sequences):
        raise InputError(
            "align: expected a data set with landmarks for 'given', got none; give a table of "
            "landmarks, or choose 'face-alignment' or 'dlib'"
        )
    missing = [
        Problem.of(sequence.file_of(0), "has no landmarks", sequence.subject, sequence.name)
        for sequence in without
    ]
    return [sequence for sequence in sequences if sequence.landmarks is not None], missing


def _jobs(
    sequences: list[Sequence], root: Path, parts: Path, options: Options, resources: Resources
) -> list[_Job]:
    how = json.dumps([asdict(options.shape), options.alignment, options.face_detector])
    return [
        _Job(
            sequence,
            root,
            PartFiles.of(parts, sequence),
            digest(sequence, root, how),
            options,
            resources,
        )
        for sequence in sequences
    ]


def _made_from(jobs: list[_Job], problems: list[Problem]) -> str:
    """A digest of all parts and problems; those of shards combine to that of the whole."""
    texts = [job.made_from for job in jobs] + [json.dumps(asdict(p)) for p in problems]
    return combined(hashlib.sha256(text.encode()).hexdigest() for text in texts)


def _finished(out: Path, made_from: str) -> Prepared | None:
    """The data set, if it is there, whole, and made from what is there now."""
    try:
        prepared = open_prepared(out)
    except InputError:
        return None
    return prepared if prepared.meta.get("made_from") == made_from else None


def _prepare_parts(
    jobs: list[_Job], parts: Path, resources: Resources, progress: Progress | None
) -> None:
    """Make all parts that are not done yet."""
    parts.mkdir(exist_ok=True)
    for path in parts.glob("*.frames.*"):
        path.unlink(missing_ok=True)
    tell = progress or (lambda done, total: None)
    total = sum(len(job.sequence) for job in jobs)
    left = [job for job in jobs if not job.files.done(job.made_from)]
    done = total - sum(len(job.sequence) for job in left)
    tell(done, total)
    if resources.workers == 1:
        for job in left:
            _run(job)
            done += len(job.sequence)
            tell(done, total)
        return
    with worker_pool(resources.workers) as pool:
        running = {pool.submit(_run, job): job for job in left}
        while running:
            ended, _ = wait(running, SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
            for future in ended:
                result_of(future)
                done += len(running.pop(future).sequence)
            in_work = sum(job.frames_in_work() for job in running.values())
            tell(min(done + in_work, total), total)


def _join(
    out: Path,
    jobs: list[_Job],
    problems: list[Problem],
    meta: dict[str, Any],
    action_units: tuple[int, ...],
    shape: Shape,
) -> None:
    """Write the data set of all parts."""
    loaded = [job.files.load() for job in jobs]
    told = [*problems, *(problem for _, left_out in loaded for problem in left_out)]
    table = pd.DataFrame(map(asdict, told), columns=list(Problem.__annotations__))
    write_prepared(out, [part for part, _ in loaded], table, meta, action_units, shape)


@dataclass(frozen=True)
class _Job:
    sequence: Sequence
    root: Path
    files: PartFiles
    made_from: str
    options: Options
    resources: Resources

    def frames_in_work(self) -> int:
        """How many frames are written of a part that is not done."""
        return self.files.bytes_in_work() // self.options.shape.bytes


def _run(job: _Job) -> None:
    detector = _detector(job.options, job.resources)
    shape = job.options.shape
    prepare_part(job.sequence, job.root, job.files, job.made_from, shape, detector)


@lru_cache(maxsize=1)
def _detector(options: Options, resources: Resources) -> Detector | None:
    """Loads networks once in each process."""
    return _make_detector(options, resources)


def _make_detector(options: Options, resources: Resources) -> Detector | None:
    if options.alignment == "given":
        return None
    return make_detector(
        options.alignment,
        device=resources.device,
        batch=resources.batch,
        face_detector=options.face_detector,
    )
