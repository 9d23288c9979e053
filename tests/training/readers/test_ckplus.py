"""The reader of CK+, on trees written by hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.readers.ckplus import CkPlus
from fastcaps.training.readers.sequences import LandmarkFiles
from tests.training.files import write_image, write_text

UNITS = (4, 9, 17)
LAST = {("S005", "001"): 6, ("S010", "002"): 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sequences, one of them without an emotion and without landmarks."""
    for (subject, name), last in LAST.items():
        stem = f"{subject}_{name}_{last:08d}"
        for frame in range(1, last + 1):
            folder = tmp_path / "cohn-kanade-images" / subject / name
            write_image(folder / f"{subject}_{name}_{frame:08d}.png", frame)
        facs = "   9.0000000e+00   5.0000000e+00\n   1.7000000e+01   0.0000000e+00\n"
        write_text(tmp_path / "FACS" / subject / name / f"{stem}_facs.txt", facs)
    write_text(
        tmp_path / "Emotion" / "S005" / "001" / "S005_001_00000006_emotion.txt",
        "   3.0000000e+00\n",
    )
    (tmp_path / "cohn-kanade-images" / ".DS_Store").write_bytes(b"\0")
    points = "\n".join(f"   {i}.5000000e+00   {i}.0000000e+01" for i in range(68))
    for frame in (1, 4, 5, 6):
        name = f"S005_001_{frame:08d}_landmarks.txt"
        write_text(tmp_path / "Landmarks" / "S005" / "001" / name, points)
    return tmp_path


def test_the_first_frame_and_the_last_three(root: Path) -> None:
    contents = CkPlus(root, UNITS).read()
    assert contents.problems == []
    first, second = contents.sequences
    assert first.frames.tolist() == [1, 4, 5, 6]
    assert first.emotions.tolist() == [0, 3, 3, 3]
    assert first.labels.tolist() == [[0, 0, 0], [-1, -1, -1], [-1, -1, -1], [0, 1, 1]]
    # Intensity 0 in the file: present, but not how much.
    assert first.intensities.tolist() == [[0, 0, 0], [-1, -1, -1], [-1, -1, -1], [0, 5, -1]]
    assert [path.name for path in first.files()] == [
        f"S005_001_{frame:08d}.png" for frame in (1, 4, 5, 6)
    ]
    assert second.frames.tolist() == [1, 2, 3, 4]
    assert second.emotions.tolist() == [-1, -1, -1, -1]
    assert second.landmarks is None
    assert contents.notes == ["1 sequences have no emotion"]


def test_landmarks(root: Path) -> None:
    landmarks = CkPlus(root, UNITS).read().sequences[0].landmarks
    assert isinstance(landmarks, LandmarkFiles)
    expected = [(i + 0.5, 10 * i) for i in range(10)]
    np.testing.assert_allclose(landmarks.load(3)[:10], expected)
    assert landmarks.paths[1] is not None
    landmarks.paths[1].write_text("1.0 2.0\n")
    with pytest.raises(InputError, match=r"expected 68 lines of x and y, got 1$"):
        landmarks.load(1)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("Emotion/S005/001/S005_001_00000006_emotion.txt", "8.0\n", "expected one number of 0"),
        ("Emotion/S005/001/S005_001_00000006_emotion.txt", "", "got an empty file"),
        ("FACS/S005/001/S005_001_00000006_facs.txt", "9.5 1.0\n", "got 9.5 and 1"),
        ("FACS/S005/001/S005_001_00000006_facs.txt", "9.0 7.0\n", "intensity 0 .. 5"),
        ("FACS/S005/001/S005_001_00000006_facs.txt", "nan 1.0\n", "expected 2 numbers"),
        ("FACS/S005/001/S005_001_00000006_facs.txt", "inf 1.0\n", "expected 2 numbers"),
        ("FACS/S005/001/S005_001_00000006_facs.txt", "9.0\n", "expected 2 numbers on each line"),
    ],
)
def test_bad_labels_stay_unknown_and_are_told(
    root: Path, file: str, text: str, reason: str
) -> None:
    write_text(root / file, text)
    contents = CkPlus(root, UNITS).read()
    first = contents.sequences[0]
    unknown = first.emotions if file.startswith("Emotion") else first.labels
    assert (unknown == -1).all()
    (problem,) = contents.problems
    assert problem.file == str(root / file)
    assert reason in problem.reason


def test_a_sequence_without_facs_or_of_too_few_frames_is_told(root: Path) -> None:
    (root / "FACS" / "S005" / "001" / "S005_001_00000006_facs.txt").unlink()
    (root / "cohn-kanade-images" / "S010" / "002" / "S010_002_00000004.png").unlink()
    contents = CkPlus(root, UNITS).read()
    assert [sequence.subject for sequence in contents.sequences] == ["S005"]
    first, second = contents.problems
    assert "has no FACS file" in first.reason
    assert "expected at least 4 frames SUBJECT_SEQUENCE_NUMBER.png, got 3" in second.reason


def test_names_that_are_not_utf8_become_readable(root: Path) -> None:
    images = root / "cohn-kanade-images"
    (images / "S010").rename(images / os.fsdecode(b"S\xff10"))
    contents = CkPlus(root, UNITS).read()
    assert [sequence.subject for sequence in contents.sequences] == ["S005", "S\ufffd10"]
    for problem in contents.problems:
        assert str(problem).encode()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^root: expected CK\+'s cohn-kanade-images"):
        CkPlus(tmp_path).read()
