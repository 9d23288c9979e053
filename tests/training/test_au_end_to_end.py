"""From the files of made-up data sets to the paper's tables, one command each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from fastcaps.training.action_units import EMOTIONS, column
from fastcaps.training.cli import app
from fastcaps.training.devices import Resources
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.latency import measure_latency
from fastcaps.training.networks.vgg import VGGFACE_COLOURS, VGGConvolutions
from fastcaps.training.prepared import open_prepared
from fastcaps.training.run_files import LAST
from fastcaps.training.run_network import network_weights
from fastcaps.training.svm_fold import SVM
from fastcaps.training.synthetic.layouts.truth import TRUTH
from tests.training.synthetic_trees import small_tree


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def prepare(folder: Path, layout: str, *options: object, **tree: Any) -> Path:
    """A made-up data set, prepared by the landmarks that come with it."""
    small_tree(layout, folder / "root", **tree)
    given = ("--align", "given", "--workers", 1, *options)
    if layout == "bp4d":
        # Its landmarks are those of three dimensions, which the layout leaves out.
        given = (*given, "--landmarks", folder / "root" / TRUTH)
    run("prepare", layout, folder / "root", folder / "data", *given)
    return folder / "data"


def train(preset: str, data: Path, out: Path, *options: object) -> None:
    run("train", preset, data, "--out", out, "--device", "cpu", "--no-progress", *options)


def evaluation_of(out: Path) -> dict[str, Any]:
    """What ``evaluate`` writes; each subject is tested once."""
    run("evaluate", out, "--resamples", 20)
    found: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    tested = [Predictions.load(path) for path in sorted(out.glob("fold-*/predictions.parquet"))]
    subjects = [subject for fold in tested for subject in set(fold.subjects)]
    assert sorted(set(subjects)) == sorted(subjects)
    assert found["frames"] == sum(len(fold) for fold in tested)
    assert found["folds"] == list(range(1, found["folds_expected"] + 1))
    return found


def tables_of(folder: Path, *runs: Path) -> str:
    """The tables as Markdown; the terminal and the other files have them, too."""
    shown = run("tables", *runs, "--out", folder)
    assert "Table" in shown
    texts = [(folder / f"tables.{kind}").read_text() for kind in ("md", "html", "tex")]
    assert all(texts)
    return texts[0]


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


@pytest.fixture(scope="module")
def bp4d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with BP4D's layout prepared and a run on it."""
    folder = tmp_path_factory.mktemp("bp4d")
    data = prepare(folder, "bp4d", subjects=3, frames=17, seed=1)
    train("ours-bp4d", data, folder / "ours", "--epochs", 1)
    return folder


def test_bp4d(bp4d: Path, tmp_path: Path) -> None:
    data = open_prepared(bp4d / "data")
    found = evaluation_of(bp4d / "ours")
    assert found["frames"] == len(data.frames) == 51
    assert found["classes"] == [column(unit) for unit in data.action_units]
    assert len(found["classes"]) == 12
    for place, name in enumerate(found["classes"]):
        result = found["collated"]["classes"][name]
        assert result["positives"] == (data.labels[:, place] == 1).sum()
        assert 0 <= result["auc"]["value"] <= 1
    markdown = tables_of(tmp_path, bp4d / "ours")
    assert percent(found["collated"]["average"]["f1"]["value"]) in markdown


def test_a_linear_svm_goes_the_same_way(
    bp4d: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One processor: other processes take seconds to start.
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    out = tmp_path / "svm"
    options = ("--network", "HOG-SVM", "--set", "action_units=[6,12]")
    with monkeypatch.context() as small:
        small.setattr("os.sysconf", lambda _: 1000)
        with pytest.raises(AssertionError, match="needs 0 GB for the features"):
            train("ours-bp4d", bp4d / "data", out, *options)
    train("ours-bp4d", bp4d / "data", out, *options)
    found = evaluation_of(out)
    assert found["settings"]["network"] == "HOG-SVM"
    assert found["classes"] == ["AU06", "AU12"]
    assert found["training"]["decoder_parameters"] == 0
    # Drawn smiles are easy to see for whatever can see edges.
    assert found["collated"]["classes"]["AU12"]["auc"]["value"] > 0.6
    markdown = tables_of(tmp_path, out)
    assert percent(found["collated"]["classes"]["AU12"]["f1"]["value"]) in markdown
    monkeypatch.setattr("fastcaps.training.latency.SECONDS", 0.0)
    latency = measure_latency(out, Resources(device="cpu"))
    assert latency.device == "CPU, 1 process"
    assert min(latency.milliseconds, latency.images_per_second) > 0
    first, *others = sorted(out.glob(f"*/{SVM}"))
    first.unlink()
    assert measure_latency(out, Resources(device="cpu")).milliseconds > 0
    for weights in others:
        weights.unlink()
    with pytest.raises(InputError, match="cannot be timed without weights"):
        measure_latency(out, Resources(device="cpu"))


def test_disfa_starts_from_bp4ds_convolutions(bp4d: Path, tmp_path: Path) -> None:
    units = (2, 4, 6, 12, 25)
    chosen = ("--action-units", ",".join(map(str, units)), "--camera", "right")
    table = ("--landmarks", tmp_path / "root" / TRUTH)
    data = prepare(tmp_path, "disfa", *chosen, *table, subjects=6, frames=12, seed=2)
    initial = bp4d / "ours" / "fold-1" / LAST
    train("ours-disfa", data, tmp_path / "ours", "--epochs", 1, "--initial", initial)
    found = evaluation_of(tmp_path / "ours")
    assert found["classes"] == [column(unit) for unit in units]
    assert found["settings"]["weights"] == "run"
    assert (found["frames"], found["subjects"]) == (72, 6)
    run("evaluate", bp4d / "ours", "--resamples", 20)
    markdown = tables_of(tmp_path, bp4d / "ours", tmp_path / "ours")
    assert percent(found["collated"]["classes"]["AU25"]["f1"]["value"]) in markdown


def test_vgg_faces_weights_go_through_bp4d_to_disfa(tmp_path: Path) -> None:
    """The presets for 224 pixels: frozen convolutions keep published weights and their colours."""
    few = ("--fold", 1, "--set", "action_units=[6,12]", "--set", "batch_size=2", "--epochs", 1)
    published = VGGConvolutions()
    weights = {
        f"conv{block}_{number}.{kind}": tensor
        for block, number, layer in published.convolutions()
        for kind, tensor in layer.state_dict().items()
    }
    torch.save(weights, tmp_path / "vgg_face.pth")
    size = ("--size", 224)
    bp4d = prepare(tmp_path / "bp4d", "bp4d", *size, subjects=3, frames=8, side=96, seed=1)
    first = tmp_path / "first"
    train("vggf-bp4d", bp4d, first, "--initial", tmp_path / "vgg_face.pth", *few)
    table = ("--landmarks", tmp_path / "disfa" / "root" / TRUTH, "--action-units", "6,12")
    chosen = (*table, "--camera", "right")
    disfa = prepare(tmp_path / "disfa", "disfa", *size, *chosen, subjects=3, frames=3, seed=2)
    second, checkpoint = tmp_path / "second", first / "fold-1" / LAST
    train("vggf-disfa", disfa, second, "--initial", checkpoint, *few)

    before, after = network_weights(checkpoint), network_weights(second / "fold-1" / LAST)
    mean = torch.tensor(VGGFACE_COLOURS[0]).view(3, 1, 1)
    for found in (before, after):
        assert torch.equal(found["features.conv1.colours.mean"], mean)
        assert torch.equal(found["features.conv4.conv4_3.weight"], weights["conv4_3.weight"])
    conv5 = "features.conv5.conv5_3.weight"
    assert not torch.equal(before[conv5], weights["conv5_3.weight"])
    assert torch.equal(after[conv5], before[conv5])
    scored = Predictions.load(second / "fold-1" / "predictions.parquet")
    assert np.isfinite(scored.scores).all()


def test_ckplus(tmp_path: Path) -> None:
    data = prepare(tmp_path, "ckplus", subjects=4, frames=90, seed=2)
    train("ckplus", data, tmp_path / "ours", "--epochs", 2, "--set", "fold_count=2")
    found = evaluation_of(tmp_path / "ours")
    assert (found["target"], found["classes"]) == ("emotions", list(EMOTIONS))
    emotions = open_prepared(data).index["emotion"]
    assert found["frames"] == (emotions >= 0).sum()
    emotion = found["emotion"]
    assert np.sum(emotion["confusion"]) == found["frames"]
    accuracy = np.trace(emotion["confusion"]) / found["frames"]
    assert emotion["accuracy"]["value"] == pytest.approx(accuracy)
    logs = [pd.read_csv(path) for path in sorted((tmp_path / "ours").glob("fold-*/log.csv"))]
    best = np.mean([log["test_accuracy"].max() for log in logs])
    assert emotion["best_epoch_accuracy"]["value"] == pytest.approx(best)
    last = np.mean([log["test_accuracy"].iloc[-1] for log in logs])
    assert emotion["averaged_accuracy"]["value"] == pytest.approx(last)
    assert percent(last) in tables_of(tmp_path, tmp_path / "ours")


def test_a_run_becomes_a_file_that_predicts(bp4d: Path, tmp_path: Path) -> None:
    data, model, out = open_prepared(bp4d / "data"), tmp_path / "model.pt", tmp_path / "out.csv"
    run("export", bp4d / "ours", model, "--fold", 3)
    np.save(tmp_path / "faces.npy", data.frames[:, 7:-7, 7:-7])
    run("predict", model, tmp_path / "faces.npy", out, "--device", "cpu")
    told = Predictions.load(bp4d / "ours" / "fold-3" / "predictions.parquet")
    table = pd.read_csv(out, index_col="face")
    assert tuple(table.columns) == told.classes
    tested = data.index["subject"].isin(set(told.subjects)).to_numpy()
    np.testing.assert_allclose(table.to_numpy()[tested], told.scores, atol=3e-3)
