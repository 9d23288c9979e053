"""From a checkout of ICT-FaceKit Light to the rig that is drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.rigged.rig import PARTS, WHERE, Rig, save_rig

__all__ = ["ICT_FACE_KIT", "Layout", "convert_rig", "read_checkout"]

NEUTRAL = "generic_neutral_mesh"
IDENTITY = re.compile(r"identity\d{3}")


@dataclass(frozen=True)
class Layout:
    """What the numbers of a model's vertices and polygons mean.

    Attributes:
        vertices: how many of the first vertices are used.
        parts: the number of the first polygon after each part, and the part, in order.
        landmarks: the vertices of the 68 landmarks.
    """

    vertices: int
    parts: tuple[tuple[int, str], ...]
    landmarks: tuple[int, ...]


ICT_FACE_KIT = Layout(
    vertices=24591,
    parts=(
        (9230, "face"),
        (11144, "head_neck"),
        (13226, "mouth_socket"),
        (14034, "eye_socket"),
        (17006, "gums_tongue"),
        (21496, "teeth"),
        (22296, "eyeball"),
        (23094, "iris"),
        (23894, "eyeball"),
        (24692, "iris"),
    ),
    landmarks=(
        *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272),
        *(4088, 3443, 268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942),
        *(4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751),
        *(3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957),
        *(5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
    ),
)
"""The tables of ICT-FaceKit's README: "Face Model Topology", "Eyeball Details" and "Facial
Landmarks" (Multi-PIE). What comes after the eyeballs - fluid, lashes, shades - is left out."""


def convert_rig(checkout: Path, out: Path, layout: Layout = ICT_FACE_KIT) -> None:
    """Write the rig in a checkout of ICT-FaceKit to an npz file.

    Args:
        checkout: as in ``read_checkout``.
        out: the file to write.
        layout: what the numbers of vertices and polygons mean.

    Raises:
        InputError: the checkout cannot be used, or the file cannot be written.
    """
    rig = read_checkout(checkout, layout)
    try:
        save_rig(rig, out)
    except OSError as error:
        raise InputError(f"out: {out} cannot be written: {error}") from error


def read_checkout(checkout: Path, layout: Layout = ICT_FACE_KIT) -> Rig:
    """Read the mean face, all expressions and all shape modes of a checkout.

    Args:
        checkout: the folder with ``FaceXModel/generic_neutral_mesh.obj``, ``identityNNN.obj`` and
            one OBJ file for each expression.
        layout: what the numbers mean.

    Raises:
        InputError: a file is missing, is not an OBJ file, or does not fit the others.
    """
    folder = checkout / "FaceXModel"
    neutral_file = folder / f"{NEUTRAL}.obj"
    if not neutral_file.is_file():
        raise InputError(f"checkout: there is no file {neutral_file}; {WHERE}")
    files = {path.stem: path for path in sorted(folder.glob("*.obj")) if path != neutral_file}
    identities = [name for name in files if IDENTITY.fullmatch(name)]
    expressions = [name for name in files if not IDENTITY.fullmatch(name)]
    for kind, names in (("identityNNN", identities), ("expression", expressions)):
        if not names:
            raise InputError(f"checkout: {folder} has no {kind} OBJ files; {WHERE}")
    neutral = _read_vertices(neutral_file, layout)
    triangles, triangle_part = _read_triangles(neutral_file, layout)

    def offsets(names: Iterable[str]) -> NDArray[np.float16]:
        read = (_read_vertices(files[name], layout) - neutral for name in names)
        return np.stack([offset.astype(np.float16) for offset in read])

    return Rig(
        neutral=neutral.astype(np.float32),
        triangles=triangles,
        triangle_part=triangle_part,
        expression=offsets(expressions),
        expression_names=tuple(expressions),
        identity=offsets(identities),
        landmarks=np.array(layout.landmarks, dtype=np.int32),
    )


def _read_vertices(path: Path, layout: Layout) -> NDArray[np.float64]:
    """The first vertices of an OBJ file, [V, 3]."""
    rows = _rows(path, "v")[: layout.vertices]
    try:
        vertices = np.array([row[:3] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"checkout: {path}: a vertex is not three numbers: {error}") from error
    if vertices.shape != (layout.vertices, 3) or not np.isfinite(vertices).all():
        raise InputError(
            f"checkout: {path}: expected at least {layout.vertices} vertices, got {len(vertices)}; "
            "perhaps the file is cut off or a Git LFS pointer"
        )
    return vertices


def _read_triangles(path: Path, layout: Layout) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Polygons as fans of triangles int32 [T, 3], and the part of each, uint8 [T]."""
    polygons = _rows(path, "f")
    last, _ = layout.parts[-1]
    if len(polygons) < last:
        raise InputError(
            f"checkout: {path}: expected at least {last} polygons, got {len(polygons)}; "
            "perhaps the file is cut off"
        )
    triangles, parts, first = [], [], 0
    for end, part in layout.parts:
        for polygon in polygons[first:end]:
            corners = _corners(path, polygon, layout)
            fan = [(corners[0], *corners[i : i + 2]) for i in range(1, len(corners) - 1)]
            triangles += fan
            parts += [PARTS.index(part)] * len(fan)
        first = end
    return np.array(triangles, dtype=np.int32), np.array(parts, dtype=np.uint8)


def _corners(path: Path, polygon: list[str], layout: Layout) -> list[int]:
    """Vertices from 0 of a polygon whose corners are written 7, 7/5 or 7/5/3, from 1."""
    try:
        corners = [int(corner.split("/")[0]) - 1 for corner in polygon]
    except ValueError as error:
        raise InputError(f"checkout: {path}: a corner has no number: {error}") from error
    if len(corners) < 3 or not all(0 <= corner < layout.vertices for corner in corners):
        raise InputError(
            f"checkout: {path}: expected polygons of vertices 1 .. {layout.vertices}, "
            f"got {' '.join(polygon)}"
        )
    return corners


def _rows(path: Path, keyword: str) -> list[list[str]]:
    """The words after ``keyword`` in each line that starts with it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"checkout: {path} cannot be read: {error}") from error
    return [line.split()[1:] for line in lines if line.startswith(keyword + " ")]
