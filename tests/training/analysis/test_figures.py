"""Figures as PNG files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fastcaps.training.analysis.figures import face_maps, picture_grid, pixels

INCHES = 0.8


def decoded(png: bytes) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.asarray(
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8
    )
    return found[:, :, ::-1]


def test_pictures_stand_in_their_rows_and_columns() -> None:
    levels: list[list[float | None]] = [[0.2, 0.5], [0.8, None]]
    rows = [
        [None if level is None else np.full((9, 9), level, dtype=np.float32) for level in row]
        for row in levels
    ]
    image = decoded(picture_grid(rows, ["first", "second"], ["a", "b"], inches=INCHES))
    side, step = round(100 * INCHES), 100 * INCHES * 1.04
    left, top = image.shape[1] - round(2 * step), image.shape[0] - round(2 * step)
    for row, values in enumerate(levels):
        for column, level in enumerate(values):
            y, x = top + round(row * step) + side // 2, left + round(column * step) + side // 2
            expected = 255 if level is None else 255 * level
            assert image[y, x].tolist() == pytest.approx([expected] * 3, abs=2)


def test_long_labels_stay_in_the_figure() -> None:
    label = " ".join(f"{unit:02d}" for unit in range(12)) + "\nS001"
    rows = [[np.zeros((5, 5), dtype=np.float32)]]
    image = decoded(picture_grid(rows, [label], []))
    ink = image.max(axis=2) < 128
    columns = np.nonzero(ink.any(axis=0))[0]
    assert columns.min() > 2
    beside = image.shape[1] - round(100 * INCHES * 1.04)  # where the picture begins
    lines = ink[:, : beside - 4].any(axis=1).astype(int)
    assert (np.diff(lines) == 1).sum() == 3


def test_texts_between_neighbours_take_a_place_below_their_row() -> None:
    rows = [[np.zeros((5, 5), dtype=np.float32)] * 3] * 2
    plain = decoded(picture_grid(rows, ["", ""], []))
    told = decoded(
        picture_grid(rows, ["", ""], [], between={0: [("0.10", "#00ff00"), ("0.20", "#ff0000")]})
    )
    assert told.shape[0] > plain.shape[0]
    green = (told[..., 1] > 200) & (told[..., 0] < 100)
    red = (told[..., 0] > 200) & (told[..., 1] < 100)
    assert green.any()
    assert red.any()
    assert np.nonzero(green)[1].max() < np.nonzero(red)[1].min()


def test_maps_are_red_above_zero_and_blue_below() -> None:
    face = np.full((40, 40), 0.5, dtype=np.float32)
    values = np.array([[1.0, 0.0], [0.0, -1.0]])
    image = decoded(face_maps(face, {"A": values}, (0, 40))).astype(int)
    redder = image[..., 0] - image[..., 2]
    rows, columns = np.nonzero(redder > 60)
    blue_rows, blue_columns = np.nonzero(redder < -60)
    assert rows.mean() < blue_rows.mean()
    assert columns.mean() < blue_columns.mean()


def test_a_map_of_zeros_is_drawn() -> None:
    face = np.zeros((8, 8), dtype=np.float32)
    assert decoded(face_maps(face, dict.fromkeys("ABCDEFG", np.zeros((2, 2))), (0, 8))).size


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_gray_or_coloured(channels: int) -> None:
    picture = torch.rand(channels, 4, 5)
    found = pixels(picture)
    assert found.shape == ((4, 5) if channels == 1 else (4, 5, 3))
    expected = picture[0] if channels == 1 else picture.permute(1, 2, 0)
    np.testing.assert_array_equal(found, expected.numpy())
