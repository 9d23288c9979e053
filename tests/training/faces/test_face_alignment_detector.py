"""face-alignment up to its networks, whose weights are stubs in its cache.

The stubs know each landmark by the colour of a disk, and a face by a white disk above it. Landmarks
that are mirror images of each other have one colour and are told apart by the half of the picture,
as true networks do.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

pytest.importorskip("face_alignment", reason="needs the package face-alignment")

from face_alignment import api, utils
from face_alignment.detection.blazeface.net_blazeface import BlazeFace
from face_alignment.detection.sfd import sfd_detector

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import make_detector
from fastcaps.training.faces.face_alignment_detector import FaceAlignmentDetector
from fastcaps.training.faces.landmarks import COUNT, MEAN_FACE, MIRRORED, Landmarks
from fastcaps.training.faces.similarity import apply, fit

LANDMARK_FILE = "2DFAN4-11f355bf06.pth.tar"
FACE_FILE = "s3fd-619a316812.pth"

PIXELS = 2.8
"""Of the drawn face for one of the mean face: its crop for the network is then 256 pixels wide."""

BOX_SIDE = 125
MARKER = (0.0, -130.0)
"""From the middle of a face's box to the white disk."""

MIDDLE_ON_THE_FACE = np.array((47.5, 60), dtype=np.float32)
"""Of the box, in the mean face's picture."""

CELL = 4
"""Side of a heatmap's cell in pixels of the network's input."""


def open_mouth() -> Landmarks:
    """The mean face with lips so far apart that no two landmarks share a cell."""
    face = MEAN_FACE.copy()
    face[[*range(55, 60), 65, 66, 67], 1] += 9
    face[[60, 64], 0] += (3, -3)
    face[[60, 64], 1] += 3
    face[[61, 62, 63], 1] += 2
    return face


def colours() -> NDArray[np.float32]:
    """Of each landmark, 0 .. 1; the same for mirror images."""
    grid = np.array(list(product((0, 1, 2, 3), repeat=3))[1:-1]) / np.float32(3)
    return grid[np.unique(np.minimum(np.arange(COUNT), MIRRORED), return_inverse=True)[1]]


class Landmarker(torch.nn.Module):
    """In place of FAN: heatmaps [N, 68, 64, 64] that are highest at the landmarks' colours."""

    def __init__(self, modules: int) -> None:
        super().__init__()
        self.colours = torch.nn.Parameter(torch.zeros(COUNT, 3))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        assert pictures.shape[1:] == (3, 256, 256)
        distances = (pictures[:, None] - self.colours[:, :, None, None]).square().sum(2)
        heat = torch.nn.functional.avg_pool2d((distances < 0.01).float(), CELL)
        on_the_left = torch.from_numpy(MEAN_FACE[:, 0] > 47.5)[:, None]
        wrong = on_the_left == (torch.arange(64) < 32)
        wrong &= (torch.from_numpy(MIRRORED) != torch.arange(COUNT))[:, None]
        return [torch.rand_like(heat), heat.masked_fill(wrong[:, None], 0)]


class FaceFinder(torch.nn.Module):
    """In place of S3FD: only its level of finest grain, and a box of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.location = torch.nn.Parameter(torch.zeros(4))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
        cells = torch.nn.functional.avg_pool2d((pictures + mean) / 255, 4)
        white = 10 * (cells.amin(1, keepdim=True) - 0.5)
        box = self.location.view(1, 4, 1, 1).expand(-1, -1, *white.shape[2:])
        return [torch.cat([-white, white], 1), box.expand(len(pictures), -1, -1, -1)]


def weights() -> dict[str, dict[str, Tensor]]:
    # S3FD's boxes, relative to squares of 16 pixels about each cell of 4.
    shift, size = -np.array(MARKER) / 1.6, np.log([BOX_SIDE / 16] * 2) / 0.2
    return {
        LANDMARK_FILE: {"colours": torch.from_numpy(colours())},
        FACE_FILE: {"location": torch.tensor([*shift, *size], dtype=torch.float32)},
    }


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no network, and small networks in place of face-alignment's."""

    def refuse(request: Any) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    monkeypatch.setattr(api, "FAN", Landmarker)
    monkeypatch.setattr(sfd_detector, "s3fd", FaceFinder)
    return tmp_path / "hub" / "checkpoints"


def save(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, state in weights().items():
        torch.save(state, folder / name)


@pytest.fixture
def detector(cache: Path) -> FaceAlignmentDetector:
    save(cache)
    return FaceAlignmentDetector(device="cpu", batch=2)


def draw(
    height: int, width: int, middles: list[tuple[float, float]], scale: float = 1.0
) -> tuple[NDArray[np.uint8], list[Landmarks]]:
    """A picture with a face about each of ``middles``, those of their boxes."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    faces = []
    for middle in middles:
        face = (open_mouth() - MIDDLE_ON_THE_FACE) * PIXELS * scale + np.float32(middle)
        marker = np.array(middle) + np.array(MARKER) * scale
        for point, colour in zip([*face, marker], [*colours(), np.ones(3)], strict=True):
            disk(picture, point, 4 * scale, colour)
        faces.append(face)
    return picture, faces


def disk(
    picture: NDArray[np.uint8], middle: Any, radius: float, colour: NDArray[np.float32]
) -> None:
    sixteenths = [round(float(x) * 16) for x in middle]
    shade = [float(c) for c in colour * 255]
    cv2.circle(picture, sixteenths, round(radius * 16), shade, cv2.FILLED, shift=4)


def test_landmarks_are_found_in_their_order(detector: FaceAlignmentDetector) -> None:
    picture, (expected,) = draw(401, 503, [(241, 213)])
    ((face,),) = detector.find([picture])
    assert face.landmarks.dtype == np.float32
    distances = np.hypot(*(face.landmarks - expected).T)
    assert distances.max() < CELL
    np.testing.assert_allclose(face.box, (178.5, 150.5, 303.5, 275.5), atol=CELL)


def test_the_found_face_is_aligned_to_the_mean_face(detector: FaceAlignmentDetector) -> None:
    picture, (expected,) = draw(401, 503, [(241, 213)])
    ((face,),) = detector.find([picture])
    moved = apply(fit(face.landmarks, MEAN_FACE), expected)
    ideal = apply(fit(expected, MEAN_FACE), expected)
    assert np.hypot(*(moved - ideal).T).max() < 0.5


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.3])
def test_large_pictures_are_searched_at_640_pixels(
    scale: float, detector: FaceAlignmentDetector
) -> None:
    # The stub knows boxes of one size, and finds them where the picture is as small as it expects.
    size = (round(480 * scale), round(640 * scale))
    picture, (expected,) = draw(*size, [(341 * scale, 243 * scale)], scale)
    ((face,),) = detector.find([picture])
    distances = np.hypot(*(face.landmarks - expected).T)
    assert distances.max() < CELL * scale
    assert face.box[2] - face.box[0] == pytest.approx(BOX_SIDE * scale, rel=0.01)


def test_pictures_of_several_sizes_with_several_faces(detector: FaceAlignmentDetector) -> None:
    drawn = [
        draw(400, 600, [(150, 230), (450, 215)]),
        draw(300, 300, []),
        draw(500, 300, [(150, 250)]),
        draw(400, 600, [(300, 220)]),
        draw(400, 600, []),
    ]
    found = detector.find([picture for picture, _ in drawn])
    assert [len(faces) for faces in found] == [2, 0, 1, 1, 0]
    for faces, (_, expected) in zip(found, drawn, strict=True):
        faces.sort(key=lambda face: face.box[0])
        for face, landmarks in zip(faces, expected, strict=True):
            assert np.hypot(*(face.landmarks - landmarks).T).max() < CELL
    assert detector.find([]) == []


def test_the_same_as_the_packages_own_result(detector: FaceAlignmentDetector) -> None:
    pictures = [draw(410, 520, [(170, 230), (330, 215)])[0], draw(401, 503, [(241, 213)])[0]]
    package = api.FaceAlignment(api.LandmarksType.TWO_D, device="cpu", compile=False)
    for picture, faces in zip(pictures, detector.find(pictures), strict=True):
        theirs = package.get_landmarks_from_image(picture)
        np.testing.assert_array_equal([face.landmarks for face in faces], theirs)


def test_the_packages_markup_is_mirrored_like_ours() -> None:
    np.testing.assert_array_equal(
        utils.shuffle_lr(torch.arange(COUNT).view(COUNT, 1, 1))[:, 0, 0], MIRRORED
    )


def test_missing_weights_are_named(cache: Path) -> None:
    with pytest.raises(InputError) as error:
        make_detector("face-alignment")
    for part in (LANDMARK_FILE, FACE_FILE, "https://", str(cache), "no network in tests"):
        assert part in str(error.value)


def test_only_what_is_missing_is_named(cache: Path) -> None:
    save(cache)
    (cache / LANDMARK_FILE).unlink()
    with pytest.raises(InputError) as error:
        make_detector("face-alignment")
    assert LANDMARK_FILE in str(error.value)
    assert FACE_FILE not in str(error.value)


def test_missing_weights_are_downloaded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "server"
    save(server)
    asked = []

    def answer(request: urllib.request.Request) -> Any:
        asked.append(request.full_url)
        return urllib.request.urlopen((server / Path(request.full_url).name).as_uri())

    monkeypatch.setattr(torch.hub, "urlopen", answer)
    picture, (expected,) = draw(401, 503, [(241, 213)])
    for _ in range(2):
        ((face,),) = make_detector("face-alignment", device="cpu").find([picture])
        assert np.hypot(*(face.landmarks - expected).T).max() < CELL
    assert sorted(Path(url).name for url in asked) == [LANDMARK_FILE, FACE_FILE]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"<html>not found</html>"])
@pytest.mark.parametrize("name", [LANDMARK_FILE, FACE_FILE])
def test_unreadable_weights_are_named(name: str, content: bytes, cache: Path) -> None:
    save(cache)
    (cache / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{cache / name}.* cannot be read.*delete it"):
        make_detector("face-alignment")


def test_weights_of_another_network_are_refused(cache: Path) -> None:
    save(cache)
    torch.save({"something": torch.zeros(3)}, cache / FACE_FILE)
    with pytest.raises(InputError, match="cannot be read"):
        make_detector("face-alignment")


def test_weights_cannot_run_code(cache: Path, tmp_path: Path) -> None:
    save(cache)
    touched = tmp_path / "touched"

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (touched,)

    for name in (FACE_FILE, LANDMARK_FILE):
        torch.save({"location": Touch()}, cache / name)
        with pytest.raises(InputError, match="cannot be read"):
            make_detector("face-alignment")
    assert not touched.exists()


def test_blazeface_reads_its_two_files(cache: Path) -> None:
    save(cache)
    network = BlazeFace()
    for name, parameter in network.named_parameters():
        if name.startswith("classifier"):
            torch.nn.init.constant_(parameter, -100 if name.endswith("bias") else 0)
    torch.save(network.state_dict(), cache / "blazeface.pth")
    np.save(cache / "anchors.npy", np.ones((896, 4), dtype=np.float32))
    detector = make_detector("face-alignment", face_detector="blazeface", device="cpu")
    assert detector.find([np.zeros((100, 150, 3), dtype=np.uint8)] * 2) == [[], []]
