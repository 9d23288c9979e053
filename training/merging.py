"""Joins the shards of a data set that were prepared apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from fastcaps.training.errors import InputError
from fastcaps.training.folders import claimed
from fastcaps.training.prepared import (
    CONTENTS,
    FRAMES,
    INDEX,
    Part,
    Prepared,
    combined,
    open_prepared,
    write_prepared,
)

__all__ = ["merge"]

PLACES = ("root", "labels", "landmarks")
"""Settings that name files; they are taken from the first shard."""


def merge(out: Path, shards: Sequence[Path]) -> Prepared:
    """Join all shards of one data set; the result is as if it had been prepared in one piece.

    Args:
        out: folder of the result, made if it is missing.
        shards: folders of the shards, finished, in any order.

    Raises:
        InputError: a shard is missing, given twice or of another data set, or ``out`` holds other
            work or cannot be written.
    """
    opened = [open_prepared(folder) for folder in shards]
    settings = _common_settings(opened)
    parts = sorted(
        (part for shard in opened for part in _parts(shard)), key=lambda part: _key(part.rows)
    )
    left_out = pd.concat([shard.left_out() for shard in opened], ignore_index=True)
    first = opened[0]
    made_from = combined(shard.meta["made_from"] for shard in opened)
    meta = {"made_by": settings, "made_from": made_from}
    with claimed(out, settings, CONTENTS):
        write_prepared(out, parts, left_out, meta, first.action_units, first.shape)
    return open_prepared(out)


def _common_settings(shards: list[Prepared]) -> dict[str, Any]:
    """Settings of the whole data set."""
    if not shards:
        raise InputError("shards: expected the folders of all shards, got none")
    for shard in shards:
        if "made_from" not in shard.meta:
            raise InputError(f"shards: {shard.folder} was not made by fastcaps-au prepare")
    made_by = [shard.meta["made_by"] for shard in shards]
    numbers, counts = zip(*(settings["shard"] for settings in made_by), strict=True)
    whole = [{**settings, "shard": [0, 1]} for settings in made_by]
    for shard, settings in zip(shards, whole, strict=True):
        if _apart_from_places(settings) != _apart_from_places(whole[0]):
            raise InputError(
                f"shards: {shard.folder} was made with other settings than {shards[0].folder}"
            )
    if sorted(numbers) != list(range(counts[0])) or len(set(counts)) > 1:
        given = ", ".join(
            f"{number}/{count}" for number, count in zip(numbers, counts, strict=True)
        )
        raise InputError(f"shards: expected each of 0/{counts[0]} ... once, got {given}")
    return whole[0]


def _apart_from_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Other machines may have the same files in other places."""
    return {name: value for name, value in settings.items() if name not in PLACES}


def _parts(shard: Prepared) -> Iterator[Part]:
    """The sequences of a shard."""
    rows = pyarrow.parquet.read_table(shard.folder / INDEX)
    keys = shard.index[["subject", "sequence"]]
    starts = np.flatnonzero((keys != keys.shift()).any(axis=1)).tolist()
    with open(shard.folder / FRAMES, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header = file.tell()
    for start, end in pairwise([*starts, len(keys)]):
        offset = header + start * shard.shape.bytes
        yield Part(rows.slice(start, end - start), shard.folder / FRAMES, offset)


def _key(rows: pa.Table) -> tuple[str, str]:
    return rows["subject"][0].as_py(), rows["sequence"][0].as_py()
