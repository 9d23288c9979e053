"""The command ``fastcaps-au``, from made-up people to tables and contact sheets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from fastcaps.training.cli import app
from fastcaps.training.contact_sheet import save_picture
from fastcaps.training.prepared import open_prepared
from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.people import State
from fastcaps.training.synthetic.recordings import person_of
from tests.training.files import write_image, write_text


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of two drawn people."""
    out = tmp_path_factory.mktemp("synth") / "out"
    result = run("synth", out, "--subjects", 2, "--frames-per-subject", 24, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "48 frames of 2 people in" in result.output
    return out


def test_inspect_counts_and_draws(made_up: Path, tmp_path: Path) -> None:
    sheet, augmented = tmp_path / "sheet.png", tmp_path / "augmented.png"
    result = run("inspect", made_up, "--sheet", sheet, "--augmented", augmented, "--check")
    assert result.exit_code == 0, result.output
    prepared = open_prepared(made_up)
    smiles = int((prepared.labels[:, prepared.action_units.index(12)] == 1).sum())
    (line,) = [line for line in result.output.splitlines() if "lip corner puller" in line]
    assert line.split()[:5] == ["AU12", "lip", "corner", "puller", str(smiles)]
    assert f"{smiles / 48:.1%}" in line
    for subject, rows in prepared.index.groupby("subject"):
        (line,) = [line for line in result.output.splitlines() if line.strip().startswith(subject)]
        assert line.split()[1:3] == [str(rows["sequence"].nunique()), "24"]
    for path in (sheet, augmented):
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.std() > 20


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_show_draws_each_action_unit_on_each_person(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sheet{suffix}"
    assert run("show", path, "--subjects", 3, "--side", 48).exit_code == 0
    sheet = cv2.imread(str(path)).astype(float)
    assert sheet.shape == (18 * 68, 3 * 52 + 4, 3)
    faces = [[sheet[y + 16 : y + 64, x : x + 48] for x in (4, 56, 108)] for y in range(0, 1224, 68)]
    changes = [np.abs(faces[unit][0] - faces[0][0]).mean() for unit in range(18)]
    assert min(changes[1:]) > 0.3
    assert np.abs(faces[0][0] - faces[0][1]).mean() > 5
    result = run("show", tmp_path / "sheet.txt")
    assert result.exit_code == 2
    assert "sheet.txt: expected a name that ends in .png or .jpg" in result.output


def test_inspect_of_something_else_is_one_line(tmp_path: Path) -> None:
    result = run("inspect", tmp_path)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {tmp_path}: expected a prepared data set")
    assert len(result.output.splitlines()) == 1


def csv_tree(root: Path) -> Path:
    for frame in (1, 2):
        write_image(root / "ann" / f"{frame}.png", 60 * frame, side=120)
    write_text(
        root / "labels.csv", "subject,path,frame,AU12\nann,ann/1.png,1,0\nann,ann/2.png,2,1\n"
    )
    return root


def landmark_table(path: Path, frames: int) -> Path:
    points = np.random.default_rng(0).uniform(30, 90, 136)
    rows = [["ann", "ann", frame, *points] for frame in range(1, frames + 1)]
    names = [f"{axis}{point}" for point in range(68) for axis in "xy"]
    table = pd.DataFrame(rows, columns=["subject", "sequence", "frame", *names])
    table.to_parquet(path)
    return path


def test_prepare_tells_what_it_left_out_and_fails_unless_allowed(tmp_path: Path) -> None:
    root, out = csv_tree(tmp_path / "root"), tmp_path / "out"
    given = ["--align", "given", "--workers", 1, "--landmarks"]
    complete = landmark_table(tmp_path / "complete.parquet", 2)
    result = run("prepare", "csv", root, tmp_path / "complete", *given, complete)
    assert (result.exit_code, open_prepared(tmp_path / "complete").meta["frames"]) == (0, 2)
    partial = landmark_table(tmp_path / "partial.parquet", 1)
    result = run("prepare", "csv", root, out, *given, partial)
    assert result.exit_code == 1
    assert "2.png frame 2: has no landmarks" in result.output
    assert "1 frames are in" in result.output
    result = run("prepare", "csv", root, out, *given, partial, "--allow-missing")
    assert result.exit_code == 0
    assert open_prepared(out).index["frame"].tolist() == [1]


def test_shards_are_prepared_apart_and_merged(tmp_path: Path) -> None:
    root = csv_tree(tmp_path / "root")
    table = landmark_table(tmp_path / "landmarks.parquet", 2)
    given = ["--align", "given", "--workers", 1, "--landmarks", table]
    for shard in ("0/2", "1/2"):
        out = tmp_path / f"shard-{shard[0]}"
        assert run("prepare", "csv", root, out, *given, "--shard", shard).exit_code == 0
    result = run("merge", tmp_path / "whole", tmp_path / "shard-0", tmp_path / "shard-1")
    assert result.exit_code == 0, result.output
    assert "2 frames of 2 shards" in result.output
    assert open_prepared(tmp_path / "whole").meta["frames"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", 100], "error: size: expected 96 or 224, got 100"),
        (["--shard", "3"], "error: shard: expected i/n, as 0/4, got '3'"),
        (["--shard", "2/2"], "error: shard: expected i/n with 0 <= i < n, got 2/2"),
        (["--action-units", "1,x"], "error: action_units: expected numbers as 1,2,4, got '1,x'"),
        (["--action-units", "1,3"], "error: action_units: expected different numbers of 1, 2"),
        (["--labels", "none.csv"], "error: none.csv: cannot be read: No such file"),
    ],
)
def test_bad_options_are_one_line(tmp_path: Path, options: list[object], message: str) -> None:
    root = csv_tree(tmp_path / "root")
    result = run("prepare", "csv", root, tmp_path / "out", "--align", "given", *options)
    assert result.exit_code == 2
    assert result.output.startswith(message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data_set", ["bp4d", "disfa", "ckplus"])
def test_a_folder_of_another_data_set_is_one_line(tmp_path: Path, data_set: str) -> None:
    result = run("prepare", data_set, csv_tree(tmp_path / "root"), tmp_path / "out")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("error: root: expected ")


def test_what_synth_made_is_no_shard(made_up: Path, tmp_path: Path) -> None:
    result = run("merge", tmp_path / "out", made_up)
    assert result.exit_code == 2
    assert result.output == f"error: shards: {made_up} was not made by fastcaps-au prepare\n"


def test_a_data_set_without_frames_is_one_line(tmp_path: Path) -> None:
    root, table = csv_tree(tmp_path / "root"), landmark_table(tmp_path / "landmarks.parquet", 0)
    out = tmp_path / "out"
    options = ["--align", "given", "--landmarks", table, "--workers", 1]
    assert run("prepare", "csv", root, out, *options).exit_code == 1
    result = run("inspect", out, "--augmented", tmp_path / "augmented.png")
    assert result.exit_code == 2
    assert result.output == f"error: {out}: has no frames; see {out / 'left_out.csv'}\n"


def test_align_shows_faces_before_and_after(tmp_path: Path) -> None:
    pytest.importorskip("dlib", reason="needs the extra dlib")
    person, at_rest = person_of(0, 0), State(np.zeros((17, 2), dtype=np.float32))
    save_picture(tmp_path / "face.png", DrawnRenderer().render(person, at_rest, 192).image)
    wall = write_image(tmp_path / "wall.png", 90)
    sheet = tmp_path / "sheet.png"
    result = run("align", sheet, tmp_path / "face.png", wall, "--detector", "dlib")
    assert result.exit_code == 0, result.output
    assert "face.png: residual " in result.output
    assert f"left out: {wall}: no face was found" in result.output
    assert cv2.imread(str(sheet)).shape == (212, 3 * 196 + 4, 3)
    result = run("align", sheet, wall, "--detector", "dlib")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == "error: pictures: no face was found in 1 pictures"


def test_a_rig_that_is_not_there_says_where_to_get_one(tmp_path: Path) -> None:
    result = run("synth", tmp_path / "out", "--rig", tmp_path / "rig.npz")
    assert result.exit_code == 2
    assert "github.com/ICT-VGL/ICT-FaceKit" in result.output
    assert "fastcaps-au rig convert" in result.output
    assert not (tmp_path / "out").exists()
    result = run("rig", "convert", tmp_path, tmp_path / "rig.npz")
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
