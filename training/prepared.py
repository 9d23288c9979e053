"""A prepared data set: aligned faces and their labels in one folder.

``frames.npy``     uint8 [N, side, side] or [N, side, side, 3], RGB; opened as a memory map.
``index.parquet``  a row for each frame: subject, sequence, frame, AU01 ... (1, 0 or -1 for
                   unknown), AU01_intensity ... (0 .. 5 or -1), emotion (place in ``EMOTIONS`` or
                   -1), residual (see ``RESIDUAL``), source (the file).
``meta.json``      schema version, options, counts and checksums; written last.
``left_out.csv``   what is not in it, and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from fastcaps.training.action_units import column
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import STORED_SIDES
from fastcaps.training.folders import read_json, write_atomically, write_json

__all__ = [
    "CONTENTS",
    "FRAMES",
    "INDEX",
    "LEFT_OUT",
    "META",
    "Part",
    "Prepared",
    "Shape",
    "combined",
    "file_sha256",
    "index_schema",
    "open_prepared",
    "write_prepared",
]

SCHEMA_VERSION = 1
FRAMES = "frames.npy"
INDEX = "index.parquet"
META = "meta.json"
LEFT_OUT = "left_out.csv"
CONTENTS = (FRAMES, INDEX, META, LEFT_OUT)
META_KEYS = {"action_units", "colour", "frames", "input_side", "left_out", "made_by", "sha256"}

RESIDUAL = "residual"
"""Column: how far the landmarks are from the mean face after alignment, the mean over the
alignment points, in pixels of a picture of 96 x 96."""

COPIED_AT_ONCE = 8 << 20


@dataclass(frozen=True)
class Shape:
    """What one stored frame is: for networks with inputs of ``input_side`` pixels, RGB or gray."""

    input_side: int
    colour: bool

    def __post_init__(self) -> None:
        if self.input_side not in STORED_SIDES:
            expected = " or ".join(map(str, STORED_SIDES))
            raise InputError(f"size: expected {expected}, got {self.input_side}")

    @property
    def side(self) -> int:
        """Height and width of the stored frames."""
        return STORED_SIDES[self.input_side]

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Of one frame."""
        return (self.side, self.side, 3) if self.colour else (self.side, self.side)

    @property
    def bytes(self) -> int:
        """Of one frame."""
        return int(np.prod(self.dimensions))


@dataclass(frozen=True)
class Prepared:
    """A prepared data set, opened for reading.

    Attributes:
        folder: where it is.
        meta: the content of ``meta.json``.
        frames: uint8 [N, side, side] or [N, side, side, 3], a memory map.
        index: ``index.parquet``.
    """

    folder: Path
    meta: dict[str, Any]
    frames: NDArray[np.uint8]
    index: pd.DataFrame

    @property
    def action_units(self) -> tuple[int, ...]:
        """The action units with labels."""
        return tuple(self.meta["action_units"])

    @property
    def shape(self) -> Shape:
        """Of the frames."""
        return Shape(self.meta["input_side"], self.meta["colour"])

    @property
    def labels(self) -> NDArray[np.int8]:
        """1, 0 or -1 for unknown: int8 [N, A]."""
        return self.index[[column(unit) for unit in self.action_units]].to_numpy(dtype=np.int8)

    @property
    def intensities(self) -> NDArray[np.int8]:
        """0 .. 5 or -1 for unknown: int8 [N, A]."""
        names = [f"{column(unit)}_intensity" for unit in self.action_units]
        return self.index[names].to_numpy(dtype=np.int8)

    def left_out(self) -> pd.DataFrame:
        """What is not in it: file, reason, subject, sequence, frame."""
        # Names may look like numbers.
        types: dict[str, str] = {"frame": "Int64", "subject": "str", "sequence": "str"}
        return pd.read_csv(self.folder / LEFT_OUT, keep_default_na=False, dtype=types)

    def check(self) -> None:
        """Read all files and compare them with their checksums.

        Raises:
            InputError: a file has changed since it was written.
        """
        for name, wanted in self.meta["sha256"].items():
            if file_sha256(self.folder / name) != wanted:
                raise InputError(
                    f"{self.folder / name}: has changed since it was prepared; prepare it again"
                )


@dataclass(frozen=True)
class Part:
    """Some rows of a prepared data set, and where their frames lie in a file."""

    rows: pa.Table
    file: Path
    offset: int


def open_prepared(folder: Path) -> Prepared:
    """Open a prepared data set.

    Raises:
        InputError: there is none, it is not finished, or it is of another version.
    """
    meta = _read_meta(folder)
    try:
        frames = np.load(folder / FRAMES, mmap_mode="r", allow_pickle=False)
        index = pyarrow.parquet.read_table(folder / INDEX).to_pandas()
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{folder}: cannot be read: {error}; prepare it again") from error
    prepared = Prepared(folder, meta, frames, index)
    names = index_schema(prepared.action_units).names
    shape = (meta["frames"], *prepared.shape.dimensions)
    if frames.shape != shape or len(index) != len(frames) or list(index.columns) != names:
        raise InputError(
            f"{folder}: expected {shape[0]} rows and frames {list(shape)}, got {len(index)} rows "
            f"in {INDEX} and {list(frames.shape)} in {FRAMES}; prepare the data set again"
        )
    return prepared


def combined(digests: Iterable[str]) -> str:
    """One digest of many, each of 64 hexadecimal digits, whatever their order and grouping."""
    total = 0
    for digest in digests:
        total ^= int(digest, 16)
    return f"{total:064x}"


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        is_finished = (folder / META).exists()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from error
    if not is_finished:
        raise InputError(
            f"{folder}: expected a prepared data set, got a folder without {META}; "
            "prepare one, or go on with one that was stopped: fastcaps-au prepare"
        )
    meta = read_json(folder / META)
    if meta.get("schema") != SCHEMA_VERSION:
        raise InputError(
            f"{folder / META}: expected schema {SCHEMA_VERSION}, got {meta.get('schema')}; "
            "prepare the data set again"
        )
    if missing := sorted(META_KEYS - meta.keys()):
        raise InputError(
            f"{folder / META}: expected {', '.join(missing)}; prepare the data set again"
        )
    return meta


def index_schema(action_units: tuple[int, ...]) -> pa.Schema:
    """The columns of ``index.parquet``."""
    return pa.schema(
        [
            ("subject", pa.string()),
            ("sequence", pa.string()),
            ("frame", pa.int64()),
            *((column(unit), pa.int8()) for unit in action_units),
            *((f"{column(unit)}_intensity", pa.int8()) for unit in action_units),
            ("emotion", pa.int8()),
            (RESIDUAL, pa.float32()),
            ("source", pa.string()),
        ]
    )


def write_prepared(
    folder: Path,
    parts: Iterable[Part],
    left_out: pd.DataFrame,
    meta: dict[str, Any],
    action_units: tuple[int, ...],
    shape: Shape,
) -> None:
    """Write a prepared data set; what was in its place stays until it is whole.

    Args:
        folder: of the data set, which exists.
        parts: of it, in their order.
        left_out: content of ``left_out.csv``.
        meta: what ``meta.json`` says besides schema, shape, counts and checksums.
        action_units: the action units with labels.
        shape: of the frames.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    parts = list(parts)
    index = pa.concat_tables([index_schema(action_units).empty_table(), *(p.rows for p in parts)])
    (folder / META).unlink(missing_ok=True)
    write_atomically(folder / FRAMES, lambda file: _join(file, parts, shape))
    write_atomically(folder / INDEX, lambda file: pyarrow.parquet.write_table(index, file))
    left_out = left_out.astype({"frame": "Int64"}).sort_values(
        ["subject", "sequence", "frame"], na_position="first", kind="stable"
    )
    write_atomically(
        folder / LEFT_OUT, lambda file: left_out.to_csv(file, index=False, lineterminator="\n")
    )
    counts = {
        "frames": index.num_rows,
        "subjects": len(index["subject"].unique()),
        "sequences": sum(part.rows.num_rows > 0 for part in parts),
        "left_out": len(left_out),
    }
    described = {"input_side": shape.input_side, "side": shape.side, "colour": shape.colour}
    write_json(
        folder / META,
        {
            "schema": SCHEMA_VERSION,
            **meta,
            "action_units": list(action_units),
            **described,
            **counts,
            "sha256": {name: file_sha256(folder / name) for name in (FRAMES, INDEX)},
        },
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read piece by piece."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(COPIED_AT_ONCE):
            total.update(data)
    return total.hexdigest()


def _join(file: IO[bytes], parts: list[Part], shape: Shape) -> None:
    """Write the parts' frames as one NumPy array."""
    frames = sum(part.rows.num_rows for part in parts)
    header = {"descr": "|u1", "fortran_order": False, "shape": (frames, *shape.dimensions)}
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        left = part.rows.num_rows * shape.bytes
        with open(part.file, "rb") as source:
            source.seek(part.offset)
            while left:
                data = source.read(min(left, COPIED_AT_ONCE))
                if not data:
                    raise InputError(f"{part.file}: is shorter than its index says")
                file.write(data)
                left -= len(data)
