"""Rig files: what is read is what was written, and files that cannot be used are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.rigged.expressions import EXPRESSIONS
from fastcaps.training.synthetic.rigged.rig import load_rig, save_rig
from tests.training.synthetic.rigged.rigs import ICT, assert_same, tiny_rig

HELP = r"github.com/ICT-VGL/ICT-FaceKit.*fastcaps-au rig convert CHECKOUT OUT"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.npz"
    save_rig(tiny_rig(), path)
    return path


def test_a_rig_is_read_as_it_was_written(file: Path) -> None:
    assert_same(load_rig(file), tiny_rig())
    assert [path.name for path in file.parent.iterdir()] == ["rig.npz"]


def test_without_a_file_the_error_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no file .*absent.npz.*{HELP}"):
        load_rig(tmp_path / "absent.npz")


@pytest.mark.parametrize("part", [0, 10, 4000])
def test_a_file_that_is_cut_off(file: Path, part: int) -> None:
    file.write_bytes(file.read_bytes()[:part])
    with pytest.raises(InputError, match=r"rig\.npz cannot be read, perhaps it is cut off"):
        load_rig(file)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "rig.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"rig\.npy is not an npz file"):
        load_rig(tmp_path / "rig.npy")


def changed(array: np.ndarray, place: Any, value: Any) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("neutral", lambda a: None, "neutral is missing"),
        ("neutral", lambda a: a[:, :2], r"neutral: expected an array \[any, 3\], got .* \[12, 2\]"),
        ("neutral", lambda a: changed(a, 3, np.nan), "neutral: some numbers are not finite"),
        ("triangles", lambda a: changed(a, 0, 12), r"triangles: expected 0 .. 11"),
        ("triangles", lambda a: a.astype(float), r"triangles: expected an array \[any, 3\], got f"),
        ("triangle_part", lambda a: a[1:], r"triangle_part: expected an array \[12\]"),
        ("triangle_part", lambda a: changed(a, 11, 8), r"triangle_part: expected 0 .. 7"),
        ("triangle_part", lambda a: a * 0, "triangle_part: no triangle is of head_neck, .*, iris"),
        ("part_names", lambda a: a[::-1], "part_names: expected face, .* got"),
        ("expression", lambda a: a[:-1], r"expression: expected an array \[\d+, 12, 3\]"),
        ("expression_names", lambda a: changed(a, 0, "?"), "expression_names: browDown_L missing"),
        ("identity", lambda a: a[:99], r"identity: expected an array \[100, 12, 3\]"),
        ("landmarks68", lambda a: a[:66], r"landmarks68: expected an array \[68\]"),
        ("landmarks68", lambda a: changed(a, 0, -1), r"landmarks68: expected 0 .. 11"),
    ],
)
def test_an_array_that_does_not_fit(file: Path, name: str, change: Any, message: str) -> None:
    with np.load(file) as archive:
        arrays = dict(archive)
    new = change(arrays.pop(name))
    if new is not None:
        arrays[name] = new
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=f"rig.npz: {message}.*{HELP}"):
        load_rig(file)


@pytest.mark.skipif(not ICT.exists(), reason="needs the ICT face rig, ../shared/data")
def test_the_left_of_the_ict_rig_is_the_right_of_the_picture() -> None:
    rig = load_rig(ICT)
    assert set(rig.expression_names) >= EXPRESSIONS
    for name in EXPRESSIONS:
        offsets = rig.expression[rig.expression_names.index(name)].astype(np.float32)
        moved = np.linalg.norm(offsets, axis=1)
        middle = (moved * rig.neutral[:, 0]).sum() / moved.sum()
        sign = {"_L": 1, "_R": -1}.get(name[-2:], 0)
        assert middle * sign > 1 if sign else abs(middle) < 0.1, name
