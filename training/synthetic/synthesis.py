"""Write a made-up data set of faces that show action units, in the layout of a real one.

What a recording shows follows from the seed, the number of its subject and its own; so the files
are the same whatever the number of processes, and after a stop at any moment. A recording's files
are written in ``OUT/unfinished`` and then moved to their places, its ground truth last; a recording
that has its ground truth is not drawn again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet
from threadpoolctl import threadpool_limits

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import COUNT
from fastcaps.training.folders import LOCK, claimed, write_atomically
from fastcaps.training.processes import result_of, worker_pool
from fastcaps.training.synthetic.layouts.layout import UNFINISHED
from fastcaps.training.synthetic.layouts.prepared import PreparedLayout
from fastcaps.training.synthetic.layouts.truth import TRUTH, merge, truth_of
from fastcaps.training.synthetic.people import Picture, Renderer
from fastcaps.training.synthetic.performances import coded_intensities
from fastcaps.training.synthetic.recordings import Recording, person_of, states_of
from fastcaps.training.synthetic.renderers import make_renderer
from fastcaps.training.synthetic.rigged.rig import load_rig
from fastcaps.training.synthetic.settings import Settings, recordings_of

__all__ = ["Progress", "Summary", "synthesize"]

FORMAT = 1
"""Grows when the same settings come to give other files."""

SETTINGS_IN_WORK = "settings.json.part"
WORK = "work-"

Progress = Callable[[int, int], None]
"""Is told how many pictures are done, and how many there are."""


@dataclass(frozen=True)
class Summary:
    """What a made-up data set has; ``frames`` are those with labels."""

    subjects: int
    recordings: int
    frames: int


def synthesize(
    out: Path, settings: Settings, *, workers: int = 1, progress: Progress | None = None
) -> Summary:
    """Write a data set into the folder ``out``, or go on where an earlier call was stopped.

    Args:
        out: made if it is missing; one that holds something else is refused.
        settings: what decides the content.
        workers: processes that work at once; 1 for this one.
        progress: is told how far the work is.

    Raises:
        InputError: a value is out of range, the rig cannot be used, ``out`` holds something else
            or cannot be written, or another program is at work there.
    """
    if workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    digest = None if settings.rig is None else _digest(settings.rig)
    recordings = recordings_of(settings)
    jobs = [_Job(out, settings, digest, recording) for recording in recordings]
    decisive = {**asdict(settings), "side": settings.picture_side, "rig": digest}
    with claimed(out, {"format": FORMAT, **decisive}, _things_in(out)):
        if not (out / TRUTH).exists():
            for work in (out / UNFINISHED).glob(f"{WORK}*"):
                shutil.rmtree(work)
            _run_all(jobs, workers, progress)
            if isinstance(settings.writer, PreparedLayout):
                settings.writer.finish(out, recordings)
            merge([job.truth for job in jobs], out / TRUTH)
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    frames = sum(recording.frames for recording in recordings)
    return Summary(settings.subjects, len(recordings), frames)


def _digest(rig: Path) -> str:
    # Loaded first, so that a rig that cannot be used leaves no folder behind.
    load_rig(rig)
    return hashlib.sha256(rig.read_bytes()).hexdigest()


def _things_in(out: Path) -> list[str]:
    """What a folder holds that is claimed by no one: a real data set is never written over."""
    try:
        there = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    except OSError as error:
        raise InputError(f"out: {out} cannot be read: {error.strerror}") from error
    return [name for name in there if name not in (LOCK, SETTINGS_IN_WORK)]


@dataclass(frozen=True)
class _Job:
    out: Path
    settings: Settings
    digest: str | None
    recording: Recording

    @property
    def truth(self) -> Path:
        """The rows of the ground truth; the recording is done when they are there."""
        return self.out / UNFINISHED / "truth" / f"{self.recording.name}.parquet"


def _run_all(jobs: list[_Job], workers: int, progress: Progress | None) -> None:
    """Write all recordings that are not done yet."""
    left = [job for job in jobs if not job.truth.exists()]
    total = sum(job.recording.pictures for job in jobs)
    done = total - sum(job.recording.pictures for job in left)
    tell = progress or (lambda done, total: None)
    tell(done, total)
    for pictures in _run_each(left, workers):
        done += pictures
        tell(done, total)


def _run_each(jobs: list[_Job], workers: int) -> Iterator[int]:
    """How many pictures each recording has, as soon as it is written."""
    if workers == 1:
        yield from map(_run, jobs)
        return
    with worker_pool(min(workers, len(jobs) or 1)) as pool:
        for future in as_completed([pool.submit(_run, job) for job in jobs]):
            yield result_of(future)


def _run(job: _Job) -> int:
    """Draw and write one recording; gives the number of its pictures."""
    recording, settings = job.recording, job.settings
    person = person_of(recording.person, settings.seed)
    states = states_of(recording, settings.seed)
    landmarks = np.empty((len(states), COUNT, 2), dtype=np.float32)
    renderer = _renderer(settings.rig, job.digest)

    def pictures() -> Iterator[Picture]:
        for place, state in enumerate(states):
            picture = renderer.render(person, state, settings.picture_side)
            landmarks[place] = picture.landmarks
            yield picture

    # Sums that several threads share may be rounded in another way.
    with _work_folder(job.out) as work, threadpool_limits(limits=1):
        settings.writer.write(work, recording, coded_intensities(states), pictures())
        _move_files(work, job.out)
    labelled = slice(recording.frames)
    rows = truth_of(recording, person, states[labelled], landmarks[labelled])
    job.truth.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(job.truth, lambda file: pyarrow.parquet.write_table(rows, file))
    return recording.pictures


@lru_cache(maxsize=1)
def _renderer(rig: Path | None, digest: str | None) -> Renderer:
    """Made once in each process, and again for a file with another digest."""
    return make_renderer(rig)


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    folder = out / UNFINISHED
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=WORK, dir=folder) as work:
        yield Path(work)


def _move_files(source: Path, target: Path) -> None:
    """Move all files below ``source`` to the same places below ``target``, over what is there."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)
