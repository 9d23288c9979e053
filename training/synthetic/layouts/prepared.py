"""A prepared data set at once: faces turned onto the mean face by their true landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, UNKNOWN, column
from fastcaps.training.faces.aligned import aligned_face
from fastcaps.training.prepared import RESIDUAL, Part, Shape, index_schema, write_prepared
from fastcaps.training.readers.sequences import Problem
from fastcaps.training.synthetic.layouts.layout import UNFINISHED
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.performances import TASKS, occurrences
from fastcaps.training.synthetic.recordings import Recording, split_into_tasks

__all__ = ["PreparedLayout"]

PARTS = "parts"
UNITS = tuple(ACTION_UNITS)


@dataclass(frozen=True)
class PreparedLayout:
    """Eight tasks of each subject, with labels of all action units.

    Args:
        shape: of the stored frames.
    """

    shape: Shape
    least_frames: ClassVar[int] = 1

    def recordings(self, person: int, frames: int, random: np.random.Generator) -> list[Recording]:
        """See :meth:`Layout.recordings`."""
        return [
            Recording(f"S{person + 1:03d}", task, person, number, task, share)
            for number, (task, share) in enumerate(
                zip(TASKS, split_into_tasks(frames), strict=True)
            )
            if share
        ]

    def write(
        self,
        root: Path,
        recording: Recording,
        intensities: NDArray[np.int8],
        pictures: Iterator[Picture],
    ) -> None:
        """Write a part of the data set; see :meth:`Layout.write`."""
        frames_file, rows_file = _part_files(root, recording)
        frames_file.parent.mkdir(parents=True)
        residuals = []
        with open(frames_file, "wb") as frames:
            for picture in pictures:
                aligned = aligned_face(
                    picture.image, picture.landmarks, self.shape.input_side, self.shape.colour
                )
                frames.write(aligned.image.tobytes())
                residuals.append(aligned.residual)
        with open(rows_file, "wb") as rows:
            pyarrow.parquet.write_table(_rows(recording, intensities, residuals), rows)

    def finish(self, out: Path, recordings: Sequence[Recording]) -> None:
        """Put the parts of all recordings together.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        parts = []
        for recording in recordings:
            frames, rows = _part_files(out, recording)
            parts.append(Part(pyarrow.parquet.read_table(rows), frames, 0))
        nothing = pd.DataFrame(columns=list(Problem.__annotations__))
        made_by = {"made_by": {"data_set": "synthetic"}}
        write_prepared(out, parts, nothing, made_by, UNITS, self.shape)


def _part_files(root: Path, recording: Recording) -> tuple[Path, Path]:
    """A recording's frames without a header, and its rows of the index."""
    folder = root / UNFINISHED / PARTS
    return folder / f"{recording.name}.frames", folder / f"{recording.name}.parquet"


def _rows(
    recording: Recording, intensities: NDArray[np.int8], residuals: Sequence[float]
) -> pa.Table:
    frames = recording.frames
    columns = {
        "subject": [recording.subject] * frames,
        "sequence": [recording.sequence] * frames,
        "frame": np.arange(recording.first, recording.first + frames),
        **dict(zip(map(column, UNITS), occurrences(intensities).T, strict=True)),
        **{f"{column(unit)}_intensity": intensities[:, i] for i, unit in enumerate(UNITS)},
        "emotion": np.full(frames, UNKNOWN, dtype=np.int8),
        RESIDUAL: np.array(residuals, dtype=np.float32),
        "source": ["synthetic"] * frames,
    }
    return pa.table(columns, schema=index_schema(UNITS))
