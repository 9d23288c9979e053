"""The markup: groups, mirror image, mean face, and DISFA's 66 points."""

from __future__ import annotations

import numpy as np
import pytest

from fastcaps.training.faces.landmarks import (
    ALIGNMENT_POINTS,
    COUNT,
    GROUPS,
    MEAN_FACE,
    MIRRORED,
    STORED_SIDES,
    from_66_points,
    mean_face,
)


def test_every_landmark_is_in_one_group() -> None:
    members = [i for group in GROUPS.values() for i in range(COUNT)[group]]
    assert members == list(range(COUNT))


def test_only_the_jaw_is_left_out_of_the_alignment() -> None:
    assert set(range(COUNT)) - set(ALIGNMENT_POINTS) == set(range(COUNT)[GROUPS["jaw"]])


def test_mirroring_twice_changes_nothing() -> None:
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(COUNT))


def test_mirroring_exchanges_the_sides() -> None:
    for right, left in (("right brow", "left brow"), ("right eye", "left eye")):
        assert set(MIRRORED[GROUPS[right]]) == set(range(COUNT)[GROUPS[left]])
    for group in ("jaw", "nose", "outer lips", "inner lips"):
        assert set(MIRRORED[GROUPS[group]]) == set(range(COUNT)[GROUPS[group]])


def test_the_mean_face_is_its_own_mirror_image() -> None:
    mirrored = MEAN_FACE[MIRRORED] * (-1, 1) + (95, 0)
    np.testing.assert_allclose(mirrored, MEAN_FACE, atol=0.11)


def test_the_mean_face_is_a_face() -> None:
    middle = {name: MEAN_FACE[group].mean(axis=0) for name, group in GROUPS.items()}
    assert middle["right eye"][0] < middle["nose"][0] < middle["left eye"][0]
    heights = [middle[name][1] for name in ("right brow", "right eye", "nose", "inner lips")]
    assert heights == sorted(heights)
    assert MEAN_FACE[8, 1] == MEAN_FACE[:, 1].max(), "the chin is lowest"
    assert MEAN_FACE.min() > 0
    assert MEAN_FACE.max() < 95


@pytest.mark.parametrize("input_side", STORED_SIDES)
def test_the_mean_face_is_in_the_middle_of_the_stored_crop(input_side: int) -> None:
    # Edges of pixels: 0 .. 96 of the mean face's picture become the input's part of the crop.
    stored = STORED_SIDES[input_side]
    first = (stored - input_side) / 2
    parts = (mean_face(input_side) + 0.5 - first) / input_side
    np.testing.assert_allclose(parts, (MEAN_FACE + 0.5) / 96, atol=1e-6)
    assert mean_face(input_side).dtype == np.float32


def test_66_points_lack_the_inner_corners_of_the_mouth() -> None:
    points = np.delete(MEAN_FACE, (60, 64), axis=0)
    landmarks = from_66_points(points)
    assert np.isnan(landmarks[[60, 64]]).all()
    known = np.isfinite(landmarks).all(axis=1)
    np.testing.assert_array_equal(landmarks[known], MEAN_FACE[known])
    assert known.sum() == 66


def test_another_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match=r"66|shape"):
        from_66_points(MEAN_FACE)
