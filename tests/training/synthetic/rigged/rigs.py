"""The rigs of the tests: a real one where it is at hand, and one of a few vertices, also as OBJ."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from fastcaps.training.synthetic.rigged.convert import Layout
from fastcaps.training.synthetic.rigged.expressions import EXPRESSIONS
from fastcaps.training.synthetic.rigged.rig import PARTS, Rig

ICT = Path(__file__).parents[5] / "shared" / "data" / "ict_face_rig.npz"
VERTICES = 12
POLYGONS: tuple[tuple[int, ...], ...] = (
    *((0, 1, 2, 3), (3, 2, 4), (4, 5, 6, 7, 8), (5, 6, 7), (6, 7, 8)),
    *((7, 8, 9), (8, 9, 10), (9, 10, 11), (0, 5, 10), (1, 6, 11)),
)
"""Of all parts, in the order of the layout below; the last one comes after all parts."""
LAYOUT = Layout(
    vertices=VERTICES,
    parts=tuple(zip(range(2, 10), PARTS, strict=True)),
    landmarks=tuple(i % VERTICES for i in range(68)),
)
TRIANGLES = (
    *((0, 1, 2), (0, 2, 3), (3, 2, 4)),
    *((4, 5, 6), (4, 6, 7), (4, 7, 8)),
    *((5, 6, 7), (6, 7, 8), (7, 8, 9), (8, 9, 10), (9, 10, 11), (0, 5, 10)),
)
TRIANGLE_PARTS = (0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7)


def tiny_rig() -> Rig:
    """Numbers that both float16 and three decimal places hold."""
    random = np.random.default_rng(0)

    def eighths(*shape: int) -> np.ndarray:
        return random.integers(-80, 80, shape) / 8

    names = tuple(sorted(EXPRESSIONS))
    return Rig(
        neutral=eighths(VERTICES, 3).astype(np.float32),
        triangles=np.array(TRIANGLES, np.int32),
        triangle_part=np.array(TRIANGLE_PARTS, np.uint8),
        expression=eighths(len(names), VERTICES, 3).astype(np.float16),
        expression_names=names,
        identity=eighths(100, VERTICES, 3).astype(np.float16),
        landmarks=np.array(LAYOUT.landmarks, np.int32),
    )


def write_checkout(folder: Path, rig: Rig) -> None:
    """Every mesh has three vertices and a polygon that do not belong to the rig."""
    model = folder / "FaceXModel"
    model.mkdir(parents=True)
    faces = [f"f {' '.join(f'{i + 1}/{i + 3}' for i in corners)}" for corners in POLYGONS]
    faces.append("f 13/1 14/2 15/3")

    def write(name: str, vertices: np.ndarray) -> None:
        rows = [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in [*vertices, *np.full((3, 3), 99.0)]]
        text = ["mtllib a.mtl", *rows, "vt 0.5 0.5", "vn 0 0 1", "g head", *faces]
        (model / f"{name}.obj").write_text("\n".join(text) + "\n")

    write("generic_neutral_mesh", rig.neutral)
    for name, offsets in zip(rig.expression_names, rig.expression, strict=True):
        write(name, rig.neutral + offsets)
    for number, offsets in enumerate(rig.identity):
        write(f"identity{number:03d}", rig.neutral + offsets)


def assert_same(one: Rig, other: Rig) -> None:
    """All arrays of two rigs are equal, and of the same types."""
    for field in fields(Rig):
        a, b = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(a, b, err_msg=field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
