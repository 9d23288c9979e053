"""True attributes of made-up faces, and what pictures tell of themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import ConvexHull

from fastcaps.training.attributes import (
    known_attributes,
    picture_attributes,
    true_attributes,
)
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import MEAN_FACE
from fastcaps.training.prepared import Prepared
from fastcaps.training.synthetic.layouts.truth import TRUTH
from tests.training.analysis.claims.made import random_truth, write_truth
from tests.training.au_runs import small_data

NAMES = ["yaw", "pitch", "roll", "light_left", "light_up", "contrast", "brightness", "skin_tone"]


def small_with_truth(folder: Path, landmarks: np.ndarray) -> tuple[Prepared, pd.DataFrame]:
    prepared = small_data(folder)
    return prepared, random_truth(prepared, landmarks)


def test_rows_and_columns_are_those_of_the_truth(tmp_path: Path) -> None:
    prepared, truth = small_with_truth(tmp_path, MEAN_FACE[None])
    rows = np.array([7, 0, 3])
    found = true_attributes(prepared, rows)
    assert [each.name for each in found] == [*NAMES, "face_size"]
    for each in found[:-1]:
        wanted = truth[each.name].to_numpy()[rows]
        np.testing.assert_allclose(each.values, wanted, rtol=1e-6)
        assert each.about
    thumbnails = np.zeros((3, 16, 16), dtype=np.float32)
    names = [each.name for each in known_attributes(prepared, rows, thumbnails)]
    assert names == [*NAMES, "face_size", "picture_brightness", "picture_contrast"]


def test_face_size_is_what_alignment_leaves_of_it(tmp_path: Path) -> None:
    """Nearer, turned in the picture and elsewhere it is the same face; a wider jaw is larger."""
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wider = MEAN_FACE.copy()
    wider[:17, 0] = 47.5 + 1.2 * (wider[:17, 0] - 47.5)
    faces = np.stack([MEAN_FACE, 2.3 * MEAN_FACE @ turn.T + (30, 40), wider, 0.7 * wider + 5])
    prepared, _ = small_with_truth(tmp_path, faces)
    sizes = true_attributes(prepared, np.arange(4))[-1].values
    wanted = [np.sqrt(ConvexHull(face).volume) for face in (MEAN_FACE, MEAN_FACE, wider, wider)]
    np.testing.assert_allclose(sizes, wanted, rtol=1e-4)
    assert sizes[2] > 1.03 * sizes[0]


def test_other_data_has_no_truth(tmp_path: Path) -> None:
    assert true_attributes(small_data(tmp_path), np.arange(3)) == ()


def test_a_truth_of_other_frames(tmp_path: Path) -> None:
    prepared, truth = small_with_truth(tmp_path, MEAN_FACE[None])
    shuffled = replace(prepared, index=prepared.index.iloc[::-1].reset_index(drop=True))
    with pytest.raises(InputError, match=r"truth.parquet: expected a row for each of the 40"):
        true_attributes(shuffled, np.arange(3))
    write_truth(truth.iloc[:-1], prepared)
    with pytest.raises(InputError, match="in their order, got 39 others"):
        true_attributes(prepared, np.arange(3))
    (prepared.folder / TRUTH).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"truth.parquet: cannot be read"):
        true_attributes(prepared, np.arange(3))


def test_pictures_tell_of_themselves() -> None:
    thumbnails = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    brightness, contrast = picture_attributes(thumbnails)
    np.testing.assert_allclose(brightness.values, [part.mean() for part in thumbnails], rtol=1e-6)
    np.testing.assert_allclose(contrast.values, [part.std() for part in thumbnails], rtol=1e-6)
