"""The transform to the mean face, and that pictures are moved as points are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.aligned import aligned_face
from fastcaps.training.faces.landmarks import (
    ALIGNMENT_POINTS,
    COUNT,
    MEAN_FACE,
    MIRRORED,
    from_66_points,
    mean_face,
)
from fastcaps.training.faces.similarity import apply, crop, fit, scale_of

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.1, 5)
angles = st.floats(-np.pi, np.pi)
shifts = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> NDArray[np.float32]:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]], dtype=np.float32)


def inverse(transform: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.linalg.inv(np.vstack([transform, (0, 0, 1)]))[:2].astype(np.float32)


def random_points(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 100, (COUNT, 2)).astype(np.float32)


def error(points: NDArray[np.float32]) -> float:
    """Sum of squares over the alignment points."""
    return float(((points - MEAN_FACE)[ALIGNMENT_POINTS] ** 2).sum())


@given(scales, angles, shifts)
def test_a_similarity_transform_is_recovered(
    scale: float, angle: float, shift: tuple[float, float]
) -> None:
    wanted = similarity(scale, angle, shift)
    found = fit(MEAN_FACE, apply(wanted, MEAN_FACE))
    assert found.dtype == np.float32
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[:, :2], wanted[:, :2], atol=1e-5 * max(1, scale))
    np.testing.assert_allclose(found[:, 2], wanted[:, 2], atol=1e-3)
    assert scale_of(found) == pytest.approx(scale, rel=1e-4)


@given(seeds, scales, angles, shifts)
def test_the_aligned_face_does_not_depend_on_where_the_face_was(
    seed: int, scale: float, angle: float, shift: tuple[float, float]
) -> None:
    face = MEAN_FACE + random_points(seed) / 10
    moved = apply(similarity(scale, angle, shift), face)
    aligned = apply(fit(face, MEAN_FACE), face)
    np.testing.assert_allclose(apply(fit(moved, MEAN_FACE), moved), aligned, atol=0.01)


@given(seeds, st.floats(0.97, 1.03), st.floats(-0.03, 0.03), shifts)
def test_no_other_similarity_transform_is_closer(
    seed: int, scale: float, angle: float, shift: tuple[float, float]
) -> None:
    points = random_points(seed)
    aligned = apply(fit(points, MEAN_FACE), points)
    other = apply(similarity(scale, angle, (shift[0] / 100, shift[1] / 100)), aligned)
    assert error(aligned) <= error(other) * (1 + 1e-5)


@given(seeds)
def test_a_face_is_never_reflected(seed: int) -> None:
    reflected = MEAN_FACE * (-1, 1) + random_points(seed) / 50
    transform = fit(reflected.astype(np.float32), MEAN_FACE)
    assert np.linalg.det(transform[:, :2]) > 0
    assert transform[0, 0] == transform[1, 1]
    assert transform[0, 1] == -transform[1, 0]


def test_a_mirrored_picture_with_its_landmarks_renamed_is_aligned() -> None:
    mirrored = (MEAN_FACE * (-1, 1) + (300, 0)).astype(np.float32)[MIRRORED]
    transform = fit(mirrored, MEAN_FACE)
    np.testing.assert_allclose(apply(transform, mirrored), MEAN_FACE, atol=0.15)


def test_the_jaw_does_not_count() -> None:
    turned = MEAN_FACE.copy()
    turned[:17] += 30
    np.testing.assert_allclose(fit(turned, MEAN_FACE), np.eye(2, 3), atol=1e-5)


@given(st.sets(st.sampled_from(list(ALIGNMENT_POINTS)), max_size=49), angles)
def test_unknown_points_do_not_count(unknown: set[int], angle: float) -> None:
    wanted = similarity(2.0, angle, (10, 20))
    face = apply(inverse(wanted), MEAN_FACE)
    face[list(unknown)] = np.nan
    np.testing.assert_allclose(fit(face, MEAN_FACE), wanted, atol=0.02)


def test_a_point_with_one_unknown_coordinate_does_not_count() -> None:
    face = MEAN_FACE.copy()
    face[30] = (np.nan, 1000)
    np.testing.assert_allclose(fit(face, MEAN_FACE), np.eye(2, 3), atol=1e-5)


def test_disfas_66_points_are_aligned() -> None:
    face = from_66_points(np.delete(MEAN_FACE, (60, 64), axis=0) * 3)
    np.testing.assert_allclose(fit(face, MEAN_FACE)[:, :2], np.eye(2) / 3, atol=1e-6)


@pytest.mark.parametrize("known", [0, 1])
def test_too_few_points_are_refused(known: int) -> None:
    face = np.full((COUNT, 2), np.nan, dtype=np.float32)
    face[:17] = MEAN_FACE[:17]
    face[40 : 40 + known] = 1
    with pytest.raises(ValueError, match="two different points"):
        fit(face, MEAN_FACE)


def test_equal_points_are_refused() -> None:
    with pytest.raises(ValueError, match="two different points"):
        fit(np.full((COUNT, 2), 7, dtype=np.float32), MEAN_FACE)


def picture_of_blobs(
    points: NDArray[np.float32], radius: float, height: int, width: int
) -> NDArray[np.uint8]:
    """A white Gaussian blob on black at each point."""
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width))
    for px, py in points:
        picture = np.maximum(picture, np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)))
    return (picture * 255).round().astype(np.uint8)


def centroid(picture: NDArray[np.uint8], near: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the brightness within eight pixels of a point."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    weight = picture * ((x - near[0]) ** 2 + (y - near[1]) ** 2 < 64.0)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@settings(deadline=None, max_examples=25)
@given(
    scale=st.floats(0.07, 4),
    angle=st.floats(-0.6, 0.6),
    shift=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    odd=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    colour=st.booleans(),
)
def test_what_a_picture_shows_goes_where_the_points_go(
    scale: float,
    angle: float,
    shift: tuple[float, float],
    odd: tuple[int, int],
    colour: bool,
) -> None:
    side = 110
    wanted = np.array([(25, 30), (80, 28), (54, 85)], dtype=np.float32) + np.float32(shift)
    about_the_middle = similarity(scale, angle, (0, 0))
    height, width = (int(side * 1.3 / scale) + extra for extra in odd)
    middle = apply(about_the_middle, np.array([[width, height]], dtype=np.float32) / 2)[0]
    about_the_middle[:, 2] = side / 2 - middle
    points = apply(inverse(about_the_middle), wanted)
    picture = picture_of_blobs(points, 2 / scale, height, width)
    if colour:
        picture = np.stack([picture, picture // 2, 255 - picture], axis=2)
    moved = crop(picture, about_the_middle, side)
    assert moved.shape == (side, side, *picture.shape[2:])
    assert moved.dtype == np.uint8
    channels = [moved[..., 0], moved[..., 1], 255 - moved[..., 2]] if colour else [moved]
    for channel in channels:
        for point in wanted:
            assert np.hypot(*(centroid(channel, point) - point)) < 0.2


@pytest.mark.parametrize("input_side", [96, 224])
def test_landmarks_drawn_in_a_picture_are_at_the_mean_face_after_the_crop(input_side: int) -> None:
    target = mean_face(input_side)
    face = apply(inverse(similarity(0.3, 0.2, (-20, -30))), target)
    face -= face.min(axis=0) - 40
    transform = fit(face, target)
    height, width = (int(size) + 41 for size in face.max(axis=0)[::-1])
    corners = [36, 45, 8]
    picture = picture_of_blobs(face[corners], 8, height, width)
    moved = crop(picture, transform, {96: 110, 224: 256}[input_side])
    for point in target[corners]:
        assert np.hypot(*(centroid(moved, point) - point)) < 0.2


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
def test_every_pixel_counts_where_a_picture_is_reduced(scale: float) -> None:
    # One-pixel stripes have to become gray; sampling would show black or white.
    stripes = np.zeros((800, 801), dtype=np.uint8)
    stripes[:, ::2] = 255
    reduced = crop(stripes, similarity(scale, 0.0, (0, 0)), 64)
    np.testing.assert_allclose(reduced[2:-2, 2:-2], 127.5, atol=2)


def test_the_same_picture_comes_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop(picture, similarity(1, 0, (0, 0)), 33), picture)


def test_halving_takes_the_mean_of_four_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    halved = crop(picture, similarity(0.5, 0, (-0.25, -0.25)), 32)
    means = picture.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(halved, means, atol=1)


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_what_lies_outside_repeats_the_edge(scale: float) -> None:
    picture = np.zeros((101, 101), dtype=np.uint8)
    picture[:, 50:] = 200
    moved = crop(picture, similarity(scale, 0.0, (20, 20)), 200)
    assert (moved[:, :20] == 0).all()
    assert (moved[:, 150:] == 200).all()
    assert (moved[0] == moved[60]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (2, 3), (3, 2, 3)])
def test_tiny_pictures(shape: tuple[int, ...]) -> None:
    moved = crop(np.full(shape, 9, dtype=np.uint8), similarity(0.05, 0.0, (0, 0)), 16)
    assert moved.shape == (16, 16, *shape[2:])
    assert (moved == 9).all()


def test_a_view_of_a_picture_is_as_good_as_a_copy() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    view = picture[::-1, 10:, ::-1]
    transform = similarity(0.7, 0.3, (5, 5))
    np.testing.assert_array_equal(crop(view, transform, 48), crop(view.copy(), transform, 48))


def test_the_transform_is_opencvs() -> None:
    # An independent least-squares fit, without its search for outliers.
    points = MEAN_FACE + random_points(3) / 20
    theirs, _ = cv2.estimateAffinePartial2D(
        points[ALIGNMENT_POINTS], MEAN_FACE[ALIGNMENT_POINTS], ransacReprojThreshold=1000
    )
    np.testing.assert_allclose(fit(points, MEAN_FACE), theirs, atol=1e-3)


@pytest.mark.parametrize("away", [(200, 0), (-200, 0), (0, 1e19)])
def test_landmarks_outside_the_picture_are_told(away: tuple[float, float]) -> None:
    image = np.zeros((100, 100), dtype=np.uint8)
    with pytest.raises(InputError, match="has landmarks outside the picture of 100 x 100 pixels"):
        aligned_face(image, MEAN_FACE + np.array(away, dtype=np.float32), 96, False)
