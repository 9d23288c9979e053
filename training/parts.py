"""One sequence's part of a data set that is being prepared: two files in OUT/parts.

``NAME.frames``   its frames without a header, written as they come.
``NAME.parquet``  their rows of the index, written when the sequence is done, with what was left
                  out and a digest of what the part was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from fastcaps.training.action_units import column
from fastcaps.training.errors import InputError
from fastcaps.training.faces.aligned import Aligned, align_sequence
from fastcaps.training.faces.detectors import Detector
from fastcaps.training.folders import write_atomically
from fastcaps.training.prepared import RESIDUAL, Part, Shape, index_schema
from fastcaps.training.readers.sequences import LandmarkFiles, Problem, Sequence, readable

__all__ = ["PartFiles", "digest", "prepare_part"]

DIGEST = b"digest"
PROBLEMS = b"problems"


@dataclass(frozen=True)
class PartFiles:
    """Where the part of a sequence is, done or in work."""

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path, sequence: Sequence) -> PartFiles:
        """Those of ``sequence``; names of subjects and sequences may be any text."""
        key = json.dumps([sequence.subject, sequence.name])
        return cls(folder, hashlib.sha256(key.encode()).hexdigest()[:24])

    @property
    def frames(self) -> Path:
        """Frames of a part that is done."""
        return self.folder / f"{self.name}.frames"

    @property
    def frames_in_work(self) -> Path:
        """Frames that this process writes; one whose program was killed may still write its own."""
        return self.folder / f"{self.name}.frames.{os.getpid()}"

    @property
    def rows(self) -> Path:
        """Rows of a part that is done."""
        return self.folder / f"{self.name}.parquet"

    def done(self, made_from: str) -> bool:
        """Whether the part is done, from what has this digest."""
        if not self.rows.exists():
            return False
        found = pyarrow.parquet.read_schema(self.rows).metadata or {}
        return found.get(DIGEST) == made_from.encode()

    def bytes_in_work(self) -> int:
        """How much is written of a part that is not done."""
        sizes = (path.stat().st_size for path in self.folder.glob(f"{self.name}.frames.*"))
        try:
            return max(sizes, default=0)
        except FileNotFoundError:  # done just now
            return 0

    def load(self) -> tuple[Part, list[Problem]]:
        """A part that is done, and what was left out of it."""
        table = pyarrow.parquet.read_table(self.rows)
        problems = json.loads(table.schema.metadata[PROBLEMS])
        rows = table.replace_schema_metadata(None)
        return Part(rows, self.frames, 0), [Problem(**problem) for problem in problems]


def digest(sequence: Sequence, root: Path, how: str) -> str:
    """A digest of all that a sequence's part is made from, with size and age of its files.

    Args:
        sequence: what the part is made from.
        root: where the names of files start.
        how: all options that decide the part's content.
    """
    total = hashlib.sha256(json.dumps([sequence.subject, sequence.name, how]).encode())
    for array in (sequence.frames, sequence.labels, sequence.intensities, sequence.emotions):
        total.update(np.ascontiguousarray(array).tobytes())
    if isinstance(sequence.landmarks, np.ndarray):
        total.update(np.ascontiguousarray(sequence.landmarks).tobytes())
    given = sequence.landmarks.paths if isinstance(sequence.landmarks, LandmarkFiles) else ()
    for path in (*sequence.files(), *given):
        if path is None:
            total.update(b"none")
            continue
        try:
            there = path.stat()
            age = [there.st_size, there.st_mtime_ns]
        except OSError:
            age = []
        total.update(json.dumps([_relative(path, root), age]).encode())
    return total.hexdigest()


def prepare_part(
    sequence: Sequence,
    root: Path,
    files: PartFiles,
    made_from: str,
    shape: Shape,
    detector: Detector | None,
) -> None:
    """Align the faces of a sequence and write its part.

    Args:
        sequence: what the part is made from.
        root: where the names of files start.
        files: of the part.
        made_from: the digest of the sequence.
        shape: of the frames.
        detector: finds the faces; None for given landmarks.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    files.rows.unlink(missing_ok=True)
    kept: list[int] = []
    residuals: list[float] = []
    problems: list[Problem] = []
    with open(files.frames_in_work, "wb") as frames:
        for place, aligned in enumerate(
            align_sequence(sequence, shape.input_side, shape.colour, detector)
        ):
            if isinstance(aligned, Aligned):
                frames.write(aligned.image.tobytes())
                kept.append(place)
                residuals.append(aligned.residual)
            else:
                problems.append(_left_out(sequence, place, aligned))
        frames.flush()
        os.fsync(frames.fileno())
    os.replace(files.frames_in_work, files.frames)
    metadata = {
        DIGEST: made_from.encode(),
        PROBLEMS: json.dumps([asdict(problem) for problem in problems]).encode(),
    }
    rows = _rows(sequence, kept, residuals, root).replace_schema_metadata(metadata)
    write_atomically(files.rows, lambda file: pyarrow.parquet.write_table(rows, file))


def _left_out(sequence: Sequence, place: int, error: InputError) -> Problem:
    """The problem with the frame at ``place``, or after the last of them with the sequence."""
    if place == len(sequence):
        return Problem.of(sequence.file_of(0), error, sequence.subject, sequence.name)
    number = int(sequence.frames[place])
    return Problem.of(sequence.file_of(place), error, sequence.subject, sequence.name, number)


def _rows(sequence: Sequence, kept: list[int], residuals: list[float], root: Path) -> pa.Table:
    units = sequence.action_units
    columns = {
        "subject": [sequence.subject] * len(kept),
        "sequence": [sequence.name] * len(kept),
        "frame": sequence.frames[kept],
        **{column(unit): sequence.labels[kept, i] for i, unit in enumerate(units)},
        **{
            f"{column(unit)}_intensity": sequence.intensities[kept, i]
            for i, unit in enumerate(units)
        },
        "emotion": sequence.emotions[kept],
        RESIDUAL: np.array(residuals, dtype=np.float32),
        "source": [_relative(sequence.file_of(place), root) for place in kept],
    }
    return pa.table(columns, schema=index_schema(units))


def _relative(path: Path, root: Path) -> str:
    return readable(os.path.relpath(path, root))
