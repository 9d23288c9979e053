"""The reader of anyone's pictures with one table of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.readers.sequences import Contents, ImageFiles, Video
from fastcaps.training.readers.table import Table
from tests.training.files import write_image, write_text, write_video


def read(root: Path, text: str, **options: object) -> Contents:
    labels = write_text(root / "labels.csv", text)
    return Table(root, labels, **options).read()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "a/2.jpg", "b/x.png"):
        write_image(tmp_path / name, 50)
    write_video(tmp_path / "films" / "talk.mp4", [10, 20, 30])
    return tmp_path


def test_images_and_videos(root: Path) -> None:
    contents = read(
        root,
        "subject,path,frame,AU12,AU01,AU12_intensity,emotion\n"
        "ann,a/2.jpg,,1,0,4,happiness\n"
        "ann,a/1.jpg,,,1,,\n"
        "bob,films/talk.mp4,3,0,1,0,neutral\n"
        "bob,films/talk.mp4,1,1,0,2,\n"
        "001,b/x.png,7,0,0,,\n",
    )
    assert contents.problems == []
    number, ann, bob = contents.sequences
    assert (number.subject, number.name, number.frames.tolist()) == ("001", "b", [7])
    assert (ann.subject, ann.name, ann.action_units) == ("ann", "a", (1, 12))
    # Without numbers the order is that of the table.
    assert isinstance(ann.source, ImageFiles)
    assert [path.name for path in ann.source.paths] == ["2.jpg", "1.jpg"]
    assert ann.frames.tolist() == [1, 2]
    assert ann.labels.tolist() == [[0, 1], [1, -1]]
    assert ann.intensities.tolist() == [[-1, 4], [-1, -1]]
    assert ann.emotions.tolist() == [5, -1]
    assert isinstance(bob.source, Video)
    assert (bob.name, bob.frames.tolist()) == ("talk", [1, 3])
    assert bob.source.places.tolist() == [0, 2]
    assert bob.labels.tolist() == [[0, 1], [1, 0]]


def test_sequences_may_be_named(root: Path) -> None:
    contents = read(root, "subject,path,sequence,AU01\nann,a/1.jpg,first,0\nann,a/2.jpg,second,1\n")
    assert [sequence.name for sequence in contents.sequences] == ["first", "second"]


def test_only_wanted_action_units(root: Path) -> None:
    text = "subject,path,AU01,AU12\nann,a/1.jpg,0,1\n"
    (sequence,) = read(root, text, action_units=(12,)).sequences
    assert sequence.labels.tolist() == [[1]]
    with pytest.raises(InputError, match=r"^action_units: .*labels.csv has no column of AU 9$"):
        read(root, text, action_units=(9, 12))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",a/1.jpg,1,0,,", "has no subject"),
        ("ann,,1,0,,", "has no path"),
        ("ann,a/3.jpg,1,0,,", "its file is not in"),
        ("ann,a/1.jpg,1,2,,", "AU01: expected 0, 1 or none"),
        ("ann,a/1.jpg,1,yes,,", "AU01: expected 0, 1 or none"),
        ("ann,a/1.jpg,1,1,6,", r"AU01_intensity: expected 0 \.\. 5"),
        ("ann,a/1.jpg,1,1,5,joy", "emotion: expected one of neutral"),
        ("ann,a/1.jpg,1.5,1,5,", "frame: expected a whole number"),
        ("ann,a/1.jpg,1e30,1,5,", "frame: expected a whole number"),
        ("ann,a/1.jpg,-1,1,5,", "frame: expected a whole number"),
        ("bob,films/talk.mp4,,1,5,", "frame: expected the frame of the video, from 1"),
    ],
)
def test_a_bad_row_is_told_and_the_rest_is_read(root: Path, row: str, reason: str) -> None:
    header = "subject,path,frame,AU01,AU01_intensity,emotion\n"
    contents = read(root, f"{header}{row}\nann,a/2.jpg,2,1,3,\n")
    (sequence,) = contents.sequences
    assert sequence.frames.tolist() == [2]
    (problem,) = contents.problems
    with pytest.raises(InputError, match=f"^line 2: {reason}"):
        raise InputError(problem.reason)


def test_images_keep_their_numbers_when_one_is_missing(root: Path) -> None:
    contents = read(root, "subject,path,AU01\nann,a/1.jpg,0\nann,a/9.jpg,0\nann,a/2.jpg,1\n")
    (sequence,) = contents.sequences
    assert sequence.frames.tolist() == [1, 3]
    assert sequence.labels.tolist() == [[0], [1]]


def test_blanks_and_commas_at_the_end_do_no_harm(root: Path) -> None:
    contents = read(root, "subject , path,AU01,,\n ann,a/1.jpg , 1 ,,\nann , a/2.jpg,,,\n")
    assert contents.problems == []
    (sequence,) = contents.sequences
    assert (sequence.subject, sequence.labels.tolist()) == ("ann", [[1], [-1]])


def test_the_folder_may_be_the_current_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(root / "top.png", 50)
    labels = write_text(root / "labels.csv", "subject,path,AU01\nann,top.png,0\n")
    monkeypatch.chdir(root)
    (sequence,) = Table(Path("."), labels).read().sequences
    assert sequence.name == root.name


def test_frames_given_twice_or_of_two_videos_are_told(root: Path) -> None:
    twice = read(root, "subject,path,frame,AU01\nann,a/1.jpg,3,0\nann,a/2.jpg,3,1\n")
    assert "ann a has frames twice: 3" in twice.problems[0].reason
    mixed = read(
        root,
        "subject,path,sequence,frame,AU01\nann,a/1.jpg,s,1,0\nann,films/talk.mp4,s,2,1\n",
    )
    assert "ann s has frames of several files" in mixed.problems[0].reason


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ("", "utf-8", "expected a table, got an empty file"),
        ("subject,path,AU01\n", "utf-8", "expected rows with columns subject, path"),
        ("subject,path,AU01,AU01\nann,a/1.jpg,0,1\n", "utf-8", "has several columns AU01"),
        ("subject,path,AU01\nann,a/1.jpg,0,1\n", "utf-8", "line 2: expected 3 cells, got 4"),
        ("subject,AU01\nann,0\n", "utf-8", "expected rows with columns subject, path"),
        ("subject,path,AU03\nann,a/1.jpg,0\n", "utf-8", "column AU03: expected one of AU01, AU02"),
        ("subject,path,AU1\nann,a/1.jpg,0\n", "utf-8", "column AU1: expected one of AU01, AU02"),
        ("subject,path\nann,a/1.jpg\n", "utf-8", "expected different numbers"),
        ("subject,path,AU01\nané,a/1.jpg,0\n", "latin-1", "expected UTF-8, got byte 0xe9"),
    ],
)
def test_an_unusable_table_is_refused(root: Path, text: str, encoding: str, reason: str) -> None:
    labels = write_text(root / "labels.csv", text, encoding)
    with pytest.raises(InputError, match=reason):
        Table(root, labels)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Table(root, root / "other.csv")
