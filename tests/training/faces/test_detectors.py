"""Which face is meant, and making detectors by name."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Face, choose_face, make_detector
from fastcaps.training.faces.landmarks import MEAN_FACE


def face(x: float, y: float, width: float, height: float | None = None) -> Face:
    """A face about x, y."""
    tall = width if height is None else height
    return Face((x - width / 2, y - tall / 2, x + width / 2, y + tall / 2), MEAN_FACE)


def test_centre_and_area_of_a_face() -> None:
    one = Face((10, 20, 30, 60), MEAN_FACE)
    np.testing.assert_array_equal(one.centre, (20, 40))
    assert one.area == 20 * 40


@pytest.mark.parametrize("previous", [None, face(0, 0, 10)])
def test_no_face_is_chosen_from_none(previous: Face | None) -> None:
    assert choose_face([], previous) is None


def test_the_largest_is_chosen_at_first() -> None:
    faces = [face(0, 0, 50), face(100, 0, 60, 45), face(50, 0, 51)]
    assert choose_face(faces, None) is faces[1]


def test_the_nearest_to_the_previous_one_is_chosen_then() -> None:
    faces = [face(0, 0, 90), face(100, 0, 50), face(200, 0, 70)]
    for chosen in faces:
        x, y = chosen.centre
        assert choose_face(faces, face(float(x) + 30, float(y) - 20, 20)) is chosen


def test_distance_counts_in_both_directions() -> None:
    faces = [face(30, 0, 50), face(0, 31, 50), face(22, 22, 50)]
    assert choose_face(faces, face(0, 0, 50)) is faces[0]


def test_a_small_face_is_left_when_the_large_one_is_back() -> None:
    subject, poster = face(0, 0, 100), face(200, 0, 40)
    assert choose_face([poster], subject) is poster
    assert choose_face([poster, subject], poster) is subject


def test_a_face_half_as_wide_is_still_followed() -> None:
    faces = [face(0, 0, 100), face(200, 0, 50)]
    assert choose_face(faces, face(190, 0, 60)) is faces[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "haar"}, "detector: expected dlib or face-alignment, got haar"),
        ({"name": "dlib", "device": "cuda"}, "device: expected auto or cpu for dlib"),
        ({"name": "dlib", "face_detector": "sfd"}, "face_detector: expected hog or cnn"),
        ({"name": "face-alignment", "batch": 0}, "batch: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_made_is_said(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_detector(**options)


def test_another_face_detector_of_face_alignment_is_refused() -> None:
    with pytest.raises(InputError, match=r"face_detector: expected sfd or blazeface .*, got hog"):
        make_detector("face-alignment", face_detector="hog")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(InputError, match="torch finds no CUDA GPU"):
        make_detector("face-alignment", device="cuda")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("dlib", "dlib", r"fastcaps\[dlib\]"),
        ("face-alignment", "face_alignment.api", r"fastcaps\[face-alignment\]"),
    ],
)
def test_a_missing_package_is_said(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=extra):
        make_detector(name)
