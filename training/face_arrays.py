"""Faces that are cropped already, as arrays: read from a file, and made a prepared data set.

Each face, whatever its size, fills the window that networks are tested on; around it its edge is
repeated, for augmentation to move the window over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN, column
from fastcaps.training.errors import InputError
from fastcaps.training.folders import claimed, write_atomically
from fastcaps.training.numpy_files import read_arrays
from fastcaps.training.prepared import (
    CONTENTS,
    RESIDUAL,
    Part,
    Prepared,
    Shape,
    index_schema,
    open_prepared,
    write_prepared,
)
from fastcaps.training.readers.labels import check_action_units
from fastcaps.training.readers.sequences import Problem

__all__ = ["NO_SUBJECTS", "FaceArrays", "as_stored", "check_faces", "prepare_faces", "read_faces"]

PARTS = "parts"
SEQUENCE = "faces"
BLOCK_FACES = 256
NO_SUBJECTS = "none were given: each face counts as one"
"""What the settings of a data set say of subjects if nobody told who is in the faces."""


class FaceArrays(NamedTuple):
    """Faces uint8 [N, h, w] or RGB [N, h, w, 3], and what is known of them.

    Labels are int8 [N, A]: 1, 0 or -1 for unknown.
    """

    faces: NDArray[np.uint8]
    labels: NDArray[np.int8] | None
    subjects: tuple[str, ...] | None


def read_faces(path: Path) -> FaceArrays:
    """Read faces from an npz file, or from an npy file without labels.

    Args:
        path: of an npz file with the array ``images``, uint8 [N, h, w] or RGB [N, h, w, 3], and
            perhaps ``labels``, whole numbers [N] or [N, A], and ``subjects``, texts or whole
            numbers [N]; or of an npy file with the images alone.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    found = read_arrays(path, "faces")
    arrays = {"images": found} if isinstance(found, np.ndarray) else found
    if "images" not in arrays:
        raise InputError(
            f"faces: {path}: expected an array images, got {', '.join(arrays) or 'none'}"
        )
    faces, labels, subjects = arrays["images"], arrays.get("labels"), arrays.get("subjects")
    try:
        check_faces(faces)
        return FaceArrays(
            faces,
            None if labels is None else _checked_labels(labels, len(faces)),
            None if subjects is None else _checked_subjects(subjects, len(faces)),
        )
    except InputError as error:
        raise InputError(f"faces: {path}: {error}") from error


def check_faces(faces: NDArray[np.uint8]) -> None:
    """See that these are faces.

    Raises:
        InputError: they are of another type or shape.
    """
    fits = faces.ndim == 3 or (faces.ndim == 4 and faces.shape[3] == 3)
    if faces.dtype != np.uint8 or not fits or 0 in faces.shape[1:]:
        raise InputError(
            "faces: expected uint8 [N, height, width] or RGB [N, height, width, 3], "
            f"got {faces.dtype} {list(faces.shape)}"
        )


def as_stored(faces: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """The faces as a prepared data set stores them: each whole in the middle, its edge repeated.

    They are stretched to the network's input, averaging pixels where no side is shorter than
    that and interpolating linearly otherwise. ``centre_crop`` cuts exactly this out again.

    Args:
        faces: uint8 [N, h, w], or RGB [N, h, w, 3].
        shape: of the stored frames; RGB becomes gray and gray RGB as needed.

    Returns:
        uint8 [N, side, side] or [N, side, side, 3].

    Raises:
        InputError: faces of another type or shape.
    """
    check_faces(faces)
    stored = np.empty((len(faces), *shape.dimensions), dtype=np.uint8)
    for place, face in enumerate(faces):
        frame = _frame(np.ascontiguousarray(face), shape)
        stored[place] = frame[:, :, None] if frame.ndim < len(shape.dimensions) else frame
    return stored


def prepare_faces(
    faces: NDArray[np.uint8],
    labels: NDArray[Any] | None,
    out: Path,
    subjects: Sequence[str] | NDArray[Any] | None = None,
    input_side: int = 96,
    colour: bool = False,
    action_units: tuple[int, ...] = (12,),
) -> Prepared:
    """Make a prepared data set of faces; one that is there already is only opened.

    Args:
        faces: uint8 [N, h, w], or RGB [N, h, w, 3], at least one.
        labels: whole numbers [N, A], or [N] for one action unit: 1, 0 or -1 for unknown.
        out: made if it is missing; work with other faces or options there is refused.
        subjects: texts or whole numbers [N]: whose face each is. Without them each face counts
            as a person of its own, as ``meta.json`` then says.
        input_side: of networks' inputs, 96 or 224.
        colour: whether frames are RGB; else gray.
        action_units: of the A labels, ascending.

    Raises:
        InputError: an argument of another type, shape or value; ``out`` holds other work, or
            cannot be written.
    """
    shape = Shape(input_side, colour)
    check_faces(faces)
    if not len(faces):
        raise InputError("faces: expected at least one, got none")
    checked = _labels_of(labels, len(faces), action_units)
    people = None if subjects is None else _checked_subjects(subjects, len(faces))
    settings = {
        "data_set": "faces",
        "faces": _digest(faces, checked, people),
        "subjects": "given" if people else NO_SUBJECTS,
        "action_units": list(action_units),
        "input_side": input_side,
        "colour": colour,
    }
    people = people or tuple(f"face-{place:06d}" for place in range(len(faces)))
    with claimed(out, settings, (*CONTENTS, PARTS)):
        prepared = _finished(out)
        if prepared is None:
            rows = _rows(checked, people, action_units)
            _write(out, faces, rows, settings, action_units, shape)
            prepared = open_prepared(out)
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return prepared


def _frame(face: NDArray[np.uint8], shape: Shape) -> Any:
    """One face, gray where it is or is to be, with its edge repeated around it."""
    if face.ndim == 3 and not shape.colour:
        face = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    side = shape.input_side
    how = cv2.INTER_AREA if min(face.shape[:2]) >= side else cv2.INTER_LINEAR
    window = cv2.resize(face, (side, side), interpolation=how)
    before = (shape.side - side) // 2
    after = shape.side - side - before
    return cv2.copyMakeBorder(window, before, after, before, after, cv2.BORDER_REPLICATE)


def _checked_labels(labels: NDArray[Any], count: int) -> NDArray[np.int8]:
    """Labels int8 [N, A]."""
    if labels.dtype.kind not in "biu" or labels.ndim not in (1, 2) or len(labels) != count:
        raise InputError(
            f"labels: expected whole numbers [{count}] or [{count}, A], one row for each face, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if labels.size and (labels.min() < UNKNOWN or labels.max() > 1):
        raise InputError(
            f"labels: expected 0, 1 and {UNKNOWN} for unknown, got {labels.min()} .. {labels.max()}"
        )
    return labels.reshape(count, -1).astype(np.int8)


def _labels_of(
    labels: NDArray[Any] | None, count: int, action_units: tuple[int, ...]
) -> NDArray[np.int8]:
    """Labels int8 [N, A] of these action units."""
    if check_action_units(action_units) != action_units:
        raise InputError(
            f"action_units: expected ascending numbers, got {', '.join(map(str, action_units))}"
        )
    if labels is None:
        raise InputError(f"labels: expected them for {count} faces, got none")
    checked = _checked_labels(labels, count)
    if checked.shape[1] != len(action_units):
        raise InputError(
            f"labels: expected a column for each action unit, {', '.join(map(str, action_units))}, "
            f"got {checked.shape[1]}"
        )
    return checked


def _checked_subjects(subjects: Sequence[str] | NDArray[Any], count: int) -> tuple[str, ...]:
    array = np.asarray(subjects)
    if array.dtype.kind not in "Uiu" or array.shape != (count,):
        raise InputError(
            f"subjects: expected texts or whole numbers [{count}], one for each face, "
            f"got {array.dtype} {list(array.shape)}"
        )
    names = tuple(map(str, array.tolist()))
    if "" in names:
        raise InputError(f"subjects: expected a name for each face, got none at {names.index('')}")
    return names


def _digest(
    faces: NDArray[np.uint8], labels: NDArray[np.int8], subjects: tuple[str, ...] | None
) -> str:
    total = hashlib.sha256(json.dumps([faces.shape, labels.shape, subjects]).encode())
    for array in (labels, *_blocks(faces)):
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _blocks(faces: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [faces[start : start + BLOCK_FACES] for start in range(0, len(faces), BLOCK_FACES)]


def _finished(out: Path) -> Prepared | None:
    """The data set, if it is there and whole."""
    try:
        return open_prepared(out)
    except InputError:
        return None


def _rows(
    labels: NDArray[np.int8], subjects: tuple[str, ...], action_units: tuple[int, ...]
) -> pa.Table:
    count = len(labels)
    unknown = np.full(count, UNKNOWN, dtype=np.int8)
    columns = {
        "subject": subjects,
        "sequence": [SEQUENCE] * count,
        "frame": np.arange(count),
        **dict(zip(map(column, action_units), labels.T, strict=True)),
        **{f"{column(unit)}_intensity": unknown for unit in action_units},
        "emotion": unknown,
        # There are no landmarks that could be off.
        RESIDUAL: np.full(count, np.nan, dtype=np.float32),
        "source": [f"images[{place}]" for place in range(count)],
    }
    return pa.table(columns, schema=index_schema(action_units))


def _write(
    out: Path,
    faces: NDArray[np.uint8],
    rows: pa.Table,
    settings: dict[str, Any],
    action_units: tuple[int, ...],
    shape: Shape,
) -> None:
    def write_frames(file: IO[bytes]) -> None:
        for block in _blocks(faces):
            file.write(as_stored(block, shape).data)

    frames = out / PARTS / "faces.frames"
    frames.parent.mkdir(exist_ok=True)
    write_atomically(frames, write_frames)
    nothing = pd.DataFrame(columns=list(Problem.__annotations__))
    parts = [Part(rows, frames, 0)]
    write_prepared(out, parts, nothing, {"made_by": settings}, action_units, shape)
