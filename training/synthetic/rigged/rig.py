"""The face rig: a head's triangles, how people differ from the mean, and facial expressions.

A rig is an npz file that ``fastcaps-au rig convert`` writes from a checkout of ICT-FaceKit Light
(https://github.com/ICT-VGL/ICT-FaceKit, MIT licence): Li et al., "Learning Formation of
Physically-Based Face Attributes", 2020. Lengths are about centimetres; x points to the right of
the picture, which is the person's left, y upwards and z towards the viewer.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces import landmarks
from fastcaps.training.folders import write_atomically
from fastcaps.training.synthetic.people import IDENTITY_MODES
from fastcaps.training.synthetic.rigged.expressions import EXPRESSIONS

__all__ = ["PARTS", "WHERE", "Rig", "load_rig", "save_rig"]

PARTS = (
    "face",
    "head_neck",
    "mouth_socket",
    "eye_socket",
    "gums_tongue",
    "teeth",
    "eyeball",
    "iris",
)
"""What a triangle may belong to, at the place of its code."""

Array = NDArray[Any]

WHERE = (
    "get ICT-FaceKit Light from https://github.com/ICT-VGL/ICT-FaceKit (MIT licence) and run "
    "`fastcaps-au rig convert CHECKOUT OUT`"
)
"""What to do without a rig."""


@dataclass(frozen=True)
class Rig:
    """A head with V vertices, T triangles, E expressions and M shape modes.

    Attributes:
        neutral: the mean face at rest, float32 [V, 3].
        triangles: their corners, counter-clockwise from outside, int32 [T, 3].
        triangle_part: the place in ``PARTS`` of each triangle's part, uint8 [T].
        expression: what each expression at weight 1 adds to the vertices, float16 [E, V, 3].
        expression_names: E names; those ending in _L and _R are of the person's left and right.
        identity: what each shape mode at coefficient 1 adds, which is one standard deviation over
            people, float16 [M, V, 3].
        landmarks: the vertices of the 68 landmarks, int32 [68].
    """

    neutral: NDArray[np.float32]
    triangles: NDArray[np.int32]
    triangle_part: NDArray[np.uint8]
    expression: NDArray[np.float16]
    expression_names: tuple[str, ...]
    identity: NDArray[np.float16]
    landmarks: NDArray[np.int32]


def load_rig(path: Path) -> Rig:
    """Read and check a rig.

    Raises:
        InputError: there is no such file, it cannot be read, or an array is not as in ``Rig``.
    """
    if not path.is_file():
        raise InputError(f"rig: there is no file {path}; {WHERE}")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"rig: {path} is not an npz file; {WHERE}")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"rig: {path} cannot be read, perhaps it is cut off: {error}") from error
    return _checked(path, arrays)


def save_rig(rig: Rig, path: Path) -> None:
    """Write a rig as ``load_rig`` reads it; either all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {
        "neutral": rig.neutral,
        "triangles": rig.triangles.astype(np.min_scalar_type(len(rig.neutral))),
        "triangle_part": rig.triangle_part,
        "part_names": np.array(PARTS),
        "expression": rig.expression,
        "expression_names": np.array(rig.expression_names),
        "identity": rig.identity,
        "landmarks68": rig.landmarks,
    }
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def _checked(path: Path, arrays: dict[str, Array]) -> Rig:
    """The rig in ``arrays``; every size follows from ``neutral``, ``triangles`` and the names."""
    try:
        neutral = _take(arrays, "neutral", "f", None, 3)
        triangles = _take_places(arrays, "triangles", len(neutral), None, 3)
        names = tuple(str(name) for name in _take(arrays, "expression_names", "U", None))
        parts = _take_places(arrays, "triangle_part", len(PARTS), len(triangles))
        part_names = tuple(str(name) for name in _take(arrays, "part_names", "U", None))
        if part_names != PARTS:
            raise InputError(f"part_names: expected {', '.join(PARTS)}, got {part_names}")
        if lacking := [PARTS[part] for part in set(range(len(PARTS))) - set(parts.tolist())]:
            raise InputError(f"triangle_part: no triangle is of {', '.join(lacking)}")
        if lacking := sorted(EXPRESSIONS - set(names)):
            raise InputError(f"expression_names: {', '.join(lacking)} missing")
        points = _take_places(arrays, "landmarks68", len(neutral), landmarks.COUNT)
        return Rig(
            neutral=neutral.astype(np.float32),
            triangles=triangles.astype(np.int32),
            triangle_part=parts.astype(np.uint8),
            expression=_take(arrays, "expression", "f", len(names), len(neutral), 3).astype(
                np.float16
            ),
            expression_names=names,
            identity=_take(arrays, "identity", "f", IDENTITY_MODES, len(neutral), 3).astype(
                np.float16
            ),
            landmarks=points.astype(np.int32),
        )
    except InputError as error:
        raise InputError(f"rig: {path}: {error}; {WHERE}") from error


def _take(arrays: dict[str, Array], name: str, kinds: str, *shape: int | None) -> Array:
    """An array of one of ``kinds`` of dtype, and of this shape, in which None is any size."""
    if name not in arrays:
        raise InputError(f"{name} is missing")
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if array.dtype.kind not in kinds or not fits:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(
            f"{name}: expected an array [{expected}], got {array.dtype} {list(array.shape)}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name}: some numbers are not finite")
    return array


def _take_places(arrays: dict[str, Array], name: str, below: int, *shape: int | None) -> Array:
    """Whole numbers 0 .. ``below`` - 1."""
    places = _take(arrays, name, "iu", *shape)
    if places.size and not 0 <= places.min() <= places.max() < below:
        raise InputError(f"{name}: expected 0 .. {below - 1}")
    return places
