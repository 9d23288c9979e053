"""The ground truth of a made-up data set: ``truth.parquet``, a row for each labelled frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS, UNKNOWN, column
from fastcaps.training.faces.landmarks import COUNT
from fastcaps.training.folders import write_atomically
from fastcaps.training.synthetic.people import Person, State
from fastcaps.training.synthetic.performances import coded_intensities, occurrences
from fastcaps.training.synthetic.recordings import Recording

__all__ = ["SCHEMA", "TRUTH", "merge", "truth_of"]

TRUTH = "truth.parquet"

SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("sequence", pa.string()),
        ("frame", pa.int64()),
        *((column(unit), pa.int8()) for unit in ACTION_UNITS),
        *((f"{column(unit)}_intensity", pa.int8()) for unit in ACTION_UNITS),
        ("emotion", pa.int8()),
        *((f"{axis}{point}", pa.float32()) for point in range(COUNT) for axis in "xy"),
        *((angle, pa.float32()) for angle in ("yaw", "pitch", "roll")),
        *((name, pa.float32()) for name in ("light_left", "light_up", "contrast", "brightness")),
        *((name, pa.float32()) for name in ("skin_tone", "iris", "brow", "lip")),
        ("identity", pa.int32()),
    ]
)
"""``frame`` counts as the data set does, ``AU01`` and so on are 0 or 1, ``AU01_intensity`` 0 .. 5,
``emotion`` is the place in ``EMOTIONS`` of the one that the sequence rises to, -1 where it shows
none; ``x0`` .. ``y67`` are landmarks in pixels, angles are in degrees and ``identity`` is the
number of the subject. See ``Person`` and ``State`` for the others."""


def truth_of(
    recording: Recording,
    person: Person,
    states: Sequence[State],
    landmarks: NDArray[np.float32],
) -> pa.Table:
    """The rows of one recording.

    Args:
        recording: which it is.
        person: who is shown.
        states: of each labelled frame.
        landmarks: of each labelled frame, float32 [frames, 68, 2].
    """
    frames = len(states)
    intensities = coded_intensities(states)
    emotion = recording.performance
    light = [(*state.light, state.contrast, state.brightness) for state in states]
    colours = (person.skin_tone, person.iris, person.brow, person.lip)
    columns = [
        [recording.subject] * frames,
        [recording.sequence] * frames,
        np.arange(recording.first, recording.first + frames),
        *occurrences(intensities).T,
        *intensities.T,
        np.full(frames, EMOTIONS.index(emotion) if emotion in EMOTIONS else UNKNOWN),
        *landmarks.reshape(frames, -1).T,
        *np.array([(state.pose.yaw, state.pose.pitch, state.pose.roll) for state in states]).T,
        *np.array(light).T,
        *(np.full(frames, tone) for tone in colours),
        np.full(frames, recording.person),
    ]
    arrays = [pa.array(cells, field.type) for cells, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def merge(parts: Iterable[Path], path: Path) -> None:
    """Write the rows of all recordings into one file, one recording at a time."""

    def fill(file: IO[bytes]) -> None:
        with pyarrow.parquet.ParquetWriter(file, SCHEMA) as writer:
            for part in parts:
                writer.write_table(pyarrow.parquet.read_table(part, schema=SCHEMA))

    write_atomically(path, fill)
