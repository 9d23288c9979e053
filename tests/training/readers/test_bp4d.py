"""The reader of BP4D, on trees written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.readers.bp4d import Bp4d
from fastcaps.training.readers.sequences import ImageFiles, Sequence
from tests.training.files import write_image, write_text

UNITS = (1, 6, 12)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sequences of two subjects: other zeros before the numbers, codes 9, another folder."""
    coding = tmp_path / "AUCoding"
    write_text(coding / "AU_OCC" / "F001_T1.csv", "0,1,2,6,12\n8,0,0,1,9\n9,1,0,1,0\n10,1,1,9,1\n")
    write_text(coding / "AU_OCC" / "F001_T2.csv", ",12,6,1\r\n998,1,1,0\r\n1002,0,1,9\r\n")
    write_text(coding / "M010_T8.csv", "0,1,6,12\n5,0,0,0\n")
    write_text(coding / "AU_INT" / "AU06" / "F001_T1_AU06.csv", "8,3\n9,5\n10,9\n11,2\n")
    for frame in (8, 9, 10):
        write_image(tmp_path / "F001" / "T1" / f"{frame:04d}.jpg", frame)
    for frame in (998, 1002):
        write_image(tmp_path / "F001" / "T2" / f"{frame}.jpg", 100)
    write_image(tmp_path / "M010" / "T8" / "005.jpg", 200)
    return tmp_path


def read(root: Path) -> list[Sequence]:
    contents = Bp4d(root, UNITS).read()
    assert contents.problems == []
    return contents.sequences


def test_labels_frames_and_files(root: Path) -> None:
    first, second, third = read(root)
    assert [(s.subject, s.name) for s in (first, second, third)] == [
        ("F001", "T1"),
        ("F001", "T2"),
        ("M010", "T8"),
    ]
    assert first.frames.tolist() == [8, 9, 10]
    assert first.labels.tolist() == [[0, 1, -1], [1, 1, 0], [1, -1, 1]]
    assert first.labels.dtype == first.intensities.dtype == np.int8
    assert first.intensities.tolist() == [[-1, 3, -1], [-1, 5, -1], [-1, -1, -1]]
    assert first.emotions.tolist() == [-1, -1, -1]
    assert isinstance(first.source, ImageFiles)
    assert [path.name for path in first.source.paths] == ["0008.jpg", "0009.jpg", "0010.jpg"]
    # Columns are found by their action unit, in whatever order they stand.
    assert second.labels.tolist() == [[0, 1, 1], [-1, 1, 0]]
    assert [path.name for path in second.files()] == ["998.jpg", "1002.jpg"]
    assert [path.name for path in third.files()] == ["005.jpg"]


def test_frames_that_are_not_there_are_told(root: Path) -> None:
    (root / "F001" / "T1" / "0009.jpg").unlink()
    contents = Bp4d(root, UNITS).read()
    assert contents.sequences[0].frames.tolist() == [8, 10]
    assert contents.sequences[0].labels.tolist() == [[0, 1, -1], [1, -1, 1]]
    (problem,) = contents.problems
    assert problem.reason == "1 labelled frames are not there: 9"
    assert (problem.subject, problem.sequence) == ("F001", "T1")


def test_frames_without_labels_are_noted(root: Path) -> None:
    write_image(root / "F001" / "T1" / "0011.jpg", 11)
    contents = Bp4d(root, UNITS).read()
    assert contents.problems == []
    assert contents.sequences[0].frames.tolist() == [8, 9, 10]
    assert contents.notes == [f"{root / 'F001' / 'T1'}: 1 frames have no labels"]


def test_a_missing_column_stays_unknown(root: Path) -> None:
    write_text(root / "AUCoding" / "M010_T8.csv", "0,1,12\n5,0,1\n")
    contents = Bp4d(root, UNITS).read()
    assert contents.sequences[2].labels.tolist() == [[0, -1, 1]]
    (problem,) = contents.problems
    assert problem.file.endswith("M010_T8.csv")
    assert "no column of AU 6" in problem.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "got an empty file"),
        ("0,one,6\n5,0,0\n", "expected numbers of action units in the first row"),
        ("0,1,6,12\n5,0,0\n", "expected 4 numbers on each line, got '5,0,0' as line 2"),
        ("0,1,6,12\n5,0,2,0\n", r"expected codes 0 \.\. 1, or 9 for what was not coded, got 2"),
        ("0,1,6,12\n5,0,0,0\n5,0,0,0\n", "expected ascending frame numbers"),
        ("0,1,6,12\n", "expected a row for each frame, got none"),
        ("0,1,6,1,12\n5,0,0,1,0\n", "has several columns of AU 1"),
        (f"0,1,6,12\n{'9' * 400},0,0,0\n", "expected 4 numbers on each line"),
        ("0,31,32\n5,0,0\n", r"expected columns of AU 1, 6, 12, got \[31, 32\]"),
    ],
)
def test_a_bad_label_file_is_told_and_the_rest_is_read(root: Path, text: str, reason: str) -> None:
    path = write_text(root / "AUCoding" / "AU_OCC" / "F001_T1.csv", text)
    contents = Bp4d(root, UNITS).read()
    assert [s.name for s in contents.sequences] == ["T2", "T8"]
    (problem,) = contents.problems
    assert problem.file == str(path)
    assert str(path) not in problem.reason
    with pytest.raises(InputError, match=reason):
        raise InputError(problem.reason)


def test_text_that_is_not_utf8_is_told(root: Path) -> None:
    write_text(root / "AUCoding" / "AU_OCC" / "F001_T1.csv", "0,1,6,12\n5,0,0,é\n", "latin-1")
    (problem,) = Bp4d(root, UNITS).read().problems
    assert "expected UTF-8 text, got byte 0xe9 at" in problem.reason


def test_subjects_without_labels_and_labels_without_frames_are_told(root: Path) -> None:
    write_image(root / "F002" / "T1" / "1.jpg", 1)
    write_image(root / "M010" / "T7" / "1.jpg", 1)
    write_text(root / "AUCoding" / "AU_OCC" / "F003_T1.csv", "0,1,6,12\n5,0,0,0\n")
    problems = Bp4d(root, UNITS).read().problems
    assert {(problem.subject, problem.sequence) for problem in problems} == {
        ("F002", ""),
        ("M010", "T7"),
        ("F003", "T1"),
    }


def test_bad_intensities_are_told_and_stay_unknown(root: Path) -> None:
    write_text(root / "AUCoding" / "AU_INT" / "AU06" / "F001_T1_AU06.csv", "8,6\n")
    contents = Bp4d(root, UNITS).read()
    assert (contents.sequences[0].intensities == -1).all()
    assert "expected codes 0 .. 5" in contents.problems[0].reason


def test_a_folder_that_one_may_not_enter_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterdir = Path.iterdir

    def closed(folder: Path) -> Iterator[Path]:
        if folder.name in ("T1", "M010"):
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    contents = Bp4d(root, UNITS).read()
    assert [(s.subject, s.name) for s in contents.sequences] == [("F001", "T2"), ("M010", "T8")]
    assert {problem.subject for problem in contents.problems} == {"F001", "M010"}
    assert all("cannot be read: Permission denied" in str(p) for p in contents.problems)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^root: expected BP4D's AUCoding/AU_OCC"):
        Bp4d(tmp_path).read()


@pytest.mark.parametrize("units", [(), (1, 1), (1, 3)])
def test_wrong_action_units_are_refused(tmp_path: Path, units: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^action_units: expected different numbers of 1, 2, 4"):
        Bp4d(tmp_path, units)
