"""Predictions: what they may hold, their file, and damage to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions, concatenated
from tests.training.evaluation.made import emotion_predictions, predictions, random_predictions


def assert_same(found: Predictions, wanted: Predictions) -> None:
    assert (found.classes, found.exclusive) == (wanted.classes, wanted.exclusive)
    for name in ("subjects", "sequences", "frames", "labels", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    for name in ("frames", "labels", "scores"):
        assert getattr(found, name).dtype == getattr(wanted, name).dtype


@pytest.mark.parametrize(
    "made",
    [
        random_predictions(0, ["S1", "007", "Zoë"], frames=5),
        emotion_predictions(1, ["S1"]),
        predictions(np.zeros((0, 2)), np.zeros((0, 2))),
    ],
)
def test_a_file_holds_all_of_them(made: Predictions, tmp_path: Path) -> None:
    made.save(tmp_path / "p.parquet")
    assert_same(Predictions.load(tmp_path / "p.parquet"), made)
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_the_file_is_a_plain_table(tmp_path: Path) -> None:
    predictions([[1, -1], [0, 1]], [[0.5, 0.25], [0, 1]], ["A", "B"]).save(tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert table.to_dict("list") == {
        "subject": ["A", "B"],
        "sequence": ["T1", "T1"],
        "frame": [0, 1],
        "AU01": [1, 0],
        "AU02": [-1, 1],
        "AU01_score": [0.5, 0.0],
        "AU02_score": [0.25, 1.0],
    }


def test_numpy_texts_are_saved_too(tmp_path: Path) -> None:
    made = random_predictions(0, ["S1", "S2"])
    texts = {name: getattr(made, name).astype(str) for name in ("subjects", "sequences")}
    replace(made, **texts).save(tmp_path / "p.parquet")
    assert_same(Predictions.load(tmp_path / "p.parquet"), made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ()}, "classes: expected at least one"),
        ({"classes": ("AU01", "AU01", "AU02")}, "classes: expected .* got AU01, AU01, AU02"),
        ({"classes": ("AU01", "subject", "AU02")}, "classes: expected .* got AU01, subject"),
        ({"classes": ("AU01", "AU02")}, r"labels: expected int8 \[9, 2\], got int8 \[9, 3\]"),
        ({"labels": np.zeros((9, 3))}, "labels: expected int8 .* got float64"),
        ({"labels": np.full((9, 3), 2, np.int8)}, r"labels: expected 1, 0 .* got 2 \.\. 2"),
        ({"scores": np.zeros((9, 3))}, "scores: expected float32 .* got float64"),
        ({"scores": np.full((9, 3), np.nan, np.float32)}, "scores: expected 0 .. 1, got nan"),
        ({"scores": np.full((9, 3), 1.5, np.float32)}, "scores: expected 0 .. 1, got 1.5"),
        ({"scores": np.full((9, 3), -0.5, np.float32)}, "scores: expected 0 .. 1, got -0.5"),
        ({"subjects": np.arange(9)}, "subjects: expected text .* got int64"),
        ({"sequences": np.array(["T1"] * 8)}, r"sequences: expected text \[9\], got text \[8\]"),
        ({"frames": np.arange(9.0)}, "frames: expected int64"),
        ({"exclusive": True}, "labels: expected exactly one class"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(random_predictions(3, ["S1"]), **change)


def test_a_length_may_be_above_one_by_rounding() -> None:
    scores = np.nextafter(np.float32(1), np.float32(2))
    assert predictions([1], [scores]).scores[0, 0] > 1


def test_an_unknown_emotion_is_refused() -> None:
    with pytest.raises(InputError, match="got it otherwise in 1 of 2 frames"):
        predictions([[1, 0], [1, -1]], [[1, 0], [1, 0]], exclusive=True)


def test_concatenated_keeps_the_order() -> None:
    parts = [random_predictions(seed, [f"S{seed}"], frames=seed) for seed in (2, 3)]
    both = concatenated(parts)
    assert both.subjects.tolist() == ["S2"] * 2 + ["S3"] * 3
    np.testing.assert_array_equal(both.scores[2:], parts[1].scores)
    np.testing.assert_array_equal(both.labels[:2], parts[0].labels)
    np.testing.assert_array_equal(both.frames, [0, 1, 0, 1, 2])


def test_only_predictions_of_the_same_classes_are_concatenated() -> None:
    with pytest.raises(InputError, match="expected at least one"):
        concatenated([])
    with pytest.raises(InputError, match="expected all of the classes AU01, got some of AU01, AU0"):
        concatenated([random_predictions(0, ["S1"], classes=count) for count in (1, 2)])


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(InputError, match="there is no file"):
        Predictions.load(path)
    random_predictions(0, ["S1"]).save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], b"PAR1" + bytes(200) + b"PAR1"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"p\.parquet cannot be used"):
            Predictions.load(path)


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    random_predictions(0, ["S1"], classes=1).save(path)
    table = pyarrow.parquet.read_table(path)
    empty = pa.array([None] * len(table), pa.string())
    doubtful = table.set_column(4, "AU01_score", pa.array([7.0] * len(table), pa.float32()))
    for other, message in (
        (table.replace_schema_metadata(None), "got another table"),
        (table.replace_schema_metadata({b"fastcaps": b"{"}), "cannot be used"),
        (table.replace_schema_metadata({b"fastcaps": b"\xff"}), "cannot be used"),
        (table.replace_schema_metadata({b"fastcaps": b'{"version": 2}'}), "of version 1"),
        (table.replace_schema_metadata({b"fastcaps": b'{"version": 1}'}), "cannot be used"),
        (
            table.replace_schema_metadata(
                {b"fastcaps": b'{"version": 1, "classes": "AU01", "exclusive": false}'}
            ),
            "expected a list of classes",
        ),
        (table.drop_columns(["AU01_score"]), "expected the columns subject, .* AU01_score"),
        (table.set_column(0, "subject", empty), "nothing missing"),
        (table.set_column(2, "frame", pa.array([1.5] * len(table))), "with their types"),
        (doubtful, "scores: expected 0 .. 1, got 7"),
    ):
        pyarrow.parquet.write_table(other, path)
        with pytest.raises(InputError, match=message):
            Predictions.load(path)
