"""Runs as a whole: stopped and taken up again, fold by fold, and refused before they start."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
from torch._dynamo.utils import counters

from fastcaps.training import au_run
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.folders import held
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST
from fastcaps.training.run_network import load_network, read_run
from tests.training.au_runs import (
    SETTINGS,
    STEPS_PER_EPOCH,
    assert_same,
    final_state,
    read_log,
    small_data,
    some_labels,
    train,
)
from tests.training.stopping import Stop, StopAt
from tests.training.synthetic_trees import cut_off, files_of

pytestmark = pytest.mark.usefixtures("tiny_network")

STEPS = 2 * STEPS_PER_EPOCH


class StopAfterTraining(lightning.Callback):
    """Stops a run that is trained but not scored."""

    def on_train_end(self, *_: Any) -> None:
        """Stop here."""
        raise Stop


class NoTraining(lightning.Callback):
    """Sees that nothing is trained."""

    def on_train_batch_start(self, *_: Any) -> None:
        """Fail."""
        pytest.fail("a step was made")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return small_data(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def whole(tiny_network: None, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both folds that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(data, out, folds=None)
    return out


@pytest.mark.parametrize(
    ("stops", "save_seconds"),
    [
        # Before the first checkpoint, within an epoch, at the end of one, and all after another.
        ([0], 0.0),
        ([2], 0.0),
        ([3], 60.0),
        ([STEPS_PER_EPOCH], 60.0),
        ([STEPS_PER_EPOCH + 1, STEPS_PER_EPOCH + 3], 60.0),
        (list(range(STEPS)), 0.0),
    ],
)
def test_a_stopped_run_ends_as_if_it_had_not_been(
    data: Prepared, whole: Path, tmp_path: Path, stops: list[int], save_seconds: float
) -> None:
    out = tmp_path / "stopped"
    callbacks = [StopAt(step) for step in stops]
    for callback in [*callbacks, StopAfterTraining()]:
        with pytest.raises(Stop):
            train(data, out, save_seconds=save_seconds, callbacks=[callback])
        assert not (out / "fold-1" / "result.json").exists()
    train(data, out, callbacks=[NoTraining()])
    assert_same(final_state(out / "fold-1"), final_state(whole / "fold-1"))


def test_a_stopped_run_in_float64_ends_with_the_same_bits(data: Prepared, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "64-true", "save_seconds": 0.0}
    with pytest.raises(Stop):
        train(data, tmp_path / "stopped", callbacks=[StopAt(2)], **options)
    for name in ("stopped", "whole"):
        train(data, tmp_path / name, **options)
    stopped, whole = (final_state(tmp_path / name / "fold-1") for name in ("stopped", "whole"))
    assert whole["state_dict"]["objective.network.classes.weight"].dtype == torch.float64
    assert_same(stopped, whole)


def test_the_papers_network_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    few = small_data(tmp_path / "data", some_labels(12, 2, seed=4))
    options: dict[str, Any] = {"network": "AUCapsNet", "epochs": 1, "batch_size": 2}
    for step in (1, 2):
        with pytest.raises(Stop):
            train(few, tmp_path / "stopped", save_seconds=0.0, callbacks=[StopAt(step)], **options)
    for name in ("stopped", "whole"):
        train(few, tmp_path / name, **options)
    assert_same(*(final_state(tmp_path / name / "fold-1") for name in ("stopped", "whole")))


def test_workers_do_not_change_a_bit(data: Prepared, whole: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", workers=2)
    assert_same(final_state(tmp_path / "run" / "fold-1"), final_state(whole / "fold-1"))


@pytest.mark.parametrize(
    ("changes", "tolerance"), [({"compile": True}, 1e-3), ({"precision": "bf16-mixed"}, 0.1)]
)
def test_faster_arithmetic_learns_nearly_the_same(
    data: Prepared, whole: Path, tmp_path: Path, changes: dict[str, Any], tolerance: float
) -> None:
    torch.compiler.reset()
    counters.clear()
    train(data, tmp_path / "run", **changes)
    assert (counters["frames"]["ok"] > 0) == ("compile" in changes)
    found, expected = (read_log(run / "fold-1") for run in (tmp_path / "run", whole))
    assert (found != expected) or "precision" not in changes
    for line, usual in zip(found, expected, strict=True):
        assert line["loss"] == pytest.approx(usual["loss"], rel=tolerance)


def test_folds_are_trained_when_they_are_asked_for(
    data: Prepared, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    said: list[str] = []

    def go(**options: Any) -> None:
        settings = au_run.RunSettings.from_dict(SETTINGS)
        resources = au_run.Resources(device="cpu", progress=False)
        au_run.train_run(data, settings, out, resources=resources, report=said.append, **options)

    go(folds=[2])
    assert not (out / "fold-1").exists()
    before = files_of(out / "fold-2")
    go(folds=[2], callbacks=[NoTraining()])
    go()
    end = f"the run is in {out}; go on with: fastcaps-au evaluate {out}"
    again = "fold 2 of 2: was trained before"
    assert said == ["fold 2 of 2", end, again, end, "fold 1 of 2", again, end]
    assert files_of(out / "fold-2") == before
    for number in (1, 2):
        name = f"fold-{number}"
        assert_same(final_state(out / name), final_state(whole / name))


def test_a_run_says_what_it_did(data: Prepared, whole: Path) -> None:
    settings, found = read_run(whole)
    assert settings == au_run.RunSettings.from_dict(SETTINGS)
    assert found["frames"] == (data.labels != -1).any(1).sum()
    assert (found["classes"], found["folds"]) == (["AU06", "AU12", "AU25"], 2)
    for number, tested in ((1, ["s0", "s2"]), (2, ["s1", "s3"])):
        fold = whole / f"fold-{number}"
        sides = json.loads((fold / "fold.json").read_text())
        assert sides["test_subjects"] == tested
        assert sorted(sides["train_subjects"] + tested) == ["s0", "s1", "s2", "s3"]
        for side, name in (("test", "predictions"), ("train", "training_predictions")):
            predictions = Predictions.load(fold / f"{name}.parquet")
            kept = data.index["subject"].isin(sides[f"{side}_subjects"]).to_numpy()
            kept = kept & (data.labels != -1).any(1)
            assert predictions.subjects.tolist() == data.index["subject"][kept].tolist()
            assert predictions.frames.tolist() == data.index["frame"][kept].tolist()
            np.testing.assert_array_equal(predictions.labels, data.labels[kept])
        result = json.loads((fold / "result.json").read_text())
        network = load_network(whole, number)
        assert result["parameters"] == sum(p.numel() for p in network.parameters())
        assert result["decoder_parameters"] == sum(p.numel() for p in network.decoder.parameters())
        assert result["epochs"] == len(read_log(fold)) == 2
        assert 0 < result["images_per_second"] < math.inf


def test_scores_are_those_of_the_last_network_on_the_middle_of_the_frames(
    data: Prepared, whole: Path
) -> None:
    network = load_network(whole, 1)
    rows = np.flatnonzero(data.index["subject"].isin(["s0", "s2"]) & (data.labels != -1).any(1))
    images = torch.from_numpy(data.frames[rows][:, None, 7:-7, 7:-7]) / 255
    with torch.no_grad():
        expected = network(images).norm(dim=2)
    predictions = Predictions.load(whole / "fold-1" / "predictions.parquet")
    np.testing.assert_allclose(predictions.scores, expected, atol=1e-6)


@pytest.fixture
def stopped(data: Prepared, tmp_path: Path) -> Path:
    """A run of one epoch of two."""
    with pytest.raises(Stop):
        train(data, tmp_path / "run", callbacks=[StopAt(STEPS_PER_EPOCH)])
    return tmp_path / "run"


def refused(message: str, data: Prepared, out: Path, **options: Any) -> None:
    """See that a run is refused and that no file changes."""
    before = files_of(out)
    with pytest.raises(InputError, match=message):
        train(data, out, callbacks=[NoTraining()], **options)
    assert files_of(out) == before


def test_a_folder_of_another_run_is_refused(data: Prepared, stopped: Path, tmp_path: Path) -> None:
    other = small_data(tmp_path / "other", some_labels(40, 3, unknown=0.2, seed=9))
    refused(r"^out: .* data is .*sha256", other, stopped)
    refused(
        r"^out: .*: lr is 0.001 there and 0.1 here; seed is 0 there", data, stopped, lr=0.1, seed=1
    )
    with held(stopped / "fold-1"):
        refused(r"^out: another program is at work", data, stopped)


def test_a_folder_with_folds_but_no_settings_is_refused(data: Prepared, stopped: Path) -> None:
    for name in ("settings.json", ".lock"):
        (stopped / name).unlink()
    refused(r"^out: .* has fold-1 but no settings.json", data, stopped)


def truncated(fold: Path, tmp_path: Path) -> None:
    cut_off(fold / LAST)


def of_two_classes(fold: Path, tmp_path: Path) -> None:
    two = small_data(tmp_path / "two", some_labels(40, 2))
    with pytest.raises(Stop):
        train(two, tmp_path / "run of two", callbacks=[StopAt(STEPS_PER_EPOCH)])
    (tmp_path / "run of two" / "fold-1" / LAST).replace(fold / LAST)


def of_something_else(fold: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"other": torch.zeros(3)}}, fold / LAST)


def without_log(fold: Path, tmp_path: Path) -> None:
    content = torch.load(fold / LAST, weights_only=True)
    torch.save({**content, "callbacks": {}}, fold / LAST)


def that_runs_code(fold: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "code": Path}, fold / LAST)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, r"^checkpoint: .*last.ckpt cannot be read"),
        (of_two_classes, r"^checkpoint: .*last.ckpt is of another network: objective\.\S+ is "),
        (of_something_else, r"^checkpoint: .*last.ckpt is of another network"),
        (without_log, r"^checkpoint: .*last.ckpt is not one to go on from"),
        (that_runs_code, r"^checkpoint: .*last.ckpt cannot be read"),
    ],
)
def test_another_checkpoint_is_refused(
    data: Prepared,
    stopped: Path,
    tmp_path: Path,
    damage: Callable[[Path, Path], None],
    message: str,
) -> None:
    damage(stopped / "fold-1", tmp_path)
    refused(message, data, stopped)


def test_a_checkpoint_of_a_later_fold_is_seen_before_any_training(
    data: Prepared, stopped: Path
) -> None:
    shutil.copytree(stopped / "fold-1", stopped / "fold-2")
    cut_off(stopped / "fold-2" / LAST)
    refused(r"^checkpoint: .*fold-2/last.ckpt cannot be read", data, stopped, folds=None)


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"side": 224}, r"^data: .* was prepared with side 96, expected 224"),
    ({"colour": True}, r"^data: .* was prepared with colour False, expected True"),
    ({"folds": [3]}, r"^fold: expected numbers in 1 \.\. 2, got \[3\]"),
    ({"folds": []}, r"^fold: expected numbers in 1 \.\. 2, got none"),
    ({"fold_count": 5}, r"^count: expected 2 \.\. 4, the number of subjects, got 5"),
    ({"target": "emotions"}, r"^data: no frame of .* has emotions to learn"),
    ({"action_units": [6, 7]}, r"^action_units: expected some of 6, 12, 25.* got 7"),
    ({"data_set": "bp4d"}, r"^data: .* was made of faces, expected bp4d; take the preset of"),
    (
        {"lr_factors": dict.fromkeys(("conv1", "primary", "classes", "decoder"), 0)},
        r"^lr_factors: expected one above 0, got 0 for every part of the network$",
    ),
    ({"lr_factors": {"conv9": 0.1}}, r"^lr_factors: expected parts of TinyCapsNet.* got conv9"),
    ({"weights": "run"}, r"^initial: expected a checkpoint of a run, as weights is run, got none"),
    ({"weights": "vggface"}, r"^initial: expected a file of VGG-Face, .* got none"),
    ({"initial": Path("a.ckpt")}, r"^initial: expected none, as weights is random, got a.ckpt"),
    ({"weights": "run", "initial": Path("none.ckpt")}, r"there is no file none.ckpt"),
    ({"weights": "vggface", "initial": Path("none.pth")}, r"none.pth|no VGG-16 convolutions"),
]


@pytest.mark.parametrize(("options", "message"), BAD_SETTINGS)
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(
    data: Prepared, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(data, tmp_path / "run", callbacks=[NoTraining()], **options)
    assert not (tmp_path / "run").exists()


def test_checkpoints_to_start_from_must_fit(data: Prepared, whole: Path, tmp_path: Path) -> None:
    other, cut = tmp_path / "other.ckpt", tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"objective.network.features.conv1.weight": torch.ones(3)}}, other)
    cut.write_bytes((whole / "fold-1" / LAST).read_bytes())
    cut_off(cut)
    for path, message in (
        (other, r"^initial: expected features.conv1.weight of shape \[8, 1, 8, 8\] .* got \[3\]"),
        (cut, r"cut.ckpt cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            train(data, tmp_path / "run", weights="run", initial=path)
        assert not (tmp_path / "run").exists()
    # Another file would make another run.
    with pytest.raises(Stop):
        train(
            data,
            tmp_path / "run",
            weights="run",
            initial=whole / "fold-1" / LAST,
            callbacks=[StopAt(0)],
        )
    second = tmp_path / "second.ckpt"
    second.write_bytes((whole / "fold-2" / LAST).read_bytes())
    refused(r"^out: .*: initial is '", data, tmp_path / "run", weights="run", initial=second)


def test_a_run_may_not_start_from_one_that_knows_whom_it_tests(
    data: Prepared, whole: Path, tmp_path: Path
) -> None:
    second = whole / "fold-2" / LAST
    with pytest.raises(InputError, match=r"^initial: .* was trained on s0, s2, which this fold"):
        train(data, tmp_path / "run", weights="run", initial=second)
    assert not (tmp_path / "run").exists()
    # Elsewhere than in its run's folder it cannot be known, but is told.
    alone, said = tmp_path / "alone.ckpt", list[str]()
    alone.write_bytes(second.read_bytes())
    with pytest.raises(Stop):
        train(
            data,
            tmp_path / "unknown",
            weights="run",
            initial=alone,
            callbacks=[StopAt(0)],
            report=said.append,
        )
    assert said[0].startswith(f"initial: {alone} is not in its run's folder")
    # Of another data set subjects of the same name are other people.
    changes = {"data_set": "other", "weights": "run", "callbacks": [StopAt(0)]}
    with pytest.raises(Stop):
        train(data, tmp_path / "run", initial=second, **changes)


def test_a_class_that_is_never_present_in_training_is_refused(tmp_path: Path) -> None:
    labels = some_labels(40, 3)
    labels[1::2, 1] = 0
    data = small_data(tmp_path / "data", labels)
    for number in (1, None):
        with pytest.raises(InputError, match=r"^labels: .* in the training rows, got none of AU12"):
            train(data, tmp_path / "run", folds=None if number is None else [number])
        assert not (tmp_path / "run").exists()
    train(data, tmp_path / "run", folds=[2], epochs=1)


def test_a_class_that_is_never_present_in_test_is_undefined_not_zero(tmp_path: Path) -> None:
    labels = some_labels(40, 3)
    labels[0::2, 1] = 0
    train(small_data(tmp_path / "data", labels), tmp_path / "run", epochs=1)
    (row,) = read_log(tmp_path / "run" / "fold-1")
    assert not {"test_f1", "test_auc"} & row.keys()
    evaluation = evaluate_run(tmp_path / "run", resamples=10)
    for result in (evaluation["collated"], evaluation["averaged"], evaluation["per_fold"]["1"]):
        for measure in ("f1", "auc"):
            found = result["classes"]["AU12"][measure]
            assert found["value"] is None
            assert "fold 1" in found["undefined"]
            assert result["average"][measure]["value"] is None
            assert "AU12" in result["average"][measure]["undefined"]
            assert result["classes"]["AU06"][measure]["value"] is not None


def test_what_a_cluster_left_behind_is_not_taken_for_a_start(
    data: Prepared, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would go on from such a file wherever it believes SLURM to be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes((whole / "fold-2" / LAST).read_bytes())
    for name, value in (("NTASKS", 1), ("JOB_NAME", "train"), ("JOB_ID", 7), ("PROCID", 0)):
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    train(data, tmp_path / "run")
    assert_same(final_state(tmp_path / "run" / "fold-1"), final_state(whole / "fold-1"))
