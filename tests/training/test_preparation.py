"""From pictures of any source to a prepared data set: whole, resumable, the same bytes always."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fastcaps.training import parts, preparation
from fastcaps.training.errors import InputError
from fastcaps.training.faces.aligned import align_sequence
from fastcaps.training.faces.detectors import Face
from fastcaps.training.faces.landmarks import MEAN_FACE
from fastcaps.training.folders import held
from fastcaps.training.merging import merge
from fastcaps.training.preparation import Options, Resources, Summary, prepare
from fastcaps.training.prepared import CONTENTS, Prepared, Shape, open_prepared
from fastcaps.training.processes import worker_pool
from fastcaps.training.readers.landmark_table import POINT_COLUMNS
from fastcaps.training.readers.sequences import (
    Contents,
    LandmarkFiles,
    Sequence,
    Video,
)
from fastcaps.training.readers.table import Table
from tests.training.files import sequence_of, write_image, write_text, write_video

SUBJECTS = ("ann", "bob", "cy")
FRAMES = 4
SIDE = 120
OPTIONS = Options(Shape(96, colour=False))
ALONE = Resources(workers=1)


def shade(subject: int, place: int) -> int:
    return 20 + 60 * subject + 10 * place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three subjects, two of them as images and one as a video; each frame has its own shade."""
    root = tmp_path / "root"
    rows, points = [], []
    for number, subject in enumerate(SUBJECTS):
        shades = [shade(number, place) for place in range(FRAMES)]
        if subject == "bob":
            write_video(root / "bob.avi", shades, SIDE)
        for place in range(FRAMES):
            path = "bob.avi" if subject == "bob" else f"{subject}/{place + 1}.png"
            if subject != "bob":
                write_image(root / path, shades[place], SIDE)
            rows.append(f"{subject},{path},{place + 1},{place % 2},{(place + number) % 2},{place}")
            landmarks = (MEAN_FACE + np.float32([5, place])).ravel()
            points.append([subject, subject, place + 1, *landmarks])
    write_text(
        root / "labels.csv", "\n".join(["subject,path,frame,AU01,AU12,AU12_intensity", *rows])
    )
    columns = ["subject", "sequence", "frame", *POINT_COLUMNS]
    pd.DataFrame(points, columns=columns).to_csv(root / "landmarks.csv", index=False)
    return root


def run(
    root: Path,
    out: Path,
    options: Options = OPTIONS,
    resources: Resources = ALONE,
    progress: preparation.Progress | None = None,
) -> Summary:
    if options.alignment == "given" and options.landmarks is None:
        options = replace(options, landmarks=root / "landmarks.csv")
    reader = Table(root, root / "labels.csv")
    return prepare(
        reader, root, out, options, {"data_set": "csv"}, resources=resources, progress=progress
    )


def files_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in (*CONTENTS, "settings.json")}


def brightness(prepared: Prepared) -> NDArray[np.float64]:
    return prepared.frames.reshape(len(prepared.frames), -1).mean(axis=1)


def expected_brightness() -> list[int]:
    return [shade(subject, place) for subject in range(3) for place in range(FRAMES)]


def test_frames_labels_and_counts(root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    summary = run(root, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert summary.frames == 12
    assert summary.problems.empty
    assert told[0] == (0, 12)
    assert told[-1] == (12, 12)
    prepared = open_prepared(tmp_path / "out")
    prepared.check()
    assert prepared.frames.shape == (12, 110, 110)
    assert prepared.frames.dtype == np.uint8
    np.testing.assert_allclose(brightness(prepared), expected_brightness(), atol=2)
    index = prepared.index
    assert index["subject"].tolist() == [name for name in SUBJECTS for _ in range(FRAMES)]
    assert index["frame"].tolist() == [1, 2, 3, 4] * 3
    assert prepared.labels[:, 0].tolist() == [0, 1, 0, 1] * 3
    assert prepared.labels[:, 1].tolist() == [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1]
    assert prepared.intensities.tolist() == [[-1, place] for place in range(4)] * 3
    assert prepared.labels.dtype == np.int8
    assert index["source"].tolist()[3:5] == ["ann/4.png", "bob.avi"]
    np.testing.assert_allclose(index["residual"], 0, atol=1e-4)
    assert prepared.action_units == (1, 12)
    counts = {name: prepared.meta[name] for name in ("frames", "subjects", "sequences", "left_out")}
    assert counts == {"frames": 12, "subjects": 3, "sequences": 3, "left_out": 0}
    assert not (tmp_path / "out" / "parts").exists()


def test_colour_and_the_larger_size(root: Path, tmp_path: Path) -> None:
    red = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    red[:, :, 2] = 200
    cv2.imwrite(str(root / "ann" / "1.png"), red)
    run(root, tmp_path / "out", Options(Shape(224, colour=True)))
    prepared = open_prepared(tmp_path / "out")
    assert prepared.frames.shape == (12, 256, 256, 3)
    np.testing.assert_array_equal(prepared.frames[0, 100, 100], [200, 0, 0])


def test_what_cannot_be_used_is_left_out_and_told(root: Path, tmp_path: Path) -> None:
    (root / "ann" / "2.png").write_bytes(b"")
    table = pd.read_csv(root / "landmarks.csv")
    table = table[~((table["subject"] == "bob") & (table["frame"] == 3))]
    table.to_csv(root / "landmarks.csv", index=False)
    write_text(root / "labels.csv", (root / "labels.csv").read_text() + "\ndan,d.png,1,0,0,0\n")
    summary = run(root, tmp_path / "out")
    assert summary.frames == 10
    prepared = open_prepared(tmp_path / "out")
    left = [shade for i, shade in enumerate(expected_brightness()) if i not in (1, 6)]
    np.testing.assert_allclose(brightness(prepared), left, atol=2)
    rows = prepared.left_out()
    pd.testing.assert_frame_equal(rows, summary.problems)
    assert rows["subject"].tolist() == ["ann", "bob", "dan"]
    assert rows["frame"].tolist() == [2, 3, pd.NA]
    assert rows["reason"].tolist()[0] == "expected an image, got an empty file; copy it again"
    assert rows["reason"].tolist()[1] == "has no landmarks"
    assert "its file is not in" in rows["reason"].tolist()[2]
    assert prepared.meta["left_out"] == 3


class Stop(Exception):
    """Stands for whatever ends a program."""


@pytest.fixture
def whole(root: Path, tmp_path: Path) -> dict[str, bytes]:
    run(root, tmp_path / "whole")
    return files_of(tmp_path / "whole")


def test_stopped_work_goes_on_and_redoes_nothing(
    root: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = parts.align_sequence

    def stop_at_bob(sequence: Sequence, *rest: object) -> Iterator[object]:
        for place, face in enumerate(original(sequence, *rest)):
            if sequence.subject == "bob" and place == 2 and made.count("bob") == 1:
                raise Stop
            yield face

    def counted(sequence: Sequence, *rest: object) -> Iterator[object]:
        made.append(sequence.subject)
        return stop_at_bob(sequence, *rest)

    monkeypatch.setattr(parts, "align_sequence", counted)
    with pytest.raises(Stop):
        run(root, tmp_path / "out")
    told: list[tuple[int, int]] = []
    run(root, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert made == ["ann", "bob", "bob", "cy"]
    assert told[0] == (4, 12)
    assert files_of(tmp_path / "out") == whole
    run(root, tmp_path / "out")
    assert made == ["ann", "bob", "bob", "cy"]


KILLED = """
import os, signal, sys
from pathlib import Path
from fastcaps.training.preparation import Options, Resources, prepare
from fastcaps.training.prepared import Shape
from fastcaps.training.readers.table import Table

replace, left = os.replace, int(sys.argv[3])

def replace_or_die(*paths):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)

os.replace = replace_or_die
root = Path(sys.argv[1])
options = Options(Shape(96, colour=False), landmarks=root / "landmarks.csv")
prepare(Table(root, root / "labels.csv"), root, Path(sys.argv[2]), options, {"data_set": "csv"},
        resources=Resources(workers=1))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_killed_work_ends_with_the_same_bytes(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    # Writes: settings, frames and rows of three parts, four files of the data set.
    for writes in (2, 3, 3, 1):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(root), str(out), str(writes)],
            env=environment,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
    run(root, out)
    assert files_of(out) == whole


def test_several_processes_give_the_same_bytes(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    run(root, tmp_path / "out", resources=Resources(workers=2))
    assert files_of(tmp_path / "out") == whole


def test_shards_become_the_same_data_set(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    (root / "cy" / "1.png").write_bytes(b"")
    shards = [tmp_path / "a", tmp_path / "b"]
    for number, shard in enumerate(shards):
        run(root, shard, replace(OPTIONS, shard=(number, 2)))
    assert open_prepared(shards[0]).index["subject"].unique().tolist() == ["ann", "cy"]
    merge(tmp_path / "merged", shards[::-1])
    run(root, tmp_path / "out")
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "out")
    with pytest.raises(InputError, match=r"^shards: expected each of 0/2 .* once, got 0/2, 0/2"):
        merge(tmp_path / "again", [shards[0], shards[0]])
    run(root, tmp_path / "other", Options(Shape(96, colour=True), shard=(1, 2)))
    with pytest.raises(InputError, match=r"^shards: .*other was made with other settings than"):
        merge(tmp_path / "again", [shards[0], tmp_path / "other"])


def change_everything(root: Path) -> None:
    """Another picture, another label and another landmark of the first subject."""
    write_image(root / "ann" / "3.png", 250, SIDE)
    labels = (root / "labels.csv").read_text().replace("ann,ann/4.png,4,1", "ann,ann/4.png,4,0")
    write_text(root / "labels.csv", labels)
    table = pd.read_csv(root / "landmarks.csv")
    table["x30"] = table["x30"].where(table["subject"] != "ann", 60.0)
    table.to_csv(root / "landmarks.csv", index=False)


@pytest.mark.parametrize("stopped", [True, False])
def test_what_has_changed_is_done_again(
    root: Path, tmp_path: Path, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stopped:
        with monkeypatch.context() as patch:
            patch.setattr(preparation, "write_prepared", raise_stop)
            with pytest.raises(Stop):
                run(root, tmp_path / "out")
    else:
        run(root, tmp_path / "out")
    change_everything(root)
    run(root, tmp_path / "out")
    run(root, tmp_path / "fresh")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
    prepared = open_prepared(tmp_path / "out")
    assert brightness(prepared)[2] == pytest.approx(250, abs=2)
    assert prepared.labels[3, 0] == 0


def raise_stop(*_: object) -> None:
    raise Stop


def test_a_damaged_data_set_is_prepared_again(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    run(root, tmp_path / "out")
    (tmp_path / "out" / "frames.npy").write_bytes(b"")
    run(root, tmp_path / "out")
    assert files_of(tmp_path / "out") == whole


def test_files_of_landmarks_count_as_source(root: Path, tmp_path: Path) -> None:
    ann = Table(root, root / "labels.csv").read().sequences[0]
    file = write_text(tmp_path / "points.txt", "1 2")
    given = replace(ann, landmarks=LandmarkFiles((file, None, None, None), lambda _: MEAN_FACE))
    before = parts.digest(given, root, "")
    assert parts.digest(given, root, "") == before
    assert parts.digest(given, root, "another size") != before
    write_text(file, "1 2 3")
    assert parts.digest(given, root, "") != before


KILLED_BY_PROGRESS = """
import os, signal, sys
from pathlib import Path
from fastcaps.training.preparation import Options, Resources, prepare
from fastcaps.training.prepared import Shape
from fastcaps.training.readers.table import Table

def die(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    root = Path(sys.argv[1])
    options = Options(Shape(96, colour=False), landmarks=root / "landmarks.csv")
    prepare(Table(root, root / "labels.csv"), root, Path(sys.argv[2]), options,
            {"data_set": "csv"}, resources=Resources(workers=2), progress=die)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_workers_of_a_killed_program_do_no_harm(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    script = write_text(tmp_path / "killed.py", KILLED_BY_PROGRESS)
    killed = subprocess.run(
        [sys.executable, str(script), str(root), str(tmp_path / "out"), "4"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    run(root, tmp_path / "out")
    assert files_of(tmp_path / "out") == whole


def test_workers_end_with_an_interrupted_program() -> None:
    def interrupted() -> None:
        with worker_pool(2) as pool:
            pool.submit(time.sleep, 600)
            pool.submit(time.sleep, 600)
            raise KeyboardInterrupt

    before = set(active_children())
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    # A process counts as alive while the pool's own thread is being told that it has ended.
    latest = time.monotonic() + 60
    while (left := set(active_children()) - before) and time.monotonic() < latest:
        time.sleep(0.01)
    assert not left


def test_a_call_that_fails_at_once_leaves_no_folder(root: Path, tmp_path: Path) -> None:
    options = Options(Shape(96, colour=False), alignment="dlib", face_detector="sfd")
    with pytest.raises(InputError):
        run(root, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_work_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(root, out)
    before = files_of(out)
    with pytest.raises(InputError, match=r"^out: .* other settings: shape is .*'colour': False"):
        run(root, out, Options(Shape(96, colour=True)))
    assert files_of(out) == before
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "frames.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"^out: .* has frames.npy but no settings.json"):
        run(root, tmp_path / "strange")
    with held(out), pytest.raises(InputError, match=r"^out: another program is at work in"):
        run(root, out)


def test_a_full_disk_is_told_and_loses_nothing(
    root: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
        # Parts of 48,400 bytes fit, the whole of 145,200 does not.
        with pytest.raises(
            InputError, match=r"^out: .* cannot be written: File too large; what is"
        ):
            run(root, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (out / "meta.json").exists()
    told: list[tuple[int, int]] = []
    run(root, out, progress=lambda done, total: told.append((done, total)))
    assert told == [(12, 12)]
    assert files_of(out) == whole


def test_a_folder_of_something_else_stays_as_it_is(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "strange"
    out.mkdir()
    (out / "frames.npy").write_bytes(b"")
    with pytest.raises(InputError, match="choose another folder"):
        run(root, out)
    assert [path.name for path in out.iterdir()] == ["frames.npy"]


def test_a_folder_that_cannot_be_made_is_told(root: Path) -> None:
    with pytest.raises(InputError, match=r"^out: .*labels.csv.* cannot be made a folder"):
        run(root, root / "labels.csv" / "out")


@pytest.mark.parametrize("name", ["frames.npy", "index.parquet"])
def test_damaged_data_sets_are_told(root: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    run(root, out)
    whole = (out / name).read_bytes()
    (out / name).write_bytes(whole[:-200] + bytes(200))
    with pytest.raises(InputError, match=r"cannot be read|has changed since it was prepared"):
        open_prepared(out).check()
    (out / name).write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"cannot be read"):
        open_prepared(out)
    (out / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be read"):
        open_prepared(out)
    (out / "meta.json").write_text(json.dumps({"schema": 1, "frames": 3}))
    with pytest.raises(InputError, match=r"meta.json: expected action_units, colour"):
        open_prepared(out)
    (out / "meta.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(InputError, match=r"meta.json: expected schema 1, got 99"):
        open_prepared(out)
    (out / "meta.json").unlink()
    with pytest.raises(InputError, match=r"expected a prepared data set, got a folder without"):
        open_prepared(out)


def test_shards_of_other_places_keep_names_that_look_like_numbers(tmp_path: Path) -> None:
    for place in ("here", "there"):
        rows = ["007,7/1.png,1,0", "007,7/2.png,2,1", "bob,b/1.png,1,1"]
        for row in rows:
            write_image(tmp_path / place / row.split(",")[1], 90, SIDE)
        write_text(tmp_path / place / "labels.csv", "\n".join(["subject,path,frame,AU01", *rows]))
        points = [["007", "7", 1, *MEAN_FACE.ravel()], ["bob", "b", 1, *MEAN_FACE.ravel()]]
        table = pd.DataFrame(points, columns=["subject", "sequence", "frame", *POINT_COLUMNS])
        table.to_csv(tmp_path / place / "landmarks.csv", index=False)
    for number, place in enumerate(("here", "there")):
        run(tmp_path / place, tmp_path / f"{number}", replace(OPTIONS, shard=(number, 2)))
    merged = merge(tmp_path / "merged", [tmp_path / "0", tmp_path / "1"])
    assert merged.index["subject"].tolist() == ["007", "bob"]
    left_out = merged.left_out()
    assert left_out[["subject", "sequence", "frame"]].to_numpy().tolist() == [["007", "7", 2]]


class SomeLandmarks:
    """A data set in which only the second of two subjects has landmarks."""

    action_units = (1,)

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> Contents:
        ann, bob, _ = Table(self.root, self.root / "labels.csv", (1,)).read().sequences
        points = np.broadcast_to(MEAN_FACE, (FRAMES, 68, 2))
        return Contents([ann, replace(bob, landmarks=points)])


def test_a_shard_without_landmarks_is_empty(root: Path, tmp_path: Path) -> None:
    for number, frames in enumerate((0, FRAMES)):
        options = replace(OPTIONS, shard=(number, 2))
        out = tmp_path / f"{number}"
        summary = prepare(SomeLandmarks(root), root, out, options, {}, resources=ALONE)
        assert summary.frames == frames
    assert merge(tmp_path / "merged", [tmp_path / "0", tmp_path / "1"]).meta["left_out"] == 1


class ShadeDetector:
    """Finds a face in pictures that are not dark; two in bright ones, the larger further away."""

    batch = 3

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def find(self, images: list[NDArray[np.uint8]]) -> list[list[Face]]:
        self.sizes.append(len(images))
        return [self._faces(image) for image in images]

    def _faces(self, image: NDArray[np.uint8]) -> list[Face]:
        assert image.shape == (SIDE, SIDE, 3)
        near = Face((0, 0, 50, 50), MEAN_FACE)
        far = Face((300, 300, 360, 360), MEAN_FACE * np.float32([2, 1]))
        brightness = image.mean()
        return [] if brightness < 40 else [near] if brightness < 150 else [far, near]


def test_faces_are_found_in_batches_and_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = ShadeDetector()
    preparation._detector.cache_clear()
    monkeypatch.setattr(preparation, "make_detector", lambda *_, **__: detector)
    for place, value in enumerate((30, 100, 200, 200)):
        write_image(root / "ann" / f"{place + 1}.png", value, SIDE)
    summary = run(root, tmp_path / "out", Options(Shape(96, colour=False), alignment="dlib"))
    preparation._detector.cache_clear()
    assert detector.sizes[:2] == [3, 1]
    first = summary.problems.iloc[0]
    assert (first["subject"], first["frame"], first["reason"]) == ("ann", 1, "no face was found")
    index = open_prepared(tmp_path / "out").index
    ann = index[index["subject"] == "ann"]
    assert ann["frame"].tolist() == [2, 3, 4]
    # The face of the frame before is followed, though another is larger.
    np.testing.assert_allclose(ann["residual"], 0, atol=1e-4)


def test_given_landmarks_that_are_not_there_are_told(root: Path, tmp_path: Path) -> None:
    reader = Table(root, root / "labels.csv")
    with pytest.raises(InputError, match=r"^align: expected a data set with landmarks for 'given'"):
        prepare(reader, root, tmp_path / "out", OPTIONS, {}, resources=ALONE)
    write_text(root / "landmarks.csv", "subject,sequence,frame,x0\n")
    with pytest.raises(InputError, match=r"landmarks.csv: expected a table with columns subject"):
        run(root, tmp_path / "other")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"shard": (2, 2)}, "^shard: expected i/n with 0 <= i < n, got 2/2"),
        (
            {"alignment": "dlib", "landmarks": Path("x")},
            "^landmarks: expected none with alignment 'dlib'",
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Options(Shape(96, colour=False), **options)
    with pytest.raises(InputError, match=r"^size: expected 96 or 224, got 100$"):
        Shape(100, colour=False)


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    def peak(frames: int) -> int:
        path = write_video(tmp_path / f"{frames}.avi", [50] * frames, SIDE)
        video = replace(
            sequence_of(Video(path, np.arange(frames)), frames),
            landmarks=np.broadcast_to(MEAN_FACE, (frames, 68, 2)),
        )
        tracemalloc.start()
        count = sum(1 for _ in align_sequence(video, 96, False, None))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == frames
        return highest

    short, long = peak(100), peak(1000)
    assert long < short + 100 * SIDE * SIDE
