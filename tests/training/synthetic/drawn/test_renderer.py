"""Drawn faces: landmarks, what each action unit changes, pose, repeatability."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.faces.landmarks import MEAN_FACE, MIRRORED
from fastcaps.training.faces.similarity import apply, fit
from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.people import Person, Picture, Pose, State, draw_person

UNITS = list(ACTION_UNITS)
RENDERER = DrawnRenderer()
SIDE = 96
PLAIN = Person(
    identity=np.zeros(100, np.float32),
    skin_tone=0.2,
    iris=0.2,
    brow=1.0,
    lip=0.8,
    detail=3,
    strength=np.ones((17, 2), np.float32),
)


def state(*units: int, intensity: float = 5.0, **options: Any) -> State:
    intensities = np.zeros((17, 2), np.float32)
    intensities[[UNITS.index(unit) for unit in units]] = intensity
    return State(intensities=intensities, **options)


def render(person: Person = PLAIN, of: State | None = None, side: int = SIDE) -> Picture:
    return RENDERER.render(person, state() if of is None else of, side)


def moves(*units: int, person: Person = PLAIN) -> np.ndarray:
    """Displacement of each landmark [68, 2] in eye distances."""
    rest = render(person).landmarks
    moved = render(person, state(*units)).landmarks
    return (moved - rest) / np.hypot(*(rest[45] - rest[36]))


def test_the_neutral_face_is_the_mean_face() -> None:
    landmarks = render().landmarks
    assert landmarks.dtype == np.float32
    assert landmarks.shape == (68, 2)
    placed = apply(fit(landmarks, MEAN_FACE), landmarks)
    np.testing.assert_allclose(placed, MEAN_FACE, atol=1e-3)
    assert np.ptp(landmarks[:, 0]) == pytest.approx(0.58 * SIDE, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-25, 25),
    st.floats(-12, 12),
    st.floats(-10, 10),
    st.floats(-0.1, 0.1),
    st.integers(4, 100),
)
def test_a_mirrored_state_has_mirrored_landmarks(
    seed: int, yaw: float, pitch: float, roll: float, right: float, side: int
) -> None:
    random = np.random.default_rng(seed)
    person = replace(draw_person(random), strength=np.ones((17, 2), np.float32))
    intensities = random.uniform(0, 5, (17, 2)).astype(np.float32)
    one = State(intensities, Pose(yaw, pitch, roll), offset=(right, 0.02), zoom=1.1)
    other = State(
        intensities[:, ::-1].copy(), Pose(-yaw, pitch, -roll), offset=(-right, 0.02), zoom=1.1
    )
    landmarks = render(person, one, side).landmarks
    mirrored = render(person, other, side).landmarks[MIRRORED]
    mirrored[:, 0] = side - 1 - mirrored[:, 0]
    np.testing.assert_allclose(landmarks, mirrored, atol=1e-3)


def test_landmarks_follow_head_and_camera() -> None:
    rest = render().landmarks
    nose, eyes = rest[30], rest[[36, 45]].mean(axis=0)

    def nose_from_eyes(**options: Any) -> np.ndarray:
        landmarks = render(of=state(**options)).landmarks
        return landmarks[30] - landmarks[[36, 45]].mean(axis=0) - (nose - eyes)

    assert nose_from_eyes(pose=Pose(yaw=15))[0] > 2
    assert nose_from_eyes(pose=Pose(pitch=10))[1] < -1
    turned = render(of=state(pose=Pose(roll=10))).landmarks
    angle = np.degrees(np.arctan2(*(turned[45] - turned[36])[::-1]))
    assert angle == pytest.approx(10, abs=0.1)
    shifted = render(of=state(offset=(0.1, -0.05))).landmarks
    np.testing.assert_allclose(shifted - rest, [[9.6, -4.8]] * 68, atol=1e-3)
    larger = render(of=state(zoom=1.2)).landmarks
    np.testing.assert_allclose(np.ptp(larger, axis=0), 1.2 * np.ptp(rest, axis=0), rtol=1e-4)


def test_landmarks_scale_with_the_picture() -> None:
    small, large = render(side=50).landmarks, render(side=150).landmarks
    np.testing.assert_allclose((small + 0.5) * 3, large + 0.5, atol=1e-3)


def test_action_units_move_landmarks_as_facs_says() -> None:
    x, y = 0, 1
    inner, outer, left_corner, chin = [21, 22], [17, 26], 54, 8
    assert moves(1)[inner, y].mean() < -0.1 < moves(1)[outer, y].mean()
    assert moves(2)[outer, y].mean() < -0.1 < moves(2)[inner, y].mean()
    assert moves(4)[inner, y].min() > 0.04
    assert moves(4)[21, x] > 0.03 > -0.03 > moves(4)[22, x]
    assert moves(5)[[37, 38, 43, 44], y].max() < -0.03
    assert moves(7)[[40, 41, 46, 47], y].max() < -0.01 < moves(7)[[37, 38, 43, 44], y].min()
    assert moves(9)[[31, 35], y].max() < -0.03
    assert moves(10)[[50, 51, 52], y].max() < -0.05
    assert moves(12)[left_corner, x] > 0.05 > -0.05 > moves(12)[left_corner, y]
    assert moves(14)[left_corner, x] > 0.02
    assert moves(15)[left_corner, y] > 0.05
    assert max(moves(17)[chin, y], moves(17)[57, y]) < -0.03
    assert moves(20)[left_corner, x] > 0.1 > abs(moves(20)[left_corner, y])
    assert moves(23)[left_corner, x] < -0.04
    for unit in (23, 24):
        assert moves(unit)[51, y] > 0.01 > -0.01 > moves(unit)[57, y]
    assert moves(25)[66, y] - moves(25)[62, y] > 0.08 > moves(25)[chin, y]
    assert moves(26)[chin, y] > 0.15 < moves(26)[66, y]


@pytest.mark.parametrize("unit", UNITS)
def test_an_action_unit_of_one_side_leaves_the_other(unit: int) -> None:
    one_sided = np.zeros((17, 2), np.float32)
    one_sided[UNITS.index(unit), 0] = 5  # the person's left, on the right of the picture
    landmarks = render(of=State(one_sided)).landmarks - render().landmarks
    middle = np.arange(68) == MIRRORED
    right = (MEAN_FACE[:, 0] < MEAN_FACE[30, 0]) & ~middle
    # Lips that would cross are moved apart on both sides.
    assert np.abs(landmarks[right]).max() < 0.5
    assert np.abs(landmarks[~right & ~middle]).max() > 0.8


REGIONS = {
    1: (0.0, 1.2), 2: (0.0, 1.2), 4: (0.6, 1.9), 5: (1.4, 2.4), 6: (0.8, 2.9), 7: (1.4, 2.6),
    9: (0.8, 4.2), 10: (2.4, 4.3), 12: (1.8, 4.6), 14: (3.0, 4.6), 15: (3.0, 4.9), 17: (3.2, 5.2),
    20: (2.9, 4.7), 23: (2.9, 4.7), 24: (2.9, 4.7), 25: (3.0, 4.8), 26: (3.0, 5.5),
}  # fmt: skip
"""Rows that change; 1 is where the brows are, 2 the eyes, 3 the nostrils, 4 the mouth, 5 the chin;
0 is as far above the brows as the eyes below."""


def gray(picture: Picture) -> np.ndarray:
    return picture.image.astype(np.float64).mean(axis=2)


def change(unit: int, person: Person = PLAIN) -> np.ndarray:
    return gray(render(person, state(unit))) - gray(render(person))


@pytest.mark.parametrize("unit", UNITS)
def test_each_action_unit_changes_its_part_of_the_face(unit: int) -> None:
    rows = [render().landmarks[list(p), 1].mean() for p in ((19, 24), (37, 41), (33,), (62,), (8,))]
    scale = [2 * rows[0] - rows[1] - 6, *rows, SIDE]
    first, last = np.interp(REGIONS[unit], range(7), scale)
    energy = np.square(change(unit)).sum(axis=1)
    inside = (np.arange(SIDE) >= first) & (np.arange(SIDE) <= last)
    assert energy[inside].sum() > 0.85 * energy.sum()


def test_each_action_unit_can_be_seen_and_told_from_the_others() -> None:
    for person in (PLAIN, *map(draw_person, map(np.random.default_rng, range(2)))):
        changes = np.stack([change(unit, person).ravel() for unit in UNITS])
        strengths = np.sqrt(np.square(changes).mean(axis=1))
        assert strengths.min() > 0.8, strengths.round(2)
        directions = changes / np.linalg.norm(changes, axis=1, keepdims=True)
        alike = directions @ directions.T - np.eye(17)
        pair = np.unravel_index(alike.argmax(), alike.shape)
        assert alike.max() < 0.85, (UNITS[pair[0]], UNITS[pair[1]])


@pytest.mark.parametrize("unit", UNITS)
def test_an_action_unit_shows_more_with_intensity(unit: int) -> None:
    rest = gray(render())
    changes = [
        np.abs(gray(render(of=state(unit, intensity=i))) - rest).mean() for i in (1, 2, 3, 4, 5)
    ]
    assert changes[0] > 0.02
    assert (np.diff(changes) > 0).all()


@pytest.mark.parametrize("pose", [Pose(), Pose(12, -6, 8), Pose(-12, 6, -8)])
def test_landmarks_lie_where_things_are_drawn(pose: Pose) -> None:
    picture = render(of=state(pose=pose, contrast=0.2, light=(0, 0), background=5), side=256)
    points, image = picture.landmarks, picture.image.astype(np.float64)

    def colour(point: np.ndarray) -> np.ndarray:
        x, y = np.rint(point).astype(int)
        return image[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))

    skin = colour((points[29] + 2 * points[[41, 46]].mean(axis=0)) / 3)
    redness = [colour(p) @ (1, -0.5, -0.5) for p in ((points[51] + points[62]) / 2, points[29])]
    assert redness[0] > redness[1] + 15
    for brow in (*range(18, 21), *range(23, 26)):
        assert colour(points[brow]).mean() < 0.5 * skin.mean()
        assert colour(points[brow] - (0, 12)).mean() > 0.7 * skin.mean()
    for eye in (slice(36, 42), slice(42, 48)):
        assert colour(points[eye].mean(axis=0)).mean() < 0.6 * skin.mean()  # the pupil
        assert colour(points[eye][1:3].mean(axis=0)).mean() < 0.75 * skin.mean()  # lashes
    middle = points[[27, 8]].mean(axis=0)
    for jaw in range(5, 12):
        outwards = (points[jaw] - middle) / np.hypot(*(points[jaw] - middle))
        inside, outside = (colour(points[jaw] + by * outwards) for by in (-5, 5))
        assert np.abs(inside - outside).sum() > 15


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_lids_and_lips_never_cross(seed: int, blink: float) -> None:
    random = np.random.default_rng(seed)
    intensities = random.uniform(0, 5, (17, 2)) * (random.uniform(size=(17, 1)) < 0.5)
    acting = State(intensities.astype(np.float32), blink=blink)
    points = render(draw_person(random), acting).landmarks
    above = [37, 38, 43, 44, 61, 62, 63, 50, 51, 52, 67, 66, 65]
    below = [41, 40, 47, 46, 67, 66, 65, 61, 62, 63, 58, 57, 56]
    assert (points[above, 1] <= points[below, 1] + 1e-3).all()


def test_a_blink_closes_the_eyes() -> None:
    points = render(of=state(blink=1.0)).landmarks
    np.testing.assert_allclose(points[[37, 38, 43, 44], 1], points[[41, 40, 47, 46], 1], atol=1e-3)


def test_the_same_arguments_give_the_same_bytes_and_others_do_not() -> None:
    person = draw_person(np.random.default_rng(1))
    acting = state(12, intensity=2.0)
    picture = render(person, acting)
    assert picture.image.dtype == np.uint8
    assert picture.image.shape == (SIDE, SIDE, 3)
    again = DrawnRenderer().render(person, acting, SIDE)
    assert again.image.tobytes() == picture.image.tobytes()
    assert again.landmarks.tobytes() == picture.landmarks.tobytes()
    people = [
        replace(person, **{name: 1.0 - getattr(person, name)})
        for name in ("skin_tone", "iris", "brow", "lip")
    ]
    people += [replace(person, detail=1), draw_person(np.random.default_rng(2))]
    states = [
        replace(acting, gaze=(20.0, 0.0)),
        replace(acting, light=(-40.0, 30.0)),
        replace(acting, contrast=0.2),
        replace(acting, brightness=0.8),
        replace(acting, background=9),
        replace(acting, blink=0.7),
    ]
    others = [render(p, acting) for p in people] + [render(person, s) for s in states]
    images = [picture.image.tobytes(), *(other.image.tobytes() for other in others)]
    assert all(a != b for a, b in itertools.combinations(images, 2))


def test_light_comes_from_its_side() -> None:
    left, right = (
        gray(render(of=state(light=(azimuth, 0.0), contrast=0.8)))[40:60, 25:70]
        for azimuth in (60.0, -60.0)
    )
    assert left[:, 30:].mean() > right[:, 30:].mean() + 20
    assert right[:, :15].mean() > left[:, :15].mean() + 20


def test_people_have_different_faces() -> None:
    faces = [render(draw_person(np.random.default_rng(i))).landmarks for i in range(20)]
    residuals = [apply(fit(face, MEAN_FACE), face) - MEAN_FACE for face in faces]
    assert 0.5 < np.std(residuals, axis=0).mean() < 2.0


@pytest.mark.parametrize("side", [1, 2, 7, 33, 129])
def test_any_size_is_drawn(side: int) -> None:
    picture = render(side=side)
    assert picture.image.shape == (side, side, 3)
    assert np.isfinite(picture.landmarks).all()


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^side: expected at least 1, got 0"):
        render(side=0)
