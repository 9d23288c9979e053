"""Cropped faces in arrays: files of them, and the prepared data sets that they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.augmentation import centre_crop
from fastcaps.training.errors import InputError
from fastcaps.training.face_arrays import as_stored, prepare_faces, read_faces
from fastcaps.training.folders import LOCK
from fastcaps.training.prepared import CONTENTS, Shape, open_prepared

GRAY = Shape(96, colour=False)
RGB = Shape(96, colour=True)


def some_faces(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


LABELS = np.array([[1, 0], [0, -1], [-1, 1], [1, 1], [0, 0]], dtype=np.int8)
UNITS = (6, 12)


@given(
    count=st.integers(0, 2),
    height=st.integers(1, 250),
    width=st.integers(1, 250),
    in_colour=st.booleans(),
    shape=st.sampled_from([GRAY, RGB, Shape(224, colour=False)]),
)
@settings(deadline=None, max_examples=40)
def test_faces_of_any_size_are_stored_with_their_edge_repeated(
    count: int, height: int, width: int, in_colour: bool, shape: Shape
) -> None:
    faces = some_faces(count, height, width, *([3] if in_colour else []))
    stored = as_stored(faces, shape)
    assert stored.dtype == np.uint8
    assert stored.shape == (count, *shape.dimensions)
    margin = (shape.side - shape.input_side) // 2
    inner = stored[:, margin:-margin, margin:-margin]
    around = [(0, 0), (margin, margin), (margin, margin)] + [(0, 0)] * (stored.ndim - 3)
    np.testing.assert_array_equal(stored, np.pad(inner, around, mode="edge"))
    # Resizing makes no shade that was not there, except that gray is a mean of colours.
    for face, frame in zip(faces, stored, strict=True):
        assert face.min() <= frame.min() <= frame.max() <= face.max()


def test_a_face_of_the_networks_size_is_what_the_network_sees() -> None:
    faces = some_faces(3, 96, 96)
    window = centre_crop(torch.from_numpy(as_stored(faces, GRAY)), 96)
    np.testing.assert_array_equal((window[:, 0] * 255).round().numpy(), faces)
    in_colour = centre_crop(torch.from_numpy(as_stored(faces, RGB)), 96)
    np.testing.assert_array_equal(
        (in_colour * 255).round().numpy(), np.repeat(faces[:, None], 3, axis=1)
    )


def test_large_faces_are_averaged() -> None:
    faces = some_faces(2, 192, 288, 3)
    means = faces.reshape(2, 96, 2, 96, 3, 3).mean(axis=(2, 4))
    window = as_stored(faces, RGB)[:, 7:-7, 7:-7]
    assert np.abs(window - means).max() <= 0.5001


def test_small_faces_are_interpolated_linearly() -> None:
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8) * 5, (48, 48))
    window = as_stored(ramp[None], GRAY)[0, 7:-7, 7:-7]
    # Centres of pixels: x of the result is at (x + 0.5) / 2 - 0.5.
    expected = np.clip((np.arange(96) + 0.5) / 2 - 0.5, 0, 47) * 5
    assert np.abs(window - expected).max() <= 0.5001


def test_colours_become_the_usual_gray() -> None:
    faces = some_faces(2, 96, 96, 3)
    expected = faces @ np.array([0.299, 0.587, 0.114])
    assert np.abs(as_stored(faces, GRAY)[:, 7:-7, 7:-7] - expected).max() < 1


def test_faces_may_lie_in_memory_in_any_order() -> None:
    faces = some_faces(2, 40, 30, 3)
    for view in (faces[:, ::-1, ::2], faces.transpose(0, 2, 1, 3), faces[::-1, :, :, ::-1]):
        np.testing.assert_array_equal(as_stored(view, RGB), as_stored(view.copy(), RGB))


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((2, 8, 8), dtype=np.float32),
        np.zeros((8, 8), dtype=np.uint8),
        np.zeros((2, 8, 8, 4), dtype=np.uint8),
        np.zeros((2, 0, 8), dtype=np.uint8),
    ],
)
def test_other_arrays_are_no_faces(faces: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"faces: expected uint8 \[N, height, width\]"):
        as_stored(faces, GRAY)


def test_a_data_set_is_made_of_faces(tmp_path: Path) -> None:
    faces, out = some_faces(5, 30, 20), tmp_path / "out"
    prepared = prepare_faces(faces, LABELS, out, list("bbacc"), action_units=UNITS)
    prepared.check()
    np.testing.assert_array_equal(prepared.frames, as_stored(faces, GRAY))
    np.testing.assert_array_equal(prepared.labels, LABELS)
    assert prepared.action_units == UNITS
    assert prepared.shape == GRAY
    assert (prepared.intensities == -1).all()
    assert (prepared.index["emotion"] == -1).all()
    assert prepared.index["residual"].isna().all()
    assert prepared.index["subject"].tolist() == list("bbacc")
    assert prepared.index["frame"].tolist() == list(range(5))
    assert prepared.meta["subjects"] == 3
    assert prepared.meta["made_by"]["subjects"] == "given"
    assert len(prepared.left_out()) == 0
    assert {path.name for path in out.iterdir()} == {*CONTENTS, "settings.json", LOCK}


def test_without_subjects_each_face_is_a_person(tmp_path: Path) -> None:
    prepared = prepare_faces(some_faces(3, 96, 96, 3), np.array([1, 0, 1]), tmp_path, colour=True)
    assert prepared.index["subject"].tolist() == ["face-000000", "face-000001", "face-000002"]
    assert "each face counts as one" in prepared.meta["made_by"]["subjects"]
    assert prepared.labels.tolist() == [[1], [0], [1]]
    assert prepared.shape == RGB


def test_more_faces_than_a_block(tmp_path: Path) -> None:
    faces = some_faces(300, 2, 2)
    prepared = prepare_faces(faces, np.zeros(300, dtype=bool), tmp_path)
    np.testing.assert_array_equal(prepared.frames, as_stored(faces, GRAY))


def test_the_same_faces_are_only_opened_and_others_are_refused(tmp_path: Path) -> None:
    faces = some_faces(5, 8, 8)
    prepare_faces(faces, LABELS, tmp_path, action_units=UNITS)
    before = (tmp_path / "meta.json").stat().st_mtime_ns
    prepare_faces(faces, LABELS, tmp_path, action_units=UNITS)
    assert (tmp_path / "meta.json").stat().st_mtime_ns == before
    for changed_faces, labels in ((255 - faces, LABELS), (faces, LABELS[::-1])):
        with pytest.raises(InputError, match="holds work with other settings: faces is"):
            prepare_faces(changed_faces, labels, tmp_path, action_units=UNITS)


@pytest.mark.parametrize("damage", ["killed before meta.json", "killed in parts", "truncated"])
def test_work_that_was_stopped_is_done_again(tmp_path: Path, damage: str) -> None:
    faces = some_faces(5, 8, 8)
    prepare_faces(faces, LABELS, tmp_path, action_units=UNITS)
    if damage == "truncated":
        (tmp_path / "frames.npy").write_bytes((tmp_path / "frames.npy").read_bytes()[:-1])
    else:
        (tmp_path / "meta.json").unlink()
    if damage == "killed in parts":
        (tmp_path / "frames.npy").unlink()
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "faces.frames.part").write_bytes(b"some")
    prepare_faces(faces, LABELS, tmp_path, action_units=UNITS)
    prepared = open_prepared(tmp_path)
    prepared.check()
    np.testing.assert_array_equal(prepared.frames, as_stored(faces, GRAY))
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": LABELS[:4]}, r"labels: expected whole numbers \[5\] or \[5, A\]"),
        ({"labels": LABELS.astype(float)}, "labels: expected whole numbers"),
        ({"labels": LABELS * 2}, r"labels: expected 0, 1 and -1 for unknown, got -2 \.\. 2"),
        ({"labels": np.full(5, 255, np.uint8)}, r"got 255 \.\. 255"),
        ({"labels": LABELS[:, :1]}, "labels: expected a column for each action unit, 6, 12, got 1"),
        ({"labels": None}, "labels: expected them for 5 faces, got none"),
        ({"action_units": (12, 6)}, "action_units: expected ascending"),
        ({"action_units": (6, 99)}, "action_units: expected different numbers of 1, 2"),
        ({"subjects": ["a"] * 4}, r"subjects: expected texts or whole numbers \[5\]"),
        ({"subjects": ["a"] * 4 + [""]}, "subjects: expected a name for each face, got none at 4"),
        ({"input_side": 64}, "size: expected 96 or 224, got 64"),
        ({"faces": np.zeros((0, 4, 4), np.uint8)}, "faces: expected at least one"),
    ],
)
def test_bad_arguments_leave_no_folder(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    given = {
        "faces": some_faces(5, 8, 8),
        "labels": LABELS,
        "out": tmp_path / "out",
        "action_units": UNITS,
    }
    with pytest.raises(InputError, match=message):
        prepare_faces(**{**given, **change})
    assert not (tmp_path / "out").exists()


def test_an_npz_file_is_read(tmp_path: Path) -> None:
    path, faces = tmp_path / "faces.npz", some_faces(5, 8, 9, 3)
    np.savez(path, images=faces, labels=LABELS.astype(np.int64), subjects=np.arange(5))
    found = read_faces(path)
    np.testing.assert_array_equal(found.faces, faces)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.int8
    assert found.subjects == ("0", "1", "2", "3", "4")
    np.savez_compressed(path, images=faces)
    assert read_faces(path)[1:] == (None, None)


def test_an_npy_file_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", some_faces(5, 8, 9))
    faces, labels, subjects = read_faces(tmp_path / "faces.npy")
    np.testing.assert_array_equal(faces, some_faces(5, 8, 9))
    assert labels is None
    assert subjects is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"faces": some_faces(1, 2, 2)}, "expected an array images, got faces"),
        ({"images": np.zeros((1, 2, 2))}, "expected uint8"),
        ({"images": some_faces(1, 2, 2), "labels": np.zeros(2, int)}, "labels: expected whole"),
        ({"images": some_faces(1, 2, 2), "subjects": np.array([b"a"])}, "subjects: expected texts"),
        ({"images": np.array([{}], dtype=object)}, "cannot be read: Object arrays"),
    ],
)
def test_a_file_of_other_arrays_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    path = tmp_path / "faces.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_faces(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["faces.npz", "faces.npy"])
def test_damaged_files_are_told(tmp_path: Path, name: str) -> None:
    path, faces = tmp_path / name, some_faces(6, 8, 8)
    if name.endswith("npz"):
        np.savez_compressed(path, images=faces)
    else:
        np.save(path, faces)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="faces: "):
            read_faces(path)
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), 100).tolist():
        changed = bytearray(whole)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            read_faces(path)  # pixels of an npy file, or the age in an npz file
        except InputError:
            continue
    path.write_text(json.dumps({}))
    with pytest.raises(InputError, match="cannot be read"):
        read_faces(path)
    with pytest.raises(InputError, match="there is no file"):
        read_faces(tmp_path / "other.npz")


def test_a_picture_is_like_one_resized_by_hand() -> None:
    face = some_faces(1, 50, 70)
    expected = cv2.resize(face[0], (96, 96), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(as_stored(face, GRAY)[0, 7:-7, 7:-7], expected)
