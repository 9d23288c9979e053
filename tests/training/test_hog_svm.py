"""HOG features and linear SVMs: what they learn, and what they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastcaps.training import hog
from fastcaps.training.errors import InputError
from fastcaps.training.hog import feature_blocks, feature_count
from fastcaps.training.hog_svm import HogSvm

SIDE = 32
STORED = 37
CLASSES = ("AU06", "AU12")
TRAIN, TEST = np.arange(0, 200), np.arange(200, 600)


def striped(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Noise with a horizontal stripe for the first class and a vertical one for the second."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 60, (len(labels), STORED, STORED))
    for frame, (across, down) in zip(frames, labels == 1, strict=True):
        place = random.integers(6, 26, 2)
        frame[place[0] : place[0] + 4] += 100 * across
        frame[:, place[1] : place[1] + 4] += 100 * down
    return frames.astype(np.uint8)


def random_labels(count: int = 600, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (count, 2)).astype(np.int8)


def features_of(
    frames: np.ndarray, rows: np.ndarray, side: int = SIDE, **options: Any
) -> np.ndarray:
    blocks = list(feature_blocks(frames, rows, side, **options))
    places = [place for block, _ in blocks for place in range(block.start, block.stop)]
    assert places == list(range(len(rows)))
    return np.concatenate([features for _, features in blocks])


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, np.ndarray, HogSvm]:
    labels = random_labels()
    frames = striped(labels)
    return frames, labels, HogSvm.fit(frames, labels, TRAIN, CLASSES, SIDE)


def test_a_pattern_is_learned(fitted: tuple[np.ndarray, np.ndarray, HogSvm]) -> None:
    frames, labels, svm = fitted
    scores = svm.scores(frames, TEST)
    assert scores.dtype == np.float32
    assert scores.shape == (len(TEST), 2)
    assert scores.min() >= 0
    assert scores.max() <= 1
    for known, score in zip(labels[TEST].T, scores.T, strict=True):
        assert roc_auc_score(known, score) > 0.98
        assert np.mean((score > 0.5) == known) > 0.9


def test_nothing_is_learned_of_shuffled_labels() -> None:
    labels = random_labels()
    frames = striped(labels)
    labels = np.random.default_rng(2).permutation(labels)
    svm = HogSvm.fit(frames, labels, TRAIN, CLASSES, SIDE)
    found = [
        roc_auc_score(known, score)
        for known, score in zip(labels[TEST].T, svm.scores(frames, TEST).T, strict=True)
    ]
    assert np.abs(np.array(found) - 0.5).max() < 0.1


def test_workers_do_not_change_a_bit(fitted: tuple[np.ndarray, np.ndarray, HogSvm]) -> None:
    frames, labels, one = fitted
    told: list[tuple[int, int]] = []
    two = HogSvm.fit(
        frames,
        labels,
        TRAIN,
        CLASSES,
        SIDE,
        workers=2,
        progress=lambda done, total: told.append((done, total)),
    )
    for name in ("coefficients", "intercepts", "mean", "std"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert told == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_the_classes_do_not_change_each_other() -> None:
    labels = random_labels()
    frames = striped(labels)
    both = HogSvm.fit(frames, labels, TRAIN, CLASSES, SIDE)
    last = HogSvm.fit(frames, labels[:, 1:], TRAIN, CLASSES[1:], SIDE)
    np.testing.assert_array_equal(both.coefficients[1:], last.coefficients)


def test_unknown_labels_are_left_out_of_their_class() -> None:
    labels = random_labels()
    frames = striped(labels)
    part = labels.copy()
    part[100:200, 0] = -1
    found = HogSvm.fit(frames, part, TRAIN, CLASSES, SIDE)
    whole = HogSvm.fit(frames, labels, TRAIN, CLASSES, SIDE)
    np.testing.assert_array_equal(found.coefficients[1], whole.coefficients[1])
    half = HogSvm.fit(frames, labels, TRAIN[:100], CLASSES, SIDE)
    assert np.abs(found.coefficients[0] - whole.coefficients[0]).max() > 1e-4
    # The same frames, standardised by the statistics of twice as many.
    agreement = np.corrcoef(found.scores(frames, TEST)[:, 0], half.scores(frames, TEST)[:, 0])
    assert agreement[0, 1] > 0.99


def test_only_training_rows_count(fitted: tuple[np.ndarray, np.ndarray, HogSvm]) -> None:
    frames, labels, before = fitted
    others, opposite = frames.copy(), labels.copy()
    others[TEST] = 0
    opposite[TEST] = 1 - labels[TEST]
    after = HogSvm.fit(others, opposite, TRAIN, CLASSES, SIDE)
    np.testing.assert_array_equal(after.coefficients, before.coefficients)
    np.testing.assert_array_equal(after.mean, before.mean)


def test_scores_are_the_logistic_of_decisions(
    fitted: tuple[np.ndarray, np.ndarray, HogSvm],
) -> None:
    frames, _, svm = fitted
    features = features_of(frames, TEST).astype(np.float64)
    decisions = (features - svm.mean) / svm.std @ svm.coefficients.T + svm.intercepts
    np.testing.assert_allclose(svm.scores(frames, TEST), 1 / (1 + np.exp(-decisions)), atol=1e-5)
    training = features_of(frames, TRAIN).astype(np.float64)
    np.testing.assert_allclose(svm.mean, training.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(svm.std, training.std(axis=0), rtol=1e-4)


def test_coefficients_minimise_the_svms_objective(
    fitted: tuple[np.ndarray, np.ndarray, HogSvm],
) -> None:
    """No step from them makes 0.5 |w, b|^2 + C sum of weighted squared hinges smaller."""
    frames, labels, _ = fitted
    c = 1e-2
    svm = HogSvm.fit(frames, labels, TRAIN, CLASSES, SIDE, c=c)
    x = (features_of(frames, TRAIN).astype(np.float64) - svm.mean) / svm.std
    x = np.hstack([x, np.ones((len(x), 1))])
    for place in range(2):
        sign = np.where(labels[TRAIN, place] == 1, 1.0, -1.0)
        weight = np.where(labels[TRAIN, place] == 1, 1.0, 0.5)
        w = np.append(svm.coefficients[place], svm.intercepts[place]).astype(np.float64)
        hinge = np.maximum(1 - sign * (x @ w), 0)
        gradient = w - 2 * c * (weight * sign * hinge) @ x
        at_zero = -2 * c * (weight * sign) @ x
        assert np.linalg.norm(gradient) < 1e-2 * np.linalg.norm(at_zero)


def test_features_are_those_of_the_centre_crop() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, STORED, STORED), dtype=np.uint8)
    rows = np.array([2, 0])
    changed = np.zeros_like(frames)
    changed[:, 2:34, 2:34] = frames[:, 2:34, 2:34]
    np.testing.assert_array_equal(features_of(frames, rows), features_of(changed, rows))
    np.testing.assert_array_equal(
        features_of(frames, rows), features_of(frames[rows][:, 2:34, 2:34], np.arange(2))
    )
    np.testing.assert_array_equal(
        features_of(frames, rows), features_of(np.repeat(frames[..., None], 3, axis=3), rows)
    )


def test_each_orientation_has_its_bin() -> None:
    """A slope points in one direction in all cells; the norm of each block is one."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for orientation in range(8):
        angle = np.deg2rad(180 / 8 * (orientation + 0.5))
        slope = 128 + 3 * (np.cos(angle) * x + np.sin(angle) * y)
        features = features_of(slope.astype(np.uint8)[None], np.array([0]))
        histogram = features.reshape(-1, 8).sum(axis=0)
        assert histogram.argmax() == orientation
        blocks = features.reshape(-1, 4 * 8)
        np.testing.assert_allclose(np.linalg.norm(blocks, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize(("side", "features"), [(16, 32), (23, 32), (96, 3872), (224, 23328)])
def test_the_number_of_features(side: int, features: int) -> None:
    assert feature_count(side) == features
    frames = np.zeros((1, side, side), dtype=np.uint8)
    found = features_of(frames, np.array([0]), side)
    assert found.shape == (1, features)
    assert found.dtype == np.float32


def test_frames_without_edges_can_be_learned_from() -> None:
    """Their features never vary."""
    labels = np.array([[0], [1]] * 4, dtype=np.int8)
    frames = np.full((8, SIDE, SIDE), 7, dtype=np.uint8)
    svm = HogSvm.fit(frames, labels, np.arange(8), ["AU12"], SIDE)
    assert np.isfinite(svm.scores(frames, np.arange(8))).all()


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = striped(random_labels(10))
    rows = np.array([3, 9, 1, 1, 0])
    whole = features_of(frames, rows)
    monkeypatch.setattr(hog, "BLOCK_FRAMES", 2)
    np.testing.assert_array_equal(features_of(frames, rows), whole)
    assert list(feature_blocks(frames, rows[:0], SIDE)) == []


def test_memory_maps_are_read(tmp_path: Path) -> None:
    frames = striped(random_labels(10))
    np.save(tmp_path / "frames.npy", frames)
    mapped = np.load(tmp_path / "frames.npy", mmap_mode="r")
    rows = np.arange(10)
    np.testing.assert_array_equal(features_of(mapped, rows), features_of(frames, rows))


def test_a_saved_model_scores_the_same(
    tmp_path: Path, fitted: tuple[np.ndarray, np.ndarray, HogSvm]
) -> None:
    frames, _, svm = fitted
    svm.save(tmp_path / "svm.npz")
    loaded = HogSvm.load(tmp_path / "svm.npz")
    assert (loaded.side, loaded.classes) == (SIDE, CLASSES)
    np.testing.assert_array_equal(loaded.scores(frames, TEST), svm.scores(frames, TEST))
    assert [path.name for path in tmp_path.iterdir()] == ["svm.npz"]


def test_damaged_models_are_told(
    tmp_path: Path, fitted: tuple[np.ndarray, np.ndarray, HogSvm]
) -> None:
    path = tmp_path / "svm.npz"
    fitted[2].save(path)
    whole = path.read_bytes()
    with np.load(path) as archive:
        arrays = dict(archive)
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="model: "):
            HogSvm.load(path)
    for change in (
        {"side": np.array("x")},
        {"side": np.int64(64)},
        {"classes": np.array(["AU12"])},
        {"classes": np.array("AU12")},
        {"mean": arrays["mean"][:-1]},
        {"std": arrays["std"].astype(np.float64)},
        {"intercepts": arrays["intercepts"] * np.nan},
    ):
        np.savez(path, **{**arrays, **change})
        with pytest.raises(InputError, match="cannot be used"):
            HogSvm.load(path)
    del arrays["std"]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="cannot be used"):
        HogSvm.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="expected an npz file, got a single array"):
        HogSvm.load(path)
    with pytest.raises(InputError, match="there is no file"):
        HogSvm.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": random_labels() * [1, 0]}, "class present in .* got none of AU12"),
        ({"labels": random_labels() * [1, 0] + [0, 1]}, "class absent in .* got none of AU12"),
        ({"labels": random_labels() * 0 - 1}, "class present in .* got none of AU06, AU12"),
        ({"labels": random_labels(5)}, "labels: expected 600 rows, as frames, got 5"),
        ({"classes": ("AU12",)}, r"labels: expected int8 \[N, 1\]"),
        ({"rows": TRAIN[:0]}, "class present in"),
        ({"rows": TRAIN + 500}, r"rows: expected 0 \.\. 599, got 500 \.\. 699"),
        ({"rows": TRAIN.astype(np.int32)}, r"rows: expected int64 \[M\], got int32 \[200\]"),
        ({"side": 15}, "side: expected at least 16, got 15"),
        ({"side": 38}, r"side: expected 16 \.\. 37, the frames' side, got 38"),
        ({"frames": np.zeros((600, 37, 36), np.uint8)}, "frames: expected uint8"),
        ({"frames": np.zeros((600, 37, 37))}, "frames: expected uint8"),
    ],
)
def test_bad_arguments_are_told(change: dict[str, Any], message: str) -> None:
    given = {
        "frames": np.zeros((600, STORED, STORED), dtype=np.uint8),
        "labels": random_labels(),
        "rows": TRAIN,
        "classes": CLASSES,
        "side": SIDE,
    }
    change = {
        name: value.astype(np.int8) if name == "labels" else value for name, value in change.items()
    }
    with pytest.raises(InputError, match=message):
        HogSvm.fit(**{**given, **change})
