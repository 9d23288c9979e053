"""The layouts' files against the ground truth, read here and by the data sets' readers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import scipy.io
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS, column
from fastcaps.training.faces.aligned import aligned_face
from fastcaps.training.folds import COMMUNITY_FOLDS
from fastcaps.training.prepared import open_prepared
from fastcaps.training.readers.bp4d import Bp4d
from fastcaps.training.readers.ckplus import CkPlus
from fastcaps.training.readers.disfa import Camera, Disfa
from fastcaps.training.readers.landmark_table import load_landmarks
from fastcaps.training.readers.pictures import open_image, open_pictures
from fastcaps.training.readers.sequences import Contents, Sequence
from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.layouts.truth import SCHEMA, TRUTH
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.performances import coded_intensities, occurrences
from fastcaps.training.synthetic.recordings import Recording, person_of, states_of
from fastcaps.training.synthetic.settings import LAYOUTS, Settings, recordings_of
from tests.training.synthetic_trees import (
    cut_off,
    delete,
    drop_column,
    empty,
    files_of,
    forget_codes,
    small_tree,
    truth_in,
)

UNITS = tuple(ACTION_UNITS)
POINTS = [f"{axis}{point}" for point in range(68) for axis in "xy"]
SUBJECTS, FRAMES, SIDE = 5, 13, 63
"""Odd, and not the same number of frames for each task."""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each layout, not to be changed."""
    folder = tmp_path_factory.mktemp("trees")
    for layout in LAYOUTS:
        small_tree(layout, folder / layout, subjects=SUBJECTS, frames=FRAMES, side=SIDE)
    return {layout: folder / layout for layout in LAYOUTS}


def settings_of(layout: str) -> Settings:
    return Settings(layout, SUBJECTS, FRAMES, SIDE)


def drawn(recording: Recording) -> Iterator[Picture]:
    """Its pictures, drawn anew."""
    person = person_of(recording.person, 0)
    for state in states_of(recording, 0):
        yield DrawnRenderer().render(person, state, SIDE)


def rows_of(truth: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    mine = (truth["subject"] == recording.subject) & (truth["sequence"] == recording.sequence)
    return truth[mine]


def labels(truth: pd.DataFrame, units: tuple[int, ...] = UNITS) -> NDArray[np.int8]:
    return truth[[column(unit) for unit in units]].to_numpy()


def intensities(truth: pd.DataFrame, units: tuple[int, ...] = UNITS) -> NDArray[np.int8]:
    return truth[[f"{column(unit)}_intensity" for unit in units]].to_numpy()


def landmarks(truth: pd.DataFrame) -> NDArray[np.float32]:
    return truth[POINTS].to_numpy().reshape(-1, 68, 2)


def noise(images: list[NDArray[np.uint8]], expected: list[NDArray[np.uint8]]) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.mean((np.array(images, dtype=float) - expected) ** 2)))


def assert_shown(images: list[NDArray[np.uint8]], expected: list[NDArray[np.uint8]]) -> None:
    """Lossy images are the expected ones, each at its place."""
    assert len(images) == len(expected)
    assert max(map(noise, images, expected)) < 6
    if len(images) > 1:
        assert noise(images[1:], expected[1:]) < noise(images[1:], expected[:-1])
        assert noise(images[:-1], expected[:-1]) < noise(images[:-1], expected[1:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_truth_is_what_is_drawn(trees: dict[str, Path], layout: str) -> None:
    truth = truth_in(trees[layout])
    assert pyarrow.parquet.read_schema(trees[layout] / TRUTH).equals(SCHEMA)
    recordings = recordings_of(settings_of(layout))
    keys = [
        (recording.subject, recording.sequence, recording.first + place)
        for recording in recordings
        for place in range(recording.frames)
    ]
    assert list(zip(truth["subject"], truth["sequence"], truth["frame"], strict=True)) == keys
    for recording in recordings[:: len(recordings) // 2]:
        rows = rows_of(truth, recording)
        person, states = person_of(recording.person, 0), states_of(recording, 0)[: recording.frames]
        coded = coded_intensities(states)
        np.testing.assert_array_equal(intensities(rows), coded)
        np.testing.assert_array_equal(labels(rows), occurrences(coded))
        for state, row in zip(states, rows.to_dict("records"), strict=True):
            shown = (state.pose.yaw, state.pose.pitch, state.pose.roll, *state.light)
            told = [row[name] for name in ("yaw", "pitch", "roll", "light_left", "light_up")]
            np.testing.assert_allclose(told, shown, rtol=1e-6)
            assert row["contrast"] == np.float32(state.contrast)
            assert row["brightness"] == np.float32(state.brightness)
            for name in ("skin_tone", "iris", "brow", "lip"):
                assert row[name] == np.float32(getattr(person, name))
            assert row["identity"] == recording.person
        expected = [picture.landmarks for picture in drawn(recording)][: recording.frames]
        np.testing.assert_array_equal(landmarks(rows), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_subject_has_the_frames_that_were_asked_for(
    trees: dict[str, Path], layout: str
) -> None:
    cameras = len(get_args(Camera)) if layout == "disfa" else 1
    counts = truth_in(trees[layout]).groupby("subject").size()
    assert counts.tolist() == [FRAMES * cameras] * SUBJECTS


def test_bp4d_files(trees: dict[str, Path]) -> None:
    root = trees["bp4d"]
    truth = truth_in(root)
    digits: Counter[str | int] = Counter()
    for recording in recordings_of(settings_of("bp4d")):
        rows = rows_of(truth, recording)
        table = pd.read_csv(root / "AUCoding" / "AU_OCC" / f"{recording.name}.csv", index_col=0)
        assert table.index.name == "0"
        assert table.index.tolist() == rows["frame"].tolist()
        rendered = [str(unit) for unit in UNITS if str(unit) in table]
        assert set(map(str, UNITS)) - set(rendered) == {"25", "26"}
        expected = rows[[column(int(unit)) for unit in rendered]]
        np.testing.assert_array_equal(table[rendered], expected)
        assert (table.drop(columns=rendered) == 9).all(axis=None)
        assert {"11", "27", "39"} <= set(table.columns)
        for unit in (6, 10, 12, 14, 17):
            name = f"AU{unit:02d}"
            path = root / "AUCoding" / "AU_INT" / name / f"{recording.name}_{name}.csv"
            expected = np.column_stack([rows["frame"], rows[f"{name}_intensity"]])
            np.testing.assert_array_equal(np.loadtxt(path, delimiter=",", ndmin=2), expected)
        folder = root / recording.subject / recording.sequence
        names = sorted(path.stem for path in folder.iterdir())
        assert sorted(map(int, names)) == rows["frame"].tolist()
        digits["none" if names[0][0] != "0" else len(names[0])] += 1
    assert {"none", 3, 4} == set(digits)


def test_bp4d_frames_are_the_pictures(trees: dict[str, Path]) -> None:
    for recording in recordings_of(settings_of("bp4d"))[::5]:
        folder = trees["bp4d"] / recording.subject / recording.sequence
        files = sorted(folder.iterdir(), key=lambda path: int(path.stem))
        assert {path.suffix for path in files} == {".jpg"}
        images = [open_image(path, colour=True) for path in files]
        assert_shown(images, [picture.image for picture in drawn(recording)])


def test_disfa_labels_and_landmarks(trees: dict[str, Path]) -> None:
    root = trees["disfa"]
    truth = truth_in(root)
    for recording in recordings_of(settings_of("disfa"))[::2]:
        rows = rows_of(truth, recording)
        subject = recording.subject
        folder = root / "ActionUnit_Labels" / subject
        coded = {int(path.stem.partition("_au")[2]) for path in folder.iterdir()}
        assert coded == {1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26}
        for unit in coded:
            lines = (folder / f"{subject}_au{unit}.txt").read_text().splitlines()
            values = rows[f"AU{unit:02d}_intensity"]
            assert lines == [f"{frame},{value}" for frame, value in enumerate(values, 1)]
        files = sorted((root / "Landmark_Points" / subject / "tmp_frame_lm").iterdir())
        assert [path.name for path in files] == [f"{subject}_{i:04d}_lm.mat" for i in range(FRAMES)]
        for path, points in zip(files, landmarks(rows), strict=True):
            stored = scipy.io.loadmat(path)["pts"]
            np.testing.assert_array_equal(stored, np.delete(points, [60, 64], axis=0))


def test_disfa_videos(trees: dict[str, Path]) -> None:
    root = trees["disfa"]
    folders = {"left": "Videos_LeftCamera/LeftVideo", "right": "Video_RightCamera/RightVideo"}
    extra = {}
    for recording in recordings_of(settings_of("disfa")):
        path = root / f"{folders[recording.sequence]}{recording.subject}_comp.avi"
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == 20
            images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert_shown(images, [picture.image for picture in drawn(recording)])
        extra[recording.subject, recording.sequence] = len(images) - FRAMES
    assert all(extra[name, "left"] == extra[name, "right"] for name, _ in extra)
    assert 0 <= min(extra.values()) < max(extra.values()) <= 10


def test_disfa_cameras_see_the_same_at_other_angles(trees: dict[str, Path]) -> None:
    truth = truth_in(trees["disfa"])
    left, right = (
        truth[truth["sequence"] == camera].reset_index(drop=True) for camera in ("left", "right")
    )
    np.testing.assert_array_equal(intensities(left), intensities(right))
    np.testing.assert_allclose(right["yaw"] - left["yaw"], 8, rtol=1e-5)
    np.testing.assert_allclose(right["light_left"] - left["light_left"], 8, rtol=1e-5)
    assert (right["pitch"] == left["pitch"]).all()


def test_ckplus_files(trees: dict[str, Path]) -> None:
    root = trees["ckplus"]
    truth = truth_in(root)
    modes, with_emotion = set(), []
    recordings = recordings_of(settings_of("ckplus"))
    for recording in recordings:
        rows = rows_of(truth, recording)
        below = Path(recording.subject, recording.sequence)
        images = sorted((root / "cohn-kanade-images" / below).iterdir())
        points = sorted((root / "Landmarks" / below).iterdir())
        stems = [f"{recording.name}_{frame:08d}" for frame in rows["frame"]]
        assert [path.name for path in images] == [f"{stem}.png" for stem in stems]
        assert [path.name for path in points] == [f"{stem}_landmarks.txt" for stem in stems]
        for path, picture in zip(images, drawn(recording), strict=True):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            modes.add(image.ndim)
            expected = picture.image[..., ::-1]
            if image.ndim == 2:
                expected = cv2.cvtColor(picture.image, cv2.COLOR_RGB2GRAY)
            np.testing.assert_array_equal(image, expected)
        stored = [np.loadtxt(path) for path in points]
        np.testing.assert_allclose(stored, landmarks(rows), rtol=1e-7)
        (facs,) = (root / "FACS" / below).iterdir()
        assert facs.name == f"{stems[-1]}_facs.txt"
        peak = dict(zip(UNITS, intensities(rows)[-1], strict=True))
        expected = {unit: value for unit, value in peak.items() if value}
        assert dict(np.loadtxt(facs, ndmin=2)) == expected
        for emotion in (root / "Emotion").glob(f"{below}/*"):
            assert emotion.name == f"{stems[-1]}_emotion.txt"
            assert re.fullmatch(r"   \d\.0{7}e\+00\n", emotion.read_text())
            assert rows["emotion"].tolist() == [float(emotion.read_text())] * len(rows)
            with_emotion.append(recording.name)
    assert modes == {2, 3}
    assert 0 < len(with_emotion) < len(recordings)


@pytest.mark.parametrize("frames", [8, 9, 20, 21, 28, 29, 137, 500])
def test_ckplus_sequences_have_8_to_20_frames(frames: int) -> None:
    recordings = recordings_of(Settings("ckplus", 5, frames))
    lengths = [recording.frames for recording in recordings]
    assert 8 <= min(lengths) <= max(lengths) <= 20
    assert sum(lengths) == 5 * frames
    if frames >= 137:
        assert {recording.performance for recording in recordings} == set(EMOTIONS) - {"neutral"}


def test_names_are_those_of_the_real_subjects() -> None:
    for layout, dataset, count in (("bp4d", "bp4d", 41), ("disfa", "disfa", 27)):
        names = {recording.subject for recording in recordings_of(Settings(layout, count, 8))}
        assert names == {name for fold in COMMUNITY_FOLDS[dataset] for name in fold}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_of_many_subjects_differ(layout: str) -> None:
    names = {
        (recording.person, recording.subject)
        for recording in recordings_of(Settings(layout, 900, 8))
    }
    assert len({name for _, name in names}) == len(names) == 900
    assert all(re.fullmatch(r"[A-Z]{1,2}\d{3}", name) for _, name in names)


def test_prepared_frames_and_labels(trees: dict[str, Path]) -> None:
    prepared = open_prepared(trees["prepared"])
    prepared.check()
    truth = truth_in(trees["prepared"])
    assert prepared.action_units == UNITS
    assert prepared.frames.shape == (SUBJECTS * FRAMES, 110, 110)
    for name in ("subject", "sequence", "frame", "emotion"):
        assert prepared.index[name].tolist() == truth[name].tolist()
    np.testing.assert_array_equal(prepared.labels, labels(truth))
    np.testing.assert_array_equal(prepared.intensities, intensities(truth))
    place = 0
    for recording in recordings_of(settings_of("prepared")):
        for picture in drawn(recording):
            expected = aligned_face(picture.image, picture.landmarks, 96, False)
            np.testing.assert_array_equal(prepared.frames[place], expected.image)
            assert prepared.index["residual"][place] == np.float32(expected.residual)
            place += 1


def test_prepared_in_colour_for_large_networks(tmp_path: Path) -> None:
    small_tree("prepared", tmp_path, subjects=1, frames=2, input_side=224, colour=True)
    prepared = open_prepared(tmp_path)
    assert prepared.frames.shape == (2, 256, 256, 3)
    assert prepared.shape.colour


READERS: dict[str, Callable[[Path], Contents]] = {
    "bp4d": lambda root: Bp4d(root).read(),
    "disfa": lambda root: Disfa(root, positive_from=1).read(),
    "disfa right": lambda root: Disfa(root, camera="right", positive_from=1).read(),
    "ckplus": lambda root: CkPlus(root).read(),
}


def joined(truth: pd.DataFrame, sequence: Sequence) -> pd.DataFrame:
    """The ground truth of a sequence's frames."""
    mine = truth[(truth["subject"] == sequence.subject) & (truth["sequence"] == sequence.name)]
    return mine.set_index("frame").loc[sequence.frames].reset_index()


@pytest.mark.parametrize("reader", READERS)
def test_readers_find_the_truth(trees: dict[str, Path], reader: str) -> None:
    layout = reader.partition(" ")[0]
    truth = truth_in(trees[layout])
    contents = READERS[reader](trees[layout])
    assert contents.problems == []
    assert len({sequence.subject for sequence in contents.sequences}) == SUBJECTS
    by_name = {(r.subject, r.sequence): r for r in recordings_of(settings_of(layout))}
    found = 0
    for sequence in contents.sequences:
        rows = joined(truth, sequence)
        found += len(rows)
        known = sequence.labels >= 0
        assert known[[0, -1]].all()
        np.testing.assert_array_equal(
            sequence.labels[known], labels(rows, sequence.action_units)[known]
        )
        known = sequence.intensities >= 0
        np.testing.assert_array_equal(
            sequence.intensities[known], intensities(rows, sequence.action_units)[known]
        )
        recording = by_name[sequence.subject, sequence.name]
        pictures = dict(enumerate(drawn(recording), recording.first))
        images = list(open_pictures(sequence, True))
        expected = [pictures[number].image for number in sequence.frames]
        if layout == "ckplus" and recording.person % 4:
            expected = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in expected]
            expected = [cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) for image in expected]
        assert_shown(images, expected)
        if sequence.landmarks is not None:
            there = np.array([sequence.landmarks.load(place) for place in range(len(rows))])
            shown = np.isfinite(there)
            assert shown.mean() > 0.96
            np.testing.assert_allclose(there[shown], landmarks(rows)[shown], rtol=1e-6)
    if layout != "ckplus":
        assert found == SUBJECTS * FRAMES


def test_reader_of_ckplus_finds_emotions(trees: dict[str, Path]) -> None:
    truth = truth_in(trees["ckplus"])
    for sequence in CkPlus(trees["ckplus"]).read().sequences:
        shown = int(joined(truth, sequence)["emotion"][0])
        assert sequence.emotions.tolist() in ([0, shown, shown, shown], [-1] * 4)
        assert (sequence.emotions[0] == 0) == any(
            (trees["ckplus"] / "Emotion" / sequence.subject / sequence.name).glob("*")
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_truth_serves_as_a_table_of_landmarks(trees: dict[str, Path], layout: str) -> None:
    table = load_landmarks(trees[layout] / TRUTH)
    np.testing.assert_array_equal(table.to_numpy(), truth_in(trees[layout])[POINTS])


def test_damage(tmp_path: Path) -> None:
    truth = small_tree("bp4d", tmp_path, subjects=1, frames=24)
    rows = truth[truth["sequence"] == "T1"].reset_index(drop=True)
    table = tmp_path / "AUCoding" / "AU_OCC" / "F001_T1.csv"
    frames = sorted((tmp_path / "F001" / "T1").iterdir())
    forget_codes(table, 6, {int(rows["frame"][1])})
    forget_codes(table, 12)
    drop_column(table, 17)
    delete(frames[0])
    cut_off(frames[1])
    empty(frames[2])
    contents = Bp4d(tmp_path).read()
    (sequence,) = (sequence for sequence in contents.sequences if sequence.name == "T1")
    told = " ".join(map(str, contents.problems))
    assert "AU 17" in told
    assert f"not there: {rows['frame'][0]}" in told
    assert sequence.frames.tolist() == rows["frame"].tolist()[1:]
    expected = labels(rows, sequence.action_units)[1:].copy()
    expected[0, sequence.action_units.index(6)] = -1
    expected[:, [sequence.action_units.index(unit) for unit in (12, 17)]] = -1
    np.testing.assert_array_equal(sequence.labels, expected)
    pictures = list(open_pictures(sequence, False))
    assert "cut off" in str(pictures[0])
    assert "empty" in str(pictures[1])


def test_damaged_trees_differ_nowhere_else(tmp_path: Path) -> None:
    small_tree("bp4d", tmp_path, subjects=1, frames=8)
    table = tmp_path / "AUCoding" / "AU_OCC" / "F001_T1.csv"
    before = files_of(tmp_path)
    frame = int(before["AUCoding/AU_OCC/F001_T1.csv"].splitlines()[1].split(b",")[0])
    forget_codes(table, 1, {frame + 1})
    assert files_of(tmp_path) == before
    drop_column(table, 39)
    after = files_of(tmp_path)
    assert [name for name in after if after[name] != before[name]] == [
        "AUCoding/AU_OCC/F001_T1.csv"
    ]
    assert after["AUCoding/AU_OCC/F001_T1.csv"] == b"".join(
        line.rpartition(b",")[0] + b"\n"
        for line in before["AUCoding/AU_OCC/F001_T1.csv"].splitlines()
    )
