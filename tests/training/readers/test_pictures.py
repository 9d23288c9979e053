"""Opening the pictures of a sequence: whole, damaged, and from videos."""

from __future__ import annotations

import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.readers.pictures import open_image, open_pictures
from fastcaps.training.readers.sequences import ImageFiles, Video
from tests.training.files import sequence_of, write_image, write_video


def brightness(opened: object) -> float:
    assert isinstance(opened, np.ndarray)
    assert opened.dtype == np.uint8
    return float(opened.mean())


def test_colours_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((5, 7, 3), dtype=np.uint8)
    red[:, :, 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    np.testing.assert_array_equal(open_image(tmp_path / "red.png", True)[2, 3], [200, 0, 0])
    assert open_image(tmp_path / "red.png", False).shape == (5, 7)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_cut_through_a_file_is_told(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    path = tmp_path / f"noise{suffix}"
    cv2.imwrite(str(path), noise)
    whole = path.read_bytes()
    open_image(path, False)
    for length in range(0, len(whole) - (2 if suffix == ".jpg" else 12), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"noise{suffix}: "):
            open_image(path, False)


def test_a_thumbnail_within_does_not_hide_a_cut(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", 90)
    whole = path.read_bytes()
    thumbnail = b"\xff\xe1" + (len(whole) + 2).to_bytes(2, "big") + whole
    path.write_bytes(whole[:2] + thumbnail + whole[2:])
    assert brightness(open_image(path, False)) == pytest.approx(90, abs=2)
    path.write_bytes((whole[:2] + thumbnail + whole[2:])[:-20])
    with pytest.raises(InputError, match="cut off"):
        open_image(path, False)


def test_bytes_after_the_end_do_no_harm(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", 90)
    path.write_bytes(path.read_bytes() + b"appended")
    assert brightness(open_image(path, False)) == pytest.approx(90, abs=2)


def test_a_header_of_a_huge_picture_is_told(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 90)
    data = bytearray(path.read_bytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.png: cannot be decoded as an image"):
        open_image(path, False)


def test_images_come_in_order_and_damage_in_its_place(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / f"{i}.png", 20 * i) for i in range(4)]
    paths[2].write_bytes(b"no image")
    first, second, third, fourth = open_pictures(sequence_of(ImageFiles(tuple(paths)), 4), False)
    assert [brightness(image) for image in (first, second, fourth)] == [0, 20, 60]
    assert isinstance(third, InputError)
    assert "2.png: cannot be decoded as an image" in str(third)


@pytest.mark.parametrize("colour", [False, True])
def test_frames_of_a_video_by_place(tmp_path: Path, colour: bool) -> None:
    shades = [30 + 15 * i for i in range(12)]
    path = write_video(tmp_path / "v.avi", shades)
    places = np.array([0, 3, 4, 11])
    opened = list(open_pictures(sequence_of(Video(path, places), 4), colour))
    assert [brightness(image) for image in opened] == pytest.approx(
        [shades[place] for place in places], abs=5
    )
    assert all(np.ndim(image) == (3 if colour else 2) for image in opened)


def test_what_lies_behind_the_end_of_a_video_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", [50] * 5)
    opened = list(open_pictures(sequence_of(Video(path, np.arange(8)), 8), False))
    assert [isinstance(image, InputError) for image in opened] == [False] * 5 + [True] * 3
    assert "v.avi: ends before this frame" in str(opened[5])


def numbered_video(path: Path, frames: int) -> None:
    """Every frame has its number in it, as eight white or black squares, and something moves."""
    texture = np.random.default_rng(0).integers(20, 80, (64, 160), dtype=np.uint8)
    images = np.repeat(texture[None], frames, axis=0)
    for number, image in enumerate(images):
        for bit in range(8):
            image[4:32, 4 + 20 * bit : 20 + 20 * bit] = 235 if number >> bit & 1 else 0
        image[40:60, number % 140 : number % 140 + 16] = 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.height, stream.width = images.shape[1:]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode(None))


def number_in(image: NDArray[np.uint8]) -> int:
    squares = [image[10:26, 8 + 20 * bit : 16 + 20 * bit].mean() for bit in range(8)]
    return sum(1 << bit for bit, mean in enumerate(squares) if mean > 128)


@pytest.mark.parametrize("seed", range(12))
def test_damage_in_a_video_gives_no_frame_another_label(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = tmp_path / "v.avi"
    numbered_video(path, 100)
    whole = path.read_bytes()
    start, length = int(random.integers(6000, len(whole) - 4500)), [64, 512, 4096][seed % 3]
    noise = random.integers(0, 256, length, dtype=np.uint8).tobytes() if seed % 2 else bytes(length)
    path.write_bytes(whole[:start] + noise + whole[start + length :])
    video = Video(path, np.arange(90))
    opened = list(open_pictures(sequence_of(video, 90), False))
    wrong = [i for i, x in enumerate(opened) if isinstance(x, np.ndarray) and number_in(x) != i]
    if wrong:
        # Where nothing in the frames themselves tells, their count does.
        assert len(opened) == 91
        assert "of its frames, so that others may have got their labels" in str(opened[90])
    else:
        assert len(opened) in (90, 91)


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_damaged_video_is_told_for_each_frame(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.avi"
    path.write_bytes(content)
    opened = list(open_pictures(sequence_of(Video(path, np.arange(3)), 3), False))
    assert len(opened) == 3
    assert all("v.avi: cannot be decoded" in str(image) for image in opened)
    missing = Video(tmp_path / "other.avi", np.arange(2))
    assert len(list(open_pictures(sequence_of(missing, 2), False))) == 2
