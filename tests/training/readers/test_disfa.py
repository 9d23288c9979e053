"""The reader of DISFA, on trees written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from fastcaps.training.errors import InputError
from fastcaps.training.readers.disfa import Disfa
from fastcaps.training.readers.sequences import LandmarkFiles, Video
from tests.training.files import write_text, write_video

UNITS = (1, 12)
POINTS = np.arange(132, dtype=np.float64).reshape(66, 2)


def intensity_lines(*intensities: int) -> str:
    return "".join(f"{frame},{value}\n" for frame, value in enumerate(intensities, 1))


def write_points(folder: Path, name: str, offset: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / name, {"pts": POINTS + offset})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two subjects; folders of the videos spelt differently, videos longer than the labels."""
    labels = tmp_path / "ActionUnit_Labels"
    write_text(labels / "SN001" / "SN001_au1.txt", intensity_lines(0, 1, 2))
    write_text(labels / "SN001" / "SN001_au12.txt", intensity_lines(5, 0, 1))
    write_text(labels / "SN032" / "SN032_au1.txt", intensity_lines(0, 4))
    write_text(labels / "SN032" / "SN032_au12.txt", intensity_lines(3, 0))
    for subject in ("SN001", "SN032"):
        write_video(tmp_path / "Videos_LeftCamera" / f"LeftVideo{subject}_comp.avi", [9] * 13)
        write_video(tmp_path / "Video_RightCamera" / f"RightVideo{subject}_comp.avi", [9] * 13)
    points = tmp_path / "Landmark_Points"
    for frame in (0, 2):
        write_points(points / "SN001" / "tmp_frame_lm", f"SN001_{frame:04d}_lm.mat", frame)
    for frame in (1, 2):
        write_points(points / "SN032" / "tmp_frame_lm", f"l0{frame:04d}_lm.mat", frame)
    return tmp_path


def test_labels_and_places_in_the_video(root: Path) -> None:
    contents = Disfa(root, UNITS).read()
    assert contents.problems == []
    first, second = contents.sequences
    assert (first.subject, first.name) == ("SN001", "left")
    assert first.frames.tolist() == [1, 2, 3]
    assert first.intensities.tolist() == [[0, 5], [1, 0], [2, 1]]
    assert first.labels.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert isinstance(first.source, Video)
    assert first.source.path.name == "LeftVideoSN001_comp.avi"
    assert first.source.places.tolist() == [0, 1, 2]
    assert second.labels.tolist() == [[0, 1], [1, 0]]


def test_the_smallest_positive_intensity_is_an_option(root: Path) -> None:
    first, _ = Disfa(root, UNITS, positive_from=1).read().sequences
    assert first.labels.tolist() == [[0, 1], [1, 0], [1, 1]]
    with pytest.raises(InputError, match=r"^positive_from: expected 1 \.\. 5, got 0"):
        Disfa(root, UNITS, positive_from=0)


@pytest.mark.parametrize("spelling", ["Video_RightCamera", "Videos_RightCamera"])
def test_both_spellings_of_the_folders(root: Path, spelling: str) -> None:
    (root / "Video_RightCamera").rename(root / spelling)
    first, _ = Disfa(root, UNITS, camera="right").read().sequences
    assert first.files() == (root / spelling / "RightVideoSN001_comp.avi",)
    assert first.landmarks is None


def test_landmarks_of_both_kinds_of_names(root: Path) -> None:
    first, second = Disfa(root, UNITS).read().sequences
    assert isinstance(first.landmarks, LandmarkFiles)
    assert isinstance(second.landmarks, LandmarkFiles)
    there = [i for i in range(68) if i not in (60, 64)]
    for landmarks, place, offset in (
        (first.landmarks, 0, 0),
        (first.landmarks, 2, 2),
        (second.landmarks, 0, 1),
        (second.landmarks, 1, 2),
    ):
        points = landmarks.load(place)
        np.testing.assert_array_equal(points[there], POINTS + offset)
        assert np.isnan(points[[60, 64]]).all()
    assert np.isnan(first.landmarks.load(1)).all()


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", b"\x00" * 200])
def test_damaged_landmarks_are_told(root: Path, content: bytes) -> None:
    path = root / "Landmark_Points" / "SN001" / "tmp_frame_lm" / "SN001_0000_lm.mat"
    path.write_bytes(content)
    landmarks = Disfa(root, UNITS).read().sequences[0].landmarks
    assert isinstance(landmarks, LandmarkFiles)
    with pytest.raises(InputError, match=r"SN001_0000_lm.mat: cannot be read as landmarks"):
        landmarks.load(0)


def test_landmarks_of_another_count_are_told(root: Path) -> None:
    path = root / "Landmark_Points" / "SN001" / "tmp_frame_lm" / "SN001_0000_lm.mat"
    scipy.io.savemat(path, {"pts": POINTS[:49]})
    landmarks = Disfa(root, UNITS).read().sequences[0].landmarks
    assert isinstance(landmarks, LandmarkFiles)
    with pytest.raises(InputError, match=r"expected pts \[66, 2\], got \[49, 2\]"):
        landmarks.load(0)


def test_a_missing_or_bad_label_file_leaves_its_action_unit_unknown(root: Path) -> None:
    (root / "ActionUnit_Labels" / "SN001" / "SN001_au12.txt").unlink()
    write_text(root / "ActionUnit_Labels" / "SN032" / "SN032_au1.txt", "1,0\n3,0\n")
    contents = Disfa(root, UNITS).read()
    assert contents.sequences[0].labels.tolist() == [[0, -1], [0, -1], [1, -1]]
    assert contents.sequences[1].labels.tolist() == [[-1, 1], [-1, 0]]
    first, second = contents.problems
    assert "AU 12 stays unknown" in first.reason
    assert "expected frames 1, 2, 3, ..." in second.reason


def test_label_files_of_different_lengths_are_told(root: Path) -> None:
    write_text(root / "ActionUnit_Labels" / "SN001" / "SN001_au12.txt", intensity_lines(5))
    contents = Disfa(root, UNITS).read()
    assert contents.sequences[0].labels.tolist() == [[0, 1], [0, -1], [1, -1]]
    assert contents.problems[0].reason == "AU 12 has 1 frames, others 3; unknown from there"


def test_labels_without_video_and_video_without_labels_are_told(root: Path) -> None:
    (root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi").unlink()
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN007_comp.avi", [9])
    contents = Disfa(root, UNITS).read()
    assert [sequence.subject for sequence in contents.sequences] == ["SN032"]
    assert {problem.subject: problem.reason for problem in contents.problems} == {
        "SN001": "has labels, but no video of the left camera",
        "SN007": "has no labels in ActionUnit_Labels",
    }


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^root: expected DISFA's ActionUnit_Labels/SN001"):
        Disfa(tmp_path).read()
