"""Class weights, base rates and pixel statistics against plain computations; files."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastcaps.training import statistics
from fastcaps.training.errors import InputError
from fastcaps.training.statistics import (
    SMALLEST_STD,
    PixelStatistics,
    class_weights,
    frequencies,
    pixel_statistics,
)

NAMES = ("AU01", "AU12", "AU25")
LABELS = np.array(
    [[1, 0, -1], [1, 1, 0], [0, -1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=np.int8
)


def frames(count: int, side: int, colour: bool = False) -> np.ndarray:
    shape = (count, side, side, 3) if colour else (count, side, side)
    return np.random.default_rng(count).integers(0, 256, shape, dtype=np.uint8)


def test_frequencies_count_all_three_values() -> None:
    expected = pd.DataFrame(
        {
            "positives": [4, 2, 3],
            "negatives": [2, 3, 2],
            "unknown": [0, 1, 1],
            "base_rate": [4 / 6, 2 / 5, 3 / 5],
        },
        index=pd.Index(NAMES, name="class"),
    )
    pd.testing.assert_frame_equal(frequencies(LABELS, NAMES), expected)


def test_a_class_that_is_never_known_has_no_base_rate() -> None:
    table = frequencies(np.full((3, 1), -1, dtype=np.int8), ["AU01"])
    assert table["unknown"].tolist() == [3]
    assert np.isnan(table["base_rate"].to_numpy()).all()
    assert np.isnan(frequencies(LABELS[:0], NAMES)["base_rate"].to_numpy()).all()


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 9), st.just(3)), elements=st.integers(-1, 1))
)
@settings(deadline=None)
def test_class_weights_are_inverse_base_rates(labels: np.ndarray) -> None:
    labels[0] = 1
    rows = np.arange(0, len(labels), 2)
    inverse = []
    for column in labels[::2].T.tolist():
        known = [value for value in column if value != -1]
        inverse.append(Fraction(len(known), known.count(1)))
    weights = class_weights(labels, rows, NAMES)
    assert weights.dtype == np.float32
    expected = [float(value / sum(inverse)) for value in inverse]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert abs(float(weights.sum(dtype=np.float64)) - 1) < 1e-6


def test_only_training_rows_decide() -> None:
    rows = np.array([1, 3, 5])
    changed = LABELS.copy()
    changed[[0, 2, 4]] = 1
    before, after = class_weights(LABELS, rows, NAMES), class_weights(changed, rows, NAMES)
    np.testing.assert_array_equal(before, after)
    # Base rates there: 2/3, 1/3, 1/3.
    np.testing.assert_allclose(before, [0.2, 0.4, 0.4], rtol=1e-6)


def test_classes_that_are_never_present_are_named() -> None:
    labels = LABELS.copy()
    labels[:, 0], labels[:, 2] = 0, -1
    with pytest.raises(InputError, match="got none of AU01, AU25; leave it out"):
        class_weights(labels, np.arange(6), NAMES)


@pytest.mark.parametrize(
    ("labels", "rows", "message"),
    [
        (LABELS.astype(int), np.arange(6), "^labels: expected int8 .* got int64"),
        (LABELS[:, :2], np.arange(6), r"^labels: .*\[N, 3\], .* AU01, AU12, AU25, got .*\[6, 2\]"),
        (LABELS * 2, np.arange(6), r"^labels: expected 0, 1 and -1 for unknown, got -2 \.\. 2"),
        (LABELS, np.arange(7), r"^rows: expected 0 \.\. 5, got 0 \.\. 6"),
        (LABELS, np.array([-1, 2]), r"^rows: expected 0 \.\. 5, got -1 \.\. 2"),
        (LABELS, np.arange(0), r"^rows: .* at least one, got int64 \[0\]"),
        (LABELS, np.ones(6, dtype=bool), "^rows: expected int64 .* got bool"),
    ],
)
def test_bad_labels_and_rows_are_refused(labels: Any, rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_weights(labels, rows, NAMES)


@given(
    images=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 150), st.just(3), st.just(3))
        | st.tuples(st.integers(1, 70), st.just(2), st.just(2), st.just(3)),
    ),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_pixel_statistics_are_those_of_numpy(images: np.ndarray, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.permutations(range(len(images)))), dtype=np.int64)
    rows = rows[: data.draw(st.integers(1, len(rows)))]
    actual = pixel_statistics(images, rows)
    chosen = images[rows] / 255
    planes = chosen[:, None] if chosen.ndim == 3 else np.moveaxis(chosen, -1, 1)
    expected_std = np.maximum(planes.std(axis=0), SMALLEST_STD)
    assert actual.mean.dtype == actual.std.dtype == np.float32
    np.testing.assert_allclose(actual.mean, planes.mean(axis=0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(actual.std, expected_std, rtol=1e-6)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("side", [None, 13, 8, 7, 1])
def test_they_do_not_depend_on_blocks_or_order(
    colour: bool, side: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = frames(301, 13, colour)
    rows = np.arange(1, 301, 2)
    usual = pixel_statistics(images, rows, side)
    first = 0 if side is None else (13 - side) // 2
    window = images[1::2, first:][:, : side or 13, first:][:, :, : side or 13]
    planes = np.moveaxis(window, -1, 1) if colour else window[:, None]
    np.testing.assert_allclose(usual.mean, planes.mean(axis=0) / 255, rtol=1e-6)
    for block in (1, 7, 1000):
        monkeypatch.setattr(statistics, "BLOCK_FRAMES", block)
        other = pixel_statistics(images, np.random.default_rng(0).permutation(rows), side)
        np.testing.assert_array_equal(other.mean, usual.mean)
        np.testing.assert_array_equal(other.std, usual.std)


def test_pixels_that_never_change_have_the_smallest_deviation() -> None:
    actual = pixel_statistics(np.full((300, 2, 2), 255, dtype=np.uint8), np.arange(300))
    np.testing.assert_array_equal(actual.mean, np.ones((1, 2, 2), dtype=np.float32))
    np.testing.assert_array_equal(actual.std, np.full((1, 2, 2), 1 / 255, dtype=np.float32))


def test_nothing_cancels_or_overflows() -> None:
    # Repeated rows stand for a large data set: 999,999 frames of 255, and one of 0.
    images = np.array([[[0]], [[255]]], dtype=np.uint8)
    rows = np.ones(1_000_000, dtype=np.int64)
    rows[0] = 0
    actual = pixel_statistics(images, rows)
    rate = Fraction(1, 1_000_000)
    assert actual.mean.item() == np.float32(1 - rate)
    spread = float(np.sqrt(float(rate * (1 - rate))))
    assert actual.std.item() == np.float32(max(spread, SMALLEST_STD))
    rows[:1000] = 0
    spread = float(np.sqrt(0.001 * 0.999))
    np.testing.assert_allclose(pixel_statistics(images, rows).std.item(), spread, rtol=1e-6)


def test_progress_counts_frames() -> None:
    seen: list[tuple[int, int]] = []
    pixel_statistics(frames(200, 3), np.arange(0, 200, 2), progress=lambda *at: seen.append(at))
    assert seen == [(64, 100), (100, 100)]


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.npy"
        np.save(path, frames(count, 40))
        stored = np.load(path, mmap_mode="r")
        tracemalloc.start()
        pixel_statistics(stored, np.arange(count), 32)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(500), peak(5000)
    # The row numbers and their sorted copy, but no frames.
    assert many - few < 2 * 8 * 4500 + 50_000


@pytest.mark.parametrize(
    ("images", "side", "message"),
    [
        (np.zeros((4, 3, 3)), None, "^frames: expected uint8 .* got float64"),
        (np.zeros((4, 3, 2), np.uint8), None, r"^frames: .* got uint8 \[4, 3, 2\]"),
        (np.zeros((4, 3, 3, 1), np.uint8), None, r"^frames: .* got uint8 \[4, 3, 3, 1\]"),
        (np.zeros(4, np.uint8), None, r"^frames: .* got uint8 \[4\]"),
        (frames(4, 3), 4, r"^side: expected 1 \.\. 3, the frames' side, got 4"),
        (frames(4, 3), 0, r"^side: expected 1 \.\. 3, the frames' side, got 0"),
        (frames(3, 3), None, r"^rows: expected 0 \.\. 2, got 0 \.\. 3"),
    ],
)
def test_bad_frames_are_refused(images: Any, side: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pixel_statistics(images, np.arange(4), side)


@pytest.fixture
def some() -> PixelStatistics:
    return pixel_statistics(frames(20, 9, colour=True), np.arange(20))


def test_they_are_saved_and_loaded(some: PixelStatistics, tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    some.save(path)
    loaded = PixelStatistics.load(path)
    np.testing.assert_array_equal(loaded.mean, some.mean)
    np.testing.assert_array_equal(loaded.std, some.std)
    assert [file.name for file in tmp_path.iterdir()] == ["statistics.npz"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"^statistics: .*statistics.npz cannot be used: "):
        PixelStatistics.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": None}, "std is not a file"),
        ({"std": np.zeros((3, 9, 9), np.float32)}, "std: expected numbers above 0 and up to 1"),
        ({"mean": np.full((3, 9, 9), np.nan, np.float32)}, r"mean: expected numbers 0 \.\. 1"),
        ({"mean": np.ones((3, 9, 9))}, "mean: expected float32 .* got float64"),
        ({"std": np.ones((1, 9, 9), np.float32)}, r"std: .* the same .* got float32 \[1, 9, 9\]"),
        ({"mean": np.array([None] * 3)}, "Object arrays cannot be loaded"),
    ],
)
def test_other_archives_are_refused(
    some: PixelStatistics, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    contents = {"mean": some.mean, "std": some.std, **changes}
    path = tmp_path / "other.npz"
    np.savez(path, **{name: array for name, array in contents.items() if array is not None})
    with pytest.raises(InputError, match=rf"^statistics: .*other.npz cannot be used: .*{message}"):
        PixelStatistics.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^statistics: there is no file .*none.npz"):
        PixelStatistics.load(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"^statistics: .*one.npy cannot be used: expected an npz"):
        PixelStatistics.load(tmp_path / "one.npy")
