"""The commands that work on runs: what they write, and what they refuse in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from fastcaps.training.cli import app
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST
from tests.training.au_runs import (
    SETTINGS,
    TINY,
    assert_same,
    faces_with,
    final_state,
    small_data,
    some_labels,
)
from tests.training.synthetic_trees import cut_off, files_of

pytestmark = pytest.mark.usefixtures("tiny_network")

ON_CPU = ("--device", "cpu", "--no-progress")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_preset(path: Path, **changes: Any) -> Path:
    """A preset; JSON is YAML, too."""
    settings = {**SETTINGS, **changes}
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return small_data(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def trained(tiny_network: None, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the command makes of a preset of one's own."""
    folder = tmp_path_factory.mktemp("run")
    preset = write_preset(folder / "own.yaml", epochs=5)
    given = ["--epochs", 1, "--seed", 4, "--set", "batch_size=10", "--set", "lr_factors.conv1=0"]
    out = folder / "out"
    result = run("train", preset, data.folder, "--out", out, *given, *ON_CPU)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "fold 1 of 2",
        "fold 2 of 2",
        f"the run is in {out}; go on with: fastcaps-au evaluate {out}",
    ]
    return out


def test_options_have_the_last_word(trained: Path) -> None:
    found = json.loads((trained / "settings.json").read_text())
    assert (found["epochs"], found["seed"], found["batch_size"]) == (1, 4, 10)
    assert found["lr_factors"] == {"conv1": 0}
    assert found["alpha"] == "auto"


def test_a_run_that_is_complete_is_left_as_it_is(data: Prepared, trained: Path) -> None:
    before = files_of(trained)
    preset = trained.parent / "own.yaml"
    given = ["--epochs", 1, "--seed", 4, "--set", "batch_size=10", "--set", "lr_factors.conv1=0"]
    result = run("train", preset, data.folder, "--out", trained, *given, *ON_CPU)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == [f"fold {n} of 2: was trained before" for n in (1, 2)]
    assert files_of(trained) == before


def test_runs_lie_beside_each_other_by_default(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_preset(tmp_path / "own.yaml", epochs=1)
    common = [data.folder, "--fold", 2, *ON_CPU]
    assert run("train", "own.yaml", *common).exit_code == 0
    assert run("train", "own.yaml", *common, "--network", TINY).exit_code == 0
    given = ["--network", TINY, "--protocol", "community", "--set", "folds=sorted"]
    assert run("train", "own.yaml", *common, *given).exit_code == 0
    names = {str(path.parent) for path in Path("runs").glob("*/fold-*")}
    assert names == {"runs/own", f"runs/own-{TINY}", f"runs/own-{TINY}-community"}


@pytest.mark.parametrize("half", [True, False])
def test_an_exported_network_scores_as_the_run_did(
    data: Prepared, trained: Path, tmp_path: Path, half: bool
) -> None:
    model, faces, out = tmp_path / "model.pt", tmp_path / "faces.npz", tmp_path / "scores.csv"
    flag = "--half" if half else "--no-half"
    assert run("export", trained, model, "--fold", 2, flag).exit_code == 0
    np.savez(faces, images=data.frames[:, 7:-7, 7:-7])
    result = run("predict", model, faces, out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{len(data.frames)} faces: {out}\n"
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["face", "AU06", "AU12", "AU25"]
    told = Predictions.load(trained / "fold-2" / "predictions.parquet")
    kept = data.index["subject"].isin(["s1", "s3"]) & (data.labels != -1).any(1)
    found = table.to_numpy()[np.flatnonzero(kept), 1:]
    np.testing.assert_allclose(found, told.scores, atol=3e-3 if half else 1e-6)


def test_faces_become_a_data_set(tmp_path: Path) -> None:
    labels = some_labels(6, 2)
    np.savez(
        tmp_path / "faces.npz",
        images=faces_with(labels),
        labels=labels,
        subjects=np.array(list("aabbcc")),
    )
    out = tmp_path / "data"
    result = run("faces", tmp_path / "faces.npz", out, "--action-units", "6,12")
    assert result.exit_code == 0, result.output
    expected = prepare_faces(
        faces_with(labels), labels, tmp_path / "other", list("aabbcc"), action_units=(6, 12)
    )
    assert (out / "frames.npy").read_bytes() == (expected.folder / "frames.npy").read_bytes()


def assert_one_line(result: Result, message: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"error: {message}"), result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"epoch": 3}, [], "{preset}: epoch: expected the name of a setting; did you mean epochs"),
        ({"network": "Caps"}, [], "{preset}: network: expected one of AUCapsNet, "),
        ({"lr": "fast"}, [], "{preset}: lr: expected a number, got 'fast'"),
        ({}, ["--set", "lr_factor.conv1=0"], "lr_factor: expected the name of a setting; did you"),
        ({}, ["--set", "lr"], "set: expected KEY=VALUE, got 'lr'"),
        ({}, ["--protocol", "nobody"], "protocol: expected one of paper, author, community, got"),
        ({}, ["--fold", "one"], "fold: expected numbers as 1,2,4, got 'one'"),
        ({}, ["--fold", "1,3"], "fold: expected numbers in 1 .. 2, got [3]"),
        ({}, ["--workers", "-1"], "workers: expected at least 0, got -1"),
        ({}, ["--devices", "2"], "batch_size: expected a multiple of the 2 devices, got 5 of 20"),
        ({"side": 224}, [], "data: {data} was prepared with side 96, expected 224 for Tiny"),
        ({"colour": True}, [], "data: {data} was prepared with colour False, expected True"),
        ({"weights": "run"}, [], "initial: expected a checkpoint of a run, as weights is run"),
        ({"weights": "run"}, ["--initial", "{junk}"], "checkpoint: {junk} cannot be read"),
        ({"weights": "run"}, ["--initial", "{data}"], "initial: there is no file {data}"),
        ({"network": "HOG-SVM", "weights": "run"}, [], "{preset}: weights: expected random for"),
        ({"weights": "run"}, ["--initial", "{other}"], "checkpoint: {other} is not"),
        (
            {"weights": "vggface", "network": "VGGCapsNet"},
            ["--initial", "{junk}"],
            "initial: {junk} cannot be read",
        ),
        (
            {"weights": "vggface", "network": "VGGCapsNet"},
            ["--initial", "{other}"],
            "initial: {other} is of no known layout: expected one of the names conv1_1.weight",
        ),
        (
            {"weights": "imagenet"},
            ["--initial", "{other}"],
            "weights: TinyCapsNet has no VGG-16 convolutions for imagenet weights",
        ),
        ({"lr_factors": {"conv5": 0.1}}, [], "lr_factors: expected parts of TinyCapsNet, conv1, "),
        (
            {"network": "HOG-SVM", "alpha": 0},
            ["--devices", "2"],
            "devices: expected 1 for HOG-SVM",
        ),
    ],
)
def test_training_that_cannot_be_is_refused_in_one_line(
    data: Prepared, tmp_path: Path, changes: dict[str, Any], options: list[str], message: str
) -> None:
    paths = {
        "data": data.folder,
        "preset": write_preset(tmp_path / "own.yaml", **changes),
        "junk": tmp_path / "junk.pt",
        "other": tmp_path / "other.pt",
    }
    torch.save({"layer.weight": torch.zeros(2, 3)}, paths["other"])
    paths["junk"].write_bytes(paths["other"].read_bytes())
    cut_off(paths["junk"])
    given = [option.format(**paths) for option in options]
    out = tmp_path / "out"
    result = run("train", paths["preset"], data.folder, "--out", out, *given, *ON_CPU)
    assert_one_line(result, message.format(**paths))
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "ours-bp5d", "{data}"], "preset: expected one of ckplus, ours-bp4d"),
        (["train", "none.yaml", "{data}"], "none.yaml: cannot be read"),
        (["train", "ours-bp4d", "{empty}"], "{empty}: expected a prepared data set"),
        (["train", "ours-disfa", "{data}"], "initial: expected a checkpoint of a run"),
        (["train", "vgg-bp4d", "{data}"], "data: {data} was made of faces, expected bp4d; take"),
        (["evaluate", "{empty}"], "{empty}: expected a run's folder, got one without settings"),
        (["evaluate", "{data}"], "run: {data} is not the folder of a run of fastcaps-au train"),
        (["evaluate", "{run}", "--fold", "3"], "folds: expected some that are trained to their"),
        (["tables", "{empty}"], "{empty}: expected a run with evaluation.json, got none; eva"),
        (["export", "{empty}", "model.pt"], "run: {empty} is not the folder of a run"),
        (["export", "{run}", "model.pt", "--fold", "3"], "fold: {run}/fold-3 was not trained"),
        (["export", "{run}", "{empty}/no/model.pt"], "model: {empty}/no/model.pt cannot be writ"),
        (["predict", "none.pt", "none.npz", "out.csv"], "model: there is no file none.pt"),
        (["predict", "none.pt", "none.npz", "no/out.csv"], "out: there is no folder no"),
        (["faces", "none.npz", "out"], "faces: there is no file none.npz"),
        (["faces", "none.npz", "out", "--action-units", "a"], "faces: there is no file"),
    ],
)
def test_other_bad_input_is_one_line_and_leaves_nothing(
    data: Prepared,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"data": data.folder, "run": trained, "empty": tmp_path / "empty"}
    paths["empty"].mkdir()
    given = [argument.format(**paths) for argument in arguments]
    assert_one_line(run(*given), message.format(**paths))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_settings_of_damaged_data_are_one_line(trained: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "run"
    shutil.copytree(trained, damaged)
    settings = json.loads((damaged / "settings.json").read_text())
    del settings["data"]["input_side"]
    (damaged / "settings.json").write_text(json.dumps(settings))
    told = f"{damaged}/settings.json, data: expected input_side, got an object without it"
    assert_one_line(run("export", damaged, tmp_path / "model.pt"), told)


def test_tables_name_runs_by_their_folders(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastcaps.training.evaluation.report.run_evaluation", str)
    labels: list[list[str]] = []

    def make_tables(labelled: list[tuple[str, str]], **_: bool) -> tuple[()]:
        labels.append([label for label, _ in labelled])
        return ()

    monkeypatch.setattr("fastcaps.training.tables.paper.make_tables", make_tables)
    for name in ("a/ours", "b/ours", "c/mine"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "c" / "mine")
    assert run("tables", ".").exit_code == 0
    assert run("tables", "../../a/ours", "../../b/ours", ".").exit_code == 0
    assert labels == [["mine"], ["../../a/ours", "../../b/ours", "mine"]]


def test_a_diverging_run_is_one_line(data: Prepared, tmp_path: Path) -> None:
    preset = write_preset(tmp_path / "own.yaml", lr=1e30)
    result = run("train", preset, data.folder, "--out", tmp_path / "out", *ON_CPU)
    assert_one_line(result, "loss: expected a finite number, got ")
    assert "in epoch 1, batch 2" in result.stderr
    assert (tmp_path / "out" / "fold-1" / "bad_batch.npz").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_a_killed_command_can_be_given_again(tmp_path: Path) -> None:
    few = small_data(tmp_path / "data", some_labels(16, 2))
    preset = write_preset(tmp_path / "own.yaml", network="ConvNet", batch_size=1)

    def arguments(name: str) -> list[str]:
        given = ["train", preset, few.folder, "--out", tmp_path / name, "--fold", 1, *ON_CPU]
        return [*map(str, given), "--save-seconds", "0"]

    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcaps.training.cli", *arguments("killed")],
        env=os.environ | {"PYTHONPATH": search},
        stdout=subprocess.DEVNULL,
    )
    fold = tmp_path / "killed" / "fold-1"
    while process.poll() is None and not (fold / LAST).exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (fold / "result.json").exists()
    for name in ("killed", "whole"):
        result = run(*arguments(name))
        assert result.exit_code == 0, result.output
    assert_same(final_state(fold), final_state(tmp_path / "whole" / "fold-1"))


def test_a_terminated_command_ends_with_an_error(tmp_path: Path) -> None:
    few = small_data(tmp_path / "data", some_labels(16, 2))
    preset = write_preset(tmp_path / "own.yaml", network="ConvNet", batch_size=1)
    given = ["train", preset, few.folder, "--out", tmp_path / "out", "--epochs", 500, *ON_CPU]
    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcaps.training.cli", *map(str, given), "--save-seconds", "0"],
        env=os.environ | {"PYTHONPATH": search},
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None and not (tmp_path / "out" / "fold-1" / LAST).exists():
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
