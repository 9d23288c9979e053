"""Made-up data sets, damaged as real ones are, through ``prepare`` and back to the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fastcaps.training.action_units import EMOTIONS, column
from fastcaps.training.faces.aligned import aligned_face
from fastcaps.training.preparation import Options, Resources, prepare
from fastcaps.training.prepared import Prepared, Shape, open_prepared
from fastcaps.training.readers.bp4d import Bp4d
from fastcaps.training.readers.ckplus import CkPlus
from fastcaps.training.readers.disfa import Disfa
from fastcaps.training.readers.landmark_table import POINT_COLUMNS
from fastcaps.training.readers.sequences import Reader
from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.layouts.truth import TRUTH
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.recordings import Recording, person_of, states_of
from fastcaps.training.synthetic.settings import Settings, recordings_of
from tests.training.synthetic_trees import (
    cut_off,
    delete,
    drop_column,
    empty,
    forget_codes,
    small_tree,
)

SIDE = 120
SUBJECTS = 3
FRAMES = 24


@dataclass(frozen=True)
class Tree:
    """A made-up data set: its folder, its layout and the truth about each frame."""

    root: Path
    layout: str
    truth: pd.DataFrame

    def prepare(self, reader: Reader, out: Path, table: bool) -> Prepared:
        """Prepared by given landmarks, of the truth where the layout has none."""
        landmarks = self.root / TRUTH if table else None
        options = Options(Shape(96, colour=False), landmarks=landmarks)
        prepare(reader, self.root, out, options, {}, resources=Resources())
        prepared = open_prepared(out)
        prepared.check()
        return prepared

    def rows(self, prepared: Prepared) -> pd.DataFrame:
        """The truth about each prepared frame."""
        keys = ["subject", "sequence", "frame"]
        index = pd.MultiIndex.from_frame(prepared.index[keys])
        return self.truth.set_index(keys).loc[index].reset_index()

    def assert_frames_are_those_drawn(self, prepared: Prepared) -> None:
        """Every frame is what is drawn and aligned anew, but for what JPEG and MPEG lose."""
        settings = Settings(self.layout, SUBJECTS, FRAMES, SIDE)
        pictures = {
            (recording.subject, recording.sequence, recording.first + place): picture
            for recording in recordings_of(settings)
            for place, picture in enumerate(self._drawn(recording))
        }
        keys = prepared.index[["subject", "sequence", "frame"]].itertuples(index=False, name=None)
        for key, frame in zip(keys, prepared.frames, strict=True):
            picture = pictures[key]
            expected = aligned_face(picture.image, picture.landmarks, 96, False).image
            assert np.abs(frame.astype(float) - expected).mean() < 4, key

    def _drawn(self, recording: Recording) -> list[Picture]:
        person = person_of(recording.person, 0)
        return [DrawnRenderer().render(person, state, SIDE) for state in states_of(recording, 0)]


@pytest.fixture
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    root = tmp_path / "root"
    truth = small_tree(request.param, root, subjects=SUBJECTS, frames=FRAMES, side=SIDE)
    return Tree(root, request.param, truth)


def labels(rows: pd.DataFrame, units: tuple[int, ...]) -> NDArray[np.int8]:
    return rows[[column(unit) for unit in units]].to_numpy()


@pytest.mark.parametrize("tree", ["bp4d"], indirect=True)
def test_bp4d(tree: Tree, tmp_path: Path) -> None:
    first = tree.truth[(tree.truth["subject"] == "F001") & (tree.truth["sequence"] == "T1")]
    files = sorted((tree.root / "F001" / "T1").iterdir(), key=lambda path: int(path.stem))
    coding = tree.root / "AUCoding" / "AU_OCC"
    forget_codes(coding / "F001_T1.csv", 6, {int(first["frame"].iloc[2])})
    drop_column(coding / "F001_T2.csv", 14)
    delete(files[0])
    cut_off(files[1])
    (coding / "F002_T3.csv").unlink()
    digits = {len(path.stem) for path in tree.root.glob("[FM]*/T*/*.jpg")}
    assert len(digits) > 1

    prepared = tree.prepare(Bp4d(tree.root), tmp_path / "out", table=True)
    rows = tree.rows(prepared)
    left_out = 2 + len(tree.truth.query("subject == 'F002' and sequence == 'T3'"))
    assert len(rows) == len(tree.truth) - left_out
    expected = labels(rows, prepared.action_units).copy()
    unknown = np.zeros_like(expected, dtype=bool)
    task = (rows["subject"] == "F001") & (rows["sequence"] == "T1")
    unknown[task & (rows["frame"] == first["frame"].iloc[2]), 3] = True
    unknown[(rows["subject"] == "F001") & (rows["sequence"] == "T2"), 7] = True
    expected[unknown] = -1
    np.testing.assert_array_equal(prepared.labels, expected)
    tree.assert_frames_are_those_drawn(prepared)
    reasons = " ".join(prepared.left_out()["reason"])
    for reason in ("are not there", "cut off", "no column of AU 14", "no labels in AUCoding"):
        assert reason in reasons


@pytest.mark.parametrize("camera", ["left", "right"])
@pytest.mark.parametrize("tree", ["disfa"], indirect=True)
def test_disfa(tree: Tree, tmp_path: Path, camera: str) -> None:
    side = camera.capitalize()
    (folder,) = tree.root.glob(f"Video*_{side}Camera")
    other = f"Video_{side}Camera" if folder.name.startswith("Videos") else f"Videos_{side}Camera"
    first, second, third = sorted(tree.truth["subject"].unique())
    empty(folder / f"{side}Video{second}_comp.avi")
    delete(tree.root / "ActionUnit_Labels" / first / f"{first}_au9.txt")
    folder.rename(tree.root / other)

    reader = Disfa(tree.root, camera=camera, positive_from=2)
    prepared = tree.prepare(reader, tmp_path / "out", table=camera == "right")
    rows = tree.rows(prepared)
    assert prepared.index["subject"].tolist() == [first] * FRAMES + [third] * FRAMES
    assert set(prepared.index["sequence"]) == {camera}
    names = [f"{column(unit)}_intensity" for unit in prepared.action_units]
    expected = rows[names].to_numpy(dtype=np.int8).copy()
    expected[(rows["subject"] == first).to_numpy(), 4] = -1
    np.testing.assert_array_equal(prepared.intensities, expected)
    np.testing.assert_array_equal(prepared.labels, np.where(expected < 0, -1, expected >= 2))
    tree.assert_frames_are_those_drawn(prepared)
    left_out = prepared.left_out()
    assert (left_out["subject"] == second).sum() == FRAMES
    assert "AU 9 stays unknown" in " ".join(left_out["reason"])


@pytest.mark.parametrize("tree", ["ckplus"], indirect=True)
def test_ckplus(tree: Tree, tmp_path: Path) -> None:
    reader = CkPlus(tree.root)
    sequences = reader.read().sequences
    lost = sequences[0]
    delete(lost.files()[0])
    points = sorted((tree.root / "Landmarks" / sequences[-1].subject).glob("*/*"))[-1]
    empty(points)

    prepared = tree.prepare(reader, tmp_path / "out", table=False)
    rows = tree.rows(prepared)
    # The first frame is now the second, since the first is gone; one of the last has no landmarks.
    assert len(rows) == 4 * len(sequences) - 1
    index = prepared.index
    known = (index["emotion"] > 0).to_numpy()
    assert known.any()
    np.testing.assert_array_equal(index["emotion"][known], rows["emotion"][known])
    starts = ~index[["subject", "sequence"]].duplicated().to_numpy()
    emotions = index["emotion"].to_numpy()
    assert set(emotions[starts]) <= {EMOTIONS.index("neutral"), -1}
    coded = (prepared.labels >= 0).all(axis=1)
    assert coded[starts].all()
    np.testing.assert_array_equal(
        prepared.labels[coded & ~starts], labels(rows, prepared.action_units)[coded & ~starts]
    )
    tree.assert_frames_are_those_drawn(prepared)
    (problem,) = prepared.left_out()["reason"]
    assert "got an empty file" in problem


@pytest.mark.parametrize("tree", ["bp4d"], indirect=True)
def test_faces_lie_on_the_mean_face(tree: Tree, tmp_path: Path) -> None:
    prepared = tree.prepare(Bp4d(tree.root), tmp_path / "out", table=True)
    assert tree.truth[POINT_COLUMNS].notna().all(axis=None)
    assert prepared.index["residual"].median() < 2.5
