"""Pictures from the ICT face rig: landmarks where the skin is, action units, pose, light."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("embreex", reason="needs the extra rig")

from scipy.spatial.transform import Rotation

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import MEAN_FACE, MIRRORED
from fastcaps.training.faces.similarity import apply, fit
from fastcaps.training.synthetic.people import Person, Picture, Pose, State, draw_person
from fastcaps.training.synthetic.rigged import renderer as rig_renderer
from fastcaps.training.synthetic.rigged.expressions import expression_weights
from fastcaps.training.synthetic.rigged.mesh import Camera, cast
from fastcaps.training.synthetic.rigged.renderer import RigRenderer
from fastcaps.training.synthetic.rigged.rig import load_rig
from fastcaps.training.synthetic.rigged.skin_map import map_places
from tests.training.synthetic.rigged.rigs import ICT

pytestmark = pytest.mark.skipif(not ICT.exists(), reason="needs the ICT face rig, ../shared/data")

UNITS = list(ACTION_UNITS)
SIDE = 96
PLAIN = Person(
    identity=np.zeros(100, np.float32),
    skin_tone=0.3,
    iris=0.8,
    brow=0.7,
    lip=0.6,
    detail=3,
    strength=np.ones((17, 2), np.float32),
)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


@pytest.fixture(scope="module")
def renderer() -> RigRenderer:
    return RigRenderer(load_rig(ICT))


def state(*units: int, intensity: Any = 5.0, **options: Any) -> State:
    intensities = np.zeros((17, 2), np.float32)
    intensities[[UNITS.index(unit) for unit in units]] = intensity
    return State(intensities=intensities, **options)


def people(count: int, seed: int = 11) -> list[Person]:
    random = np.random.default_rng(seed)
    return [draw_person(random) for _ in range(count)]


def same(one: Picture, other: Picture) -> bool:
    return one.image.tobytes() == other.image.tobytes() and bool(
        (one.landmarks == other.landmarks).all()
    )


def grey(picture: Picture) -> np.ndarray:
    return picture.image.mean(axis=2)


def test_the_same_arguments_give_the_same_bytes(renderer: RigRenderer) -> None:
    first, second = people(2)
    moving = state(4, 12, pose=Pose(10, -5, 3), gaze=(5, 5), background=9)
    before = renderer.render(first, moving, SIDE)
    renderer.render(second, state(26), 40)
    assert same(renderer.render(first, moving, SIDE), before)
    assert same(RigRenderer(load_rig(ICT)).render(first, moving, SIDE), before)
    assert not same(renderer.render(second, moving, SIDE), before)


@pytest.mark.parametrize("side", [33, 96, 130])
def test_pictures_have_the_size_asked_for(renderer: RigRenderer, side: int) -> None:
    picture = renderer.render(PLAIN, state(), side)
    assert picture.image.shape == (side, side, 3)
    assert picture.image.dtype == np.uint8
    assert picture.landmarks.shape == (68, 2)
    assert picture.landmarks.dtype == np.float32


def test_the_face_fits_the_picture(renderer: RigRenderer) -> None:
    for person in people(6):
        picture = renderer.render(person, state(26, background=1), SIDE)
        part = picture.landmarks / SIDE
        assert 0.5 < np.ptp(part[:, 0]) < 0.62
        assert 0.15 < part[:, 0].min() < part[:, 0].max() < 0.85
        assert 0.25 < part[:, 1].min() < part[:, 1].max() < 0.99
        other = renderer.render(person, state(26, background=2), SIDE)
        background = (picture.image != other.image).any(axis=2)
        assert background[0].all()
        assert not background[SIDE // 10].all()


def test_the_mean_face_at_rest_has_the_mean_landmarks(renderer: RigRenderer) -> None:
    landmarks = renderer.render(PLAIN, state(), SIDE).landmarks
    placed = apply(fit(landmarks, MEAN_FACE), landmarks)
    # The mean face is a parallel view, and the camera of pictures stands before the nose.
    assert np.abs(placed - MEAN_FACE)[17:].max() < 1.5
    mirrored = landmarks[MIRRORED] * (-1, 1) + (SIDE - 1, 0)
    np.testing.assert_allclose(mirrored, landmarks, atol=0.05)


def test_landmarks_are_projections_of_the_rig(renderer: RigRenderer) -> None:
    """Against a computation of its own, from the rig's arrays."""
    rig = load_rig(ICT)
    moving = state(2, 12, 26, pose=Pose(20, -10, 15), zoom=1.2, offset=(0.05, -0.1))
    points = rig.neutral[rig.landmarks].astype(np.float64)
    for name, weight in expression_weights(PLAIN, moving).items():
        points += weight * rig.expression[rig.expression_names.index(name), rig.landmarks]
    pivot = np.array([0, 0, -1.0])
    turn = Rotation.from_euler("YXZ", [20, 10, -15], degrees=True)
    x, y, z = (turn.apply(points - pivot) + pivot).T
    focal = 1.2 * SIDE * 70 / 26.5
    expected = np.column_stack([focal * x / (75 - z), -focal * (y - 2.4) / (75 - z)])
    expected += (SIDE - 1) / 2 + SIDE * np.array([0.05, -0.1])
    found = renderer.render(PLAIN, moving, SIDE).landmarks
    # The outermost points of the jaw lie in the hair, which stands off the rig.
    np.testing.assert_allclose(found[1:16], expected[1:16], atol=5e-3)
    np.testing.assert_allclose(found[17:], expected[17:], atol=5e-3)


@pytest.mark.parametrize("landmark", [8, 19, 24, 33, 51, 57])
@pytest.mark.parametrize("yaw", [0.0, 25.0])
def test_what_is_painted_at_a_landmark_is_seen_there(
    renderer: RigRenderer, monkeypatch: pytest.MonkeyPatch, landmark: int, yaw: float
) -> None:
    head = renderer.head
    column, row = map_places(head.neutral[head.landmarks[[landmark]]])[0]
    rows, columns = np.mgrid[: len(renderer.wrinkle_maps[0]) * 2, : 2 * 256]
    spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.0**2))
    original = rig_renderer.paint

    def paint(*arguments: Any) -> Any:
        skin = np.zeros((*spot.shape, 4), np.float32)
        skin[..., :3] = 0.5 * spot[..., None]
        return replace(original(*arguments), skin=skin, hair_depth=0.0)

    monkeypatch.setattr(rig_renderer, "paint", paint)
    monkeypatch.setattr(renderer, "sitter", None)
    monkeypatch.setattr(rig_renderer, "background", lambda _, side: np.zeros((side, side, 3)))
    side = 224
    moving = state(12, pose=Pose(yaw, 0, 0), contrast=0.0, light=(0, 0))
    picture = renderer.render(replace(PLAIN, detail=77), moving, side)
    x, y = picture.landmarks[landmark]
    rows, columns = np.mgrid[:side, :side]
    near = np.hypot(columns - x, rows - y) < 5
    light = near * (grey(picture) / 255) ** 2.2
    centre = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
    # The skin is bent, its light uneven: a centre is not exact.
    assert np.hypot(*(centre - (x, y))) < 0.5
    monkeypatch.setattr(renderer, "sitter", None)


def test_rays_meet_the_triangles_of_a_landmark(renderer: RigRenderer) -> None:
    head = renderer.head
    moving = state(10, 26, pose=Pose(12, 5, -8))
    vertices = head.pose(head.neutral, expression_weights(PLAIN, moving), moving)
    camera = Camera.of(moving, SIDE)
    projected = camera.project(vertices)
    # In the middle of triangles around the landmarks, so that rounding chooses no neighbour.
    around = np.isin(head.triangles, head.landmarks[17:]).any(axis=1)
    triangles = head.triangles[around]
    middles = projected[triangles].mean(axis=1)
    hits = cast(vertices, head.triangles, camera.position, camera.directions(middles))
    front = np.flatnonzero(np.flatnonzero(around)[hits.sample] == hits.triangle)
    assert len(front) > 0.6 * len(triangles)
    met = np.einsum("kc,kcx->kx", hits.weights, vertices[head.triangles[hits.triangle]])
    np.testing.assert_allclose(camera.project(met), middles[hits.sample], atol=1e-2)
    np.testing.assert_allclose(hits.weights[front], 1 / 3, atol=5e-3)


def test_a_shift_by_whole_pixels_shifts_the_head_only(renderer: RigRenderer) -> None:
    here = renderer.render(PLAIN, state(), SIDE)
    there = renderer.render(PLAIN, state(offset=(3 / SIDE, -2 / SIDE)), SIDE)
    np.testing.assert_allclose(there.landmarks - here.landmarks, [[3, -2]] * 68, atol=1e-4)
    left, top = here.landmarks[17:].min(axis=0).astype(int)
    right, bottom = here.landmarks[17:].max(axis=0).astype(int)
    moved = there.image[top - 2 : bottom - 2, left + 3 : right + 3]
    difference = np.abs(moved.astype(int) - here.image[top:bottom, left:right])
    assert np.mean(difference <= 1) > 0.99


def test_the_background_is_behind_the_head(renderer: RigRenderer) -> None:
    one, other = (renderer.render(PLAIN, state(background=seed), SIDE) for seed in (1, 2))
    differs = (one.image != other.image).any(axis=2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    left, top = one.landmarks[17:48].min(axis=0)
    right, bottom = one.landmarks[17:48].max(axis=0)
    inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
    assert not differs[inside].any()
    assert differs[:, :3].all()
    assert differs[:, -3:].all()
    assert 0.25 < differs.mean() < 0.6


def test_poses_turn_the_face(renderer: RigRenderer) -> None:
    def nose_from_eyes(pose: Pose) -> np.ndarray:
        landmarks = renderer.render(PLAIN, state(pose=pose), SIDE).landmarks
        return landmarks[30] - landmarks[36:48].mean(axis=0)

    rest = nose_from_eyes(Pose())
    assert nose_from_eyes(Pose(yaw=20))[0] > rest[0] + 2
    assert nose_from_eyes(Pose(yaw=-20))[0] < rest[0] - 2
    assert nose_from_eyes(Pose(pitch=15))[1] < rest[1] - 2
    assert nose_from_eyes(Pose(pitch=-15))[1] > rest[1] + 1
    eyes = renderer.render(PLAIN, state(pose=Pose(roll=20)), SIDE).landmarks
    along = eyes[LEFT_EYE].mean(axis=0) - eyes[RIGHT_EYE].mean(axis=0)
    assert np.rad2deg(np.arctan2(along[1], along[0])) == pytest.approx(20, abs=0.5)


def dark_of_eye(picture: Picture, eye: slice) -> np.ndarray:
    """Centre of what is dark between the corners of an eye: the iris."""
    points = picture.landmarks[eye]
    rows, columns = np.mgrid[: len(picture.image), : len(picture.image)]
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    inside = (columns > left + 2) & (columns < right - 2) & (rows > top) & (rows < bottom)
    dark = inside * (grey(picture) < 75)
    return np.array([(dark * columns).sum(), (dark * rows).sum()]) / dark.sum()


def test_the_gaze_turns_the_eyes(renderer: RigRenderer) -> None:
    def irises(gaze: tuple[float, float]) -> np.ndarray:
        picture = renderer.render(PLAIN, state(gaze=gaze, contrast=0.3), 288)
        return np.stack([dark_of_eye(picture, eye) for eye in (RIGHT_EYE, LEFT_EYE)])

    assert (irises((15, 0))[:, 0] > irises((0, 0))[:, 0] + 2).all()
    assert (irises((-15, 0))[:, 0] < irises((0, 0))[:, 0] - 2).all()
    assert (irises((0, 12))[:, 1] < irises((0, -12))[:, 1] - 2).all()


def opening(landmarks: np.ndarray, upper: list[int], lower: list[int]) -> float:
    """Between landmarks, in eye distances."""
    width = np.hypot(*(landmarks[45] - landmarks[36]))
    return float((landmarks[lower, 1] - landmarks[upper, 1]).mean() / width)


def eye_opening(picture: Picture) -> float:
    return opening(picture.landmarks, [37, 38, 43, 44], [41, 40, 47, 46])


def lip_opening(picture: Picture) -> float:
    return opening(picture.landmarks, [61, 62, 63], [67, 66, 65])


def test_a_blink_closes_the_eyes_whatever_the_face_does(renderer: RigRenderer) -> None:
    for units in ((), (5,), (6, 7, 9), (1, 2, 5)):
        assert abs(eye_opening(renderer.render(PLAIN, state(*units, blink=1.0), SIDE))) < 0.015
    assert eye_opening(renderer.render(PLAIN, state(6, 7, 9), SIDE)) > 0.015


def test_mouths_are_closed_at_rest_and_open_with_units_25_and_26(renderer: RigRenderer) -> None:
    for person in people(8):
        rest, parted, dropped = (
            lip_opening(renderer.render(person, state(*units), SIDE))
            for units in ((), (25,), (26,))
        )
        assert abs(rest) < 0.03
        assert 0.05 < parted < dropped
        assert dropped > 0.12


MOVES = {
    1: lambda by: by[[20, 21, 22, 23], 1].max() < -0.03 and by[[17, 26], 1].min() > -0.025,
    2: lambda by: by[[18, 19, 24, 25], 1].max() < -0.03 and by[[21, 22], 1].min() > -0.03,
    4: lambda by: by[17:27, 1].max() < 0.1 and by[[20, 23], 1].min() > 0.02 and together(by),
    5: lambda by: by[[37, 38, 43, 44], 1].max() < -0.03,
    6: lambda by: by[[40, 41, 46, 47], 1].max() < -0.02,
    7: lambda by: by[[40, 41, 46, 47], 1].max() < -0.02 and by[[37, 44], 1].min() > 0.01,
    9: lambda by: by[[31, 35], 1].max() < -0.02,
    10: lambda by: by[50:53, 1].max() < -0.05,
    12: lambda by: by[[48, 54], 1].max() < -0.07 and wider(by) > 0.1,
    14: lambda by: abs(by[48:60, 1]).max() < 0.08 and wider(by) > 0.01,
    15: lambda by: by[[48, 54], 1].min() > 0.05,
    17: lambda by: by[55:60, 1].max() < -0.01 and by[57, 1] < -0.05,
    20: lambda by: wider(by) > 0.1 and abs(by[[48, 54], 1]).max() < 0.06,
    23: lambda by: wider(by) < -0.01 and thinner(by),
    24: lambda by: abs(wider(by)) < 0.03 and thinner(by),
    25: lambda by: (by[65:68, 1] - by[[63, 62, 61], 1]).min() > 0.04,
    26: lambda by: by[8, 1] > 0.1 and by[65:68, 1].min() > 0.1,
}
"""Of each action unit, what its landmarks do: displacements [68, 2] in distances between the outer
corners of the eyes (FACS manual)."""


def together(by: np.ndarray) -> bool:
    return bool(by[21, 0] > 0.005 and by[22, 0] < -0.005)


def wider(by: np.ndarray) -> float:
    return float(by[54, 0] - by[48, 0])


def thinner(by: np.ndarray) -> bool:
    """The red of both lips together, from their outer edges."""
    return bool(by[57, 1] - by[51, 1] < -0.005)


@pytest.fixture(scope="module")
def at_rest(renderer: RigRenderer) -> Picture:
    return renderer.render(PLAIN, state(), 48)


def displacement(renderer: RigRenderer, moving: State, at_rest: Picture) -> np.ndarray:
    rest = at_rest.landmarks
    moved = renderer.render(PLAIN, moving, 48).landmarks
    return (moved - rest) / np.hypot(*(rest[45] - rest[36]))


@pytest.mark.parametrize("unit", UNITS)
def test_action_units_move_what_facs_says(
    renderer: RigRenderer, at_rest: Picture, unit: int
) -> None:
    by = displacement(renderer, state(unit), at_rest)
    assert MOVES[unit](by), by.round(3).tolist()
    still = range(48, 68) if unit <= 7 else range(17, 27)
    if unit != 9:
        assert np.abs(by[still]).max() < 0.02


@pytest.mark.parametrize("unit", UNITS)
def test_one_sided_action_units(renderer: RigRenderer, at_rest: Picture, unit: int) -> None:
    left = displacement(renderer, state(unit, intensity=(5, 0)), at_rest)
    right = displacement(renderer, state(unit, intensity=(0, 5)), at_rest)
    np.testing.assert_allclose(left[MIRRORED] * (-1, 1), right, atol=5e-3)
    if unit in (1, 2, 4, 5, 6, 7, 12, 14, 15, 20):
        far = [17, 18, 19, 36, 37, 38, 39, 40, 41, 48]
        assert np.abs(left[far]).max() < 0.01
        assert np.abs(right[far]).max() > 0.03


@pytest.mark.parametrize("unit", UNITS)
def test_action_units_are_seen_and_grow(renderer: RigRenderer, at_rest: Picture, unit: int) -> None:
    rest = at_rest.image.astype(int)
    changes = []
    for intensity in (1, 3, 5):
        image = renderer.render(PLAIN, state(unit, intensity=intensity), 48).image
        changes.append(np.abs(image - rest).mean())
    assert 0.02 < changes[0] < changes[1] < changes[2]
    assert changes[2] > 0.25


def test_the_key_light(renderer: RigRenderer) -> None:
    def cheeks(**light: Any) -> np.ndarray:
        image = grey(renderer.render(PLAIN, state(**light), SIDE))
        landmarks = renderer.render(PLAIN, state(), SIDE).landmarks.astype(int)
        return np.array([image[landmarks[30, 1], landmarks[[36, 45], 0]]]).ravel()

    from_left = cheeks(light=(70, 10), contrast=0.9)
    assert from_left[1] > from_left[0] + 30
    from_right = cheeks(light=(-70, 10), contrast=0.9)
    assert from_right[0] > from_right[1] + 30
    even = cheeks(light=(70, 10), contrast=0.1)
    assert abs(np.diff(even)) < abs(np.diff(from_left)) / 2
    brighter = cheeks(light=(70, 10), contrast=0.9, brightness=1.3)
    assert (brighter > from_left + 5).all()
    behind = renderer.render(PLAIN, state(light=(180, 0), contrast=1.0), SIDE)
    assert grey(behind).mean() > 5


def test_people_have_the_colours_asked_for(renderer: RigRenderer) -> None:
    def colour(landmark: int, shift: tuple[int, int], **change: float) -> np.ndarray:
        picture = renderer.render(replace(PLAIN, **change), state(), 192)
        x, y = np.round(picture.landmarks[landmark]).astype(int) + shift
        return picture.image[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))

    tones = [colour(30, (0, 0), skin_tone=tone).mean() for tone in (0, 0.25, 0.5, 0.75, 1)]
    assert (np.diff(tones) < -10).all()
    pale, red = (colour(57, (0, -5), lip=lip) for lip in (0, 1))
    assert red[0] / red[1] > 1.15 * pale[0] / pale[1]
    fair, dark = (colour(19, (0, 1), brow=brow).mean() for brow in (0, 1))
    assert dark < fair - 30


def test_nothing_of_the_head_in_the_picture(renderer: RigRenderer) -> None:
    away = renderer.render(PLAIN, state(offset=(4.0, 0.0), background=5), 40)
    further = renderer.render(PLAIN, state(offset=(9.0, 0.0), background=5), 40)
    np.testing.assert_array_equal(away.image, further.image)
    np.testing.assert_allclose(further.landmarks[:, 0] - away.landmarks[:, 0], 200, atol=1e-2)


def test_without_embreex_the_error_says_what_to_install(
    renderer: RigRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(InputError, match=r"pip install 'fastcaps\[rig\]'"):
        renderer.render(PLAIN, state(), 20)
