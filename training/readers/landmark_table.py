"""Landmarks of all frames of a data set in one table, CSV or Parquet.

Columns subject, sequence, frame and x0, y0 ... x67, y67, in pixels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import COUNT
from fastcaps.training.readers.sequences import Sequence

__all__ = ["KEYS", "POINT_COLUMNS", "load_landmarks", "with_landmarks"]

KEYS = ["subject", "sequence", "frame"]
POINT_COLUMNS = [f"{axis}{point}" for point in range(COUNT) for axis in "xy"]


def load_landmarks(path: Path) -> pd.DataFrame:
    """The table, by subject, sequence and frame.

    Raises:
        InputError: it cannot be read, lacks a column, or has a frame twice.
    """
    types = {"subject": str, "sequence": str}
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path, columns=[*KEYS, *POINT_COLUMNS]).astype(types)
        else:
            # A subject may be called NA.
            missing = {name: ["", "nan", "NaN"] for name in POINT_COLUMNS}
            columns = [*KEYS, *POINT_COLUMNS]
            table = pd.read_csv(
                path, dtype=types, usecols=columns, keep_default_na=False, na_values=missing
            )
        table = table.astype({"frame": np.int64, **dict.fromkeys(POINT_COLUMNS, np.float32)})
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: expected a table with columns subject, sequence, frame and x0, y0 ... "
            f"x{COUNT - 1}, y{COUNT - 1}, as CSV or Parquet: {error}"
        ) from error
    table = table.set_index(KEYS)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise InputError(f"{path}: has {' '.join(map(str, twice))} twice")
    return table


def with_landmarks(sequence: Sequence, table: pd.DataFrame) -> Sequence:
    """The sequence with its landmarks from the table, NaN for frames that it lacks."""
    wanted = pd.MultiIndex.from_product(
        [[sequence.subject], [sequence.name], sequence.frames], names=KEYS
    )
    points = table.reindex(wanted)[POINT_COLUMNS].to_numpy(dtype=np.float32)
    return replace(sequence, landmarks=points.reshape(len(sequence), COUNT, 2))
