"""dlib on real photographs that packages ship."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("dlib", reason="needs the extra dlib")

from fastcaps.training.errors import InputError
from fastcaps.training.faces import dlib_detector
from fastcaps.training.faces.detectors import Face, make_detector
from fastcaps.training.faces.dlib_detector import DlibDetector
from fastcaps.training.faces.landmarks import ALIGNMENT_POINTS, GROUPS, MEAN_FACE, MIRRORED
from fastcaps.training.faces.similarity import apply, fit

# The middle of the right and the left iris, measured by hand.
ASTRONAUTS_EYES = np.array([(204, 102), (248, 104)], dtype=np.float32)
HOPPERS_EYES = np.array([(224, 191), (308, 188)], dtype=np.float32)

BLANK = np.full((200, 300, 3), 90, dtype=np.uint8)


def photograph(package: str, path: str) -> NDArray[np.uint8]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs {package}, which ships the photograph")
    image = cv2.imread(str(Path(spec.submodule_search_locations[0]) / path))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return photograph("skimage", "data/astronaut.png")


@pytest.fixture(scope="module")
def hopper() -> NDArray[np.uint8]:
    return photograph("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="module")
def detector() -> DlibDetector:
    return DlibDetector()


def only(faces: list[Face]) -> Face:
    assert len(faces) == 1
    return faces[0]


def eyes(face: Face) -> NDArray[np.float32]:
    """Middle of the right and the left one."""
    return np.stack([face.landmarks[GROUPS[eye]].mean(axis=0) for eye in ("right eye", "left eye")])


def residual(face: Face) -> float:
    """Median distance to the mean face, in pixels of 96 x 96."""
    aligned = apply(fit(face.landmarks, MEAN_FACE), face.landmarks)
    return float(np.median(np.hypot(*(aligned - MEAN_FACE)[ALIGNMENT_POINTS].T)))


def assert_same_landmarks(landmarks: NDArray[np.float32], expected: Face, within: float) -> None:
    """``within`` is a part of the face's width, for the median landmark."""
    left, _, right, _ = expected.box
    distances = np.hypot(*(landmarks - expected.landmarks).T)
    assert np.median(distances) < within * (right - left)


def test_a_real_face(astronaut: NDArray[np.uint8], detector: DlibDetector) -> None:
    face = only(detector.find([astronaut])[0])
    assert face.landmarks.shape == (68, 2)
    assert face.landmarks.dtype == np.float32
    np.testing.assert_allclose(eyes(face), ASTRONAUTS_EYES, atol=3)
    assert residual(face) < 3


def test_another_real_face(hopper: NDArray[np.uint8], detector: DlibDetector) -> None:
    face = only(detector.find([hopper])[0])
    np.testing.assert_allclose(eyes(face), HOPPERS_EYES, atol=5)
    assert residual(face) < 3


def test_a_mirrored_face(astronaut: NDArray[np.uint8], detector: DlibDetector) -> None:
    face, mirrored = detector.find([astronaut, astronaut[:, ::-1]])
    back = only(mirrored).landmarks[MIRRORED] * np.float32([-1, 1]) + np.float32([511, 0])
    assert_same_landmarks(back, only(face), 0.03)


@pytest.mark.parametrize("scale", [0.4, 0.75, 1.5, 2.72])
def test_the_size_of_the_picture_does_not_matter(
    scale: float, astronaut: NDArray[np.uint8], detector: DlibDetector
) -> None:
    size = (round(512 * scale), round(382 * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(astronaut[:382], size, interpolation=method)
    face, other = detector.find([astronaut, resized])
    assert_same_landmarks((only(other).landmarks + 0.5) / scale - 0.5, only(face), 0.03)
    np.testing.assert_allclose(only(other).centre / scale, only(face).centre, atol=10)


def test_two_faces(
    astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8], detector: DlibDetector
) -> None:
    both = np.hstack([astronaut, hopper[:512]])
    faces = sorted(detector.find([both])[0], key=lambda face: face.box[0])
    assert len(faces) == 2
    np.testing.assert_allclose(eyes(faces[0]), ASTRONAUTS_EYES, atol=5)
    np.testing.assert_allclose(eyes(faces[1]) - np.float32([512, 0]), HOPPERS_EYES, atol=5)


def test_a_small_face_in_a_large_picture(
    astronaut: NDArray[np.uint8], detector: DlibDetector
) -> None:
    picture = np.full((800, 1300, 3), 128, dtype=np.uint8)
    picture[300:556, 900:1156] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    face = only(detector.find([picture])[0])
    np.testing.assert_allclose((eyes(face) - (900, 300)) * 2, ASTRONAUTS_EYES, atol=5)


def test_a_face_that_fills_the_picture(
    astronaut: NDArray[np.uint8], detector: DlibDetector
) -> None:
    # So tight that its surroundings have to be made up.
    left, top = 188, 84
    picture = cv2.resize(astronaut[top:160, left:262], (93, 96), interpolation=cv2.INTER_CUBIC)
    face = only(detector.find([picture])[0])
    found = eyes(face) * 76 / 96 + np.float32([left, top])
    np.testing.assert_allclose(found, ASTRONAUTS_EYES, atol=4)


def test_each_picture_has_its_own_faces(
    astronaut: NDArray[np.uint8], detector: DlibDetector
) -> None:
    assert [len(faces) for faces in detector.find([BLANK, astronaut, BLANK])] == [0, 1, 0]
    assert detector.find([]) == []


def test_the_network_finds_the_same_face(astronaut: NDArray[np.uint8]) -> None:
    left, top = 140, 40
    (faces,) = make_detector("dlib", face_detector="cnn").find([astronaut[top:210, left:310]])
    np.testing.assert_allclose(eyes(only(faces)) + np.float32([left, top]), ASTRONAUTS_EYES, atol=3)


def test_the_weights_package_is_not_imported(detector: DlibDetector) -> None:
    assert "face_recognition_models" not in sys.modules


def test_a_missing_weights_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlib_detector, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"fastcaps\[dlib\].*face_recognition_models"):
        DlibDetector()


def test_missing_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "face_recognition_models"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "mmod_human_face_detector.dat").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    message = r"has no shape_predictor_68_face_landmarks\.dat; .*--force-reinstall"
    with pytest.raises(InputError, match=message):
        DlibDetector()
