"""What a trained network says of some frames, beside their labels, in memory and in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically

__all__ = ["Predictions", "concatenated"]

VERSION = 1
METADATA = b"fastcaps"
"""Key in the Parquet schema's metadata: a JSON object with version, classes and exclusive."""

ROUNDING = 1e-5
"""A capsule's length may be above one by a rounding error."""


@dataclass(frozen=True)
class Predictions:
    """Scores and labels of N frames for C classes.

    Attributes:
        classes: names of the action units, as AU01, or of the emotions.
        exclusive: whether exactly one class is present in each frame, as with emotions.
        subjects: whose frames they are, texts [N].
        sequences: of which recordings, texts [N].
        frames: numbers in their recordings, int64 [N].
        labels: 1 present, 0 absent, -1 unknown, int8 [N, C]; one-hot where exclusive.
        scores: how sure the network is of each class, float32 [N, C] in 0 .. 1.

    Raises:
        InputError: an array is of another type or shape, or holds what cannot be.
    """

    classes: tuple[str, ...]
    exclusive: bool
    subjects: NDArray[Any]
    sequences: NDArray[Any]
    frames: NDArray[np.int64]
    labels: NDArray[np.int8]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        columns = _columns(self.classes)
        if not self.classes or len(set(columns)) != len(columns):
            raise InputError(
                f"classes: expected at least one, each with names of its own for its columns, "
                f"got {', '.join(self.classes) or 'none'}"
            )
        self._check_arrays()
        if self.labels.size and (self.labels.min() < UNKNOWN or self.labels.max() > 1):
            raise InputError(
                f"labels: expected 1, 0 and {UNKNOWN} for unknown, "
                f"got {self.labels.min()} .. {self.labels.max()}"
            )
        is_one_hot = ((self.labels == 1).sum(axis=1) == 1) & (self.labels != UNKNOWN).all(axis=1)
        if self.exclusive and not is_one_hot.all():
            raise InputError(
                "labels: expected exactly one class present in each frame and none unknown, "
                f"got it otherwise in {(~is_one_hot).sum()} of {len(is_one_hot)} frames"
            )
        fits = (self.scores >= -ROUNDING) & (self.scores <= 1 + ROUNDING)
        if not fits.all():
            raise InputError(f"scores: expected 0 .. 1, got {self.scores[~fits][0]}")

    def __len__(self) -> int:
        return len(self.frames)

    def of_frames(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Those for some frames, bool [N]."""
        return replace(
            self,
            subjects=self.subjects[chosen],
            sequences=self.sequences[chosen],
            frames=self.frames[chosen],
            labels=self.labels[chosen],
            scores=self.scores[chosen],
        )

    def save(self, path: Path) -> None:
        """Write a Parquet file, whole or not at all: a row for each frame, with the columns
        subject, sequence, frame, a label for each class and, named CLASS_score, a score."""
        described = {"version": VERSION, "classes": self.classes, "exclusive": self.exclusive}
        schema = _schema(self.classes).with_metadata({METADATA: json.dumps(described).encode()})
        columns = [self.subjects, self.sequences, self.frames, *self.labels.T, *self.scores.T]
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, schema=schema)
        write_atomically(path, lambda file: pyarrow.parquet.write_table(table, file))

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: there is no such file, it cannot be read, or it holds something else.
        """
        if not path.is_file():
            raise InputError(f"predictions: there is no file {path}")
        try:
            table = pyarrow.parquet.read_table(path)
            classes, exclusive = _described(table.schema)
            schema = _schema(classes)
            if not table.schema.equals(schema) or any(c.null_count for c in table.columns):
                raise InputError(
                    f"expected the columns {', '.join(schema.names)}, with their types and "
                    f"nothing missing, got {', '.join(table.schema.names)}"
                )
            subjects, sequences, frames, *rest = (column.to_numpy() for column in table.columns)
            return cls(
                classes=classes,
                exclusive=exclusive,
                subjects=subjects,
                sequences=sequences,
                frames=frames,
                labels=np.stack(rest[: len(classes)], axis=1),
                scores=np.stack(rest[len(classes) :], axis=1),
            )
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(f"predictions: {path} cannot be used: {error}") from error

    def _check_arrays(self) -> None:
        count = len(self.frames)
        shape = [count, len(self.classes)]
        for name, array, kind, expected in (
            ("subjects", self.subjects, "text", [count]),
            ("sequences", self.sequences, "text", [count]),
            ("frames", self.frames, "int64", [count]),
            ("labels", self.labels, "int8", shape),
            ("scores", self.scores, "float32", shape),
        ):
            is_text = array.dtype.kind == "U" or all(isinstance(text, str) for text in array.flat)
            got = "text" if kind == "text" and is_text else str(array.dtype)
            if got != kind or list(array.shape) != expected:
                raise InputError(
                    f"{name}: expected {kind} {expected}, got {got} {list(array.shape)}"
                )


def concatenated(predictions: Sequence[Predictions]) -> Predictions:
    """All frames of all of them, in their order.

    Raises:
        InputError: there is none, or they are of different classes.
    """
    if not predictions:
        raise InputError("predictions: expected at least one, got none")
    first = predictions[0]
    for other in predictions:
        if (other.classes, other.exclusive) != (first.classes, first.exclusive):
            raise InputError(
                f"predictions: expected all of the classes {', '.join(first.classes)}, "
                f"got some of {', '.join(other.classes)}"
            )
    return Predictions(
        classes=first.classes,
        exclusive=first.exclusive,
        subjects=np.concatenate([each.subjects for each in predictions]),
        sequences=np.concatenate([each.sequences for each in predictions]),
        frames=np.concatenate([each.frames for each in predictions]),
        labels=np.concatenate([each.labels for each in predictions]),
        scores=np.concatenate([each.scores for each in predictions]),
    )


def _columns(classes: Sequence[str]) -> list[str]:
    return ["subject", "sequence", "frame", *classes, *(f"{name}_score" for name in classes)]


def _schema(classes: Sequence[str]) -> pa.Schema:
    types = [pa.string(), pa.string(), pa.int64()]
    types += [pa.int8()] * len(classes) + [pa.float32()] * len(classes)
    return pa.schema(list(zip(_columns(classes), types, strict=True)))


def _described(schema: pa.Schema) -> tuple[tuple[str, ...], bool]:
    metadata = schema.metadata or {}
    if METADATA not in metadata:
        raise InputError("expected a file of predictions, got another table")
    described = json.loads(metadata[METADATA])
    if not isinstance(described, dict) or described.get("version") != VERSION:
        raise InputError(f"expected a file of predictions of version {VERSION}, got another")
    classes, exclusive = described["classes"], described["exclusive"]
    is_list = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not is_list or not isinstance(exclusive, bool):
        raise InputError("expected a list of classes and whether they are exclusive")
    return tuple(classes), exclusive
