"""The command that looks inside a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner, Result

from fastcaps.training.analysis.analyze import PARTS
from fastcaps.training.analysis.ascent import AscentSettings, parse_ascent
from fastcaps.training.analysis.section import Section
from fastcaps.training.cli import app
from fastcaps.training.errors import InputError
from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.prepared import Prepared
from tests.training.au_runs import faces_with, small_data, some_labels, train

pytestmark = pytest.mark.usefixtures("tiny_network")

SHORT = ("--ascent", "steps=2", "--resamples", "20", "--device", "cpu")


UNKNOWN = (
    r"Activation maximisation: brows: no test image .*",
    r"Length and intensity: data: .* does not tell how intense action units are.*",
    r"What directions tell: [a-z ]+: not known of these pictures",
    r"Deformations of one unit: (brows|eyes): fewer than two of its action units .*",
)
"""Of data with three action units, without intensities and poses."""


@pytest.fixture(scope="module")
def run(tiny_network: None, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained until many test frames are right in every class."""
    out = tmp_path_factory.mktemp("run") / "run"
    quick = {"augmentation": {"mirror": 0.0, "scale": [1, 1], "rotation": 0.0, "power": [1, 1]}}
    train(data, out, epochs=40, lr=3e-3, dropout=0.0, test_each_epoch=False, **quick)
    return out


@pytest.fixture(scope="module")
def baseline(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("baseline") / "run"
    train(data, out, network="ConvNet", epochs=1, test_each_epoch=False)
    return out


def analyze(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["analyze", *map(str, arguments), *SHORT])


def test_the_report_has_every_part(
    data: Prepared, run: Path, baseline: Path, tmp_path: Path
) -> None:
    result = analyze(run, data.folder, "--baseline", baseline, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    *missing, last = result.stdout.splitlines()
    assert last == f"the report is {tmp_path}/out/report.html"
    assert not [line for line in missing if not re.fullmatch("|".join(UNKNOWN), line)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(title in page for title in PARTS)
    assert re.search(r"test frames of \d+ people that it was not trained on, and the classes", page)
    assert "a person of its own" not in page
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert {"magnitude", "coupling-contributions", "coupling-coefficients"} <= names
    assert any(name.startswith("direction-AU") for name in names)
    assert {"ascent-mouth", "ascent-mouth-baseline"} <= names
    for path in (tmp_path / "out").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_a_fault_in_one_part_spares_the_others(
    data: Prepared, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Section:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setitem(cast(dict[str, object], PARTS), "Magnitude", broken)
    result = analyze(run, data.folder, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "Magnitude: ZeroDivisionError: by nothing" in result.stdout.splitlines()
    assert not (tmp_path / "magnitude.png").exists()
    assert (tmp_path / "coupling-contributions.png").exists()


def test_a_report_says_that_nobody_told_who_is_in_the_faces(tmp_path: Path) -> None:
    labels = some_labels(24, 1)
    data = prepare_faces(faces_with(labels), labels, tmp_path / "data", action_units=(12,))
    train(data, tmp_path / "run", epochs=1)
    result = analyze(tmp_path / "run", data.folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "12 test frames that it was not trained on, and the class AU12." in page
    assert "each frame counts as a person of its own" in page


def test_a_network_without_capsules_still_has_a_report(
    data: Prepared, baseline: Path, tmp_path: Path
) -> None:
    result = analyze(baseline, data.folder)
    assert result.exit_code == 0, result.output
    told = f"Magnitude: run: expected a network of capsules, got ConvNet in {baseline}"
    assert told in result.stdout.splitlines()
    page = (baseline / "fold-1" / "analysis" / "report.html").read_text()
    # Scores are correlated with intensity whatever gives them; of these faces none is known.
    assert f"{data.folder} does not tell how intense action units are" in page
    assert page.count("expected a network of capsules") == len(PARTS) - 2


def test_parts_that_need_no_right_image_are_made_without_one(
    data: Prepared, tmp_path: Path
) -> None:
    train(data, tmp_path / "run", epochs=1, lr=1e-7)
    result = analyze(tmp_path / "run", data.folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Magnitude: run: expected test frames in which all of AU06" in result.stdout
    assert (tmp_path / "out" / "coupling-contributions.png").exists()


def test_ascent_climbs_where_it_is_told_to(data: Prepared, run: Path, tmp_path: Path) -> None:
    chosen = ("--at", "1,3", "--at", "900,0", "--unit", 1)
    result = analyze(run, data.folder, "--out", tmp_path / "out", *chosen)
    assert result.exit_code == 0, result.output
    assert "row 900, column 0: place: expected row and column in 0 .. " in result.stdout
    names = {path.name for path in (tmp_path / "out").glob("ascent-*.png")}
    assert names == {"ascent-row-1-column-3.png"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "primary capsule 1 at row 1, column 3" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fold", "2"], "fold: {run}/fold-2 was not trained to its end"),
        (["--baseline", "{data}"], "run: {data} is not the folder of a run"),
        (["--ascent", "step=3"], "ascent.step: expected the name of a setting; did you mean step"),
        (["--ascent", "steps"], "ascent: expected KEY=VALUE, got 'steps'"),
        (["--ascent", "rate=fast"], "rate: expected a number, got 'fast'"),
        (["--at", "ear"], "at: expected ROW,COLUMN or one of brows, "),
        (["--out", "{file}"], "out: {file} cannot be written: "),
    ],
)
def test_bad_input_is_one_line(
    data: Prepared, run: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    paths = {"run": run, "data": data.folder, "file": tmp_path / "file"}
    paths["file"].write_text("")
    given = [argument.format(**paths) for argument in arguments]
    result = CliRunner().invoke(app, ["analyze", str(run), str(data.folder), *given])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"error: {message.format(**paths)}"), result.stderr
    assert result.stderr.count("\n") == 1


def test_other_data_is_one_line(run: Path, tmp_path: Path) -> None:
    other = small_data(tmp_path / "other", some_labels(40, 3, seed=5))
    result = analyze(run, other.folder)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: data: {other.folder} is not the data set that {run}")


def test_ascent_is_set_by_texts() -> None:
    found = parse_ascent(["steps=5", "blur=[2, 0.5]", "rate=1e-2"], seed=3)
    assert found == AscentSettings(steps=5, blur=(2.0, 0.5), rate=0.01, seed=3)
    with pytest.raises(InputError, match=r"^ascent: expected each key once, got steps again$"):
        parse_ascent(["steps=5", "steps=6"])
