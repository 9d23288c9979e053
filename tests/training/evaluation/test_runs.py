"""Runs' folders whose parts are missing, damaged, or do not fit together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.runs import read_predicted_run
from tests.training.evaluation.made import (
    emotion_predictions,
    random_predictions,
    write_fold,
    write_run,
)

ODD = ["S1", "S3", "S5", "S7"]
EVEN = ["S0", "S2", "S4", "S6"]


def rewrite(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def replace_fold(run: Path, tested: Predictions, trained: Predictions) -> None:
    shutil.rmtree(run / "fold-2")
    write_fold(run, 2, tested, trained)


def test_a_run_is_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", fold_count=4)
    (run / "fold-x").mkdir()
    (run / "fold-x" / "result.json").write_text("{}")
    found = read_predicted_run(run)
    assert [fold.number for fold in found.folds] == [1, 2]
    assert [list(fold.fold.test_subjects) for fold in found.folds] == [EVEN, ODD]
    assert [list(fold.fold.train_subjects) for fold in found.folds] == [ODD, EVEN]
    assert [set(fold.tested.subjects) for fold in found.folds] == [set(EVEN), set(ODD)]
    assert (found.target, found.folds_expected) == ("action_units", 4)


@pytest.mark.parametrize(("data_set", "folds"), [("ckplus", 10), ("bp4d", 3), ("mine", 3)])
def test_how_many_folds_there_will_be(tmp_path: Path, data_set: str, folds: int) -> None:
    assert (
        read_predicted_run(write_run(tmp_path / "run", data_set=data_set)).folds_expected == folds
    )


def test_folds_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "fold-2").rename(run / "fold-10")
    (run / "fold-1").rename(run / "fold-9")
    assert [fold.number for fold in read_predicted_run(run).folds] == [9, 10]


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another folder": (
        lambda run: (run / "settings.json").unlink(),
        "expected a run's folder, got one without settings.json",
    ),
    "settings no JSON": (
        lambda run: (run / "settings.json").write_text("{"),
        "settings.json: cannot be read",
    ),
    "settings of something else": (
        lambda run: (run / "settings.json").write_text("{}"),
        "is not the folder of a run of fastcaps-au train",
    ),
    "another target": (
        lambda run: rewrite(run / "settings.json", target="ages"),
        "settings.json, target: expected action_units or emotions, got ages",
    ),
    "result no object": (
        lambda run: (run / "fold-1" / "result.json").write_text("[]"),
        "result.json: expected a JSON object",
    ),
    "NaN in the result": (
        lambda run: rewrite(run / "fold-1" / "result.json", seconds=float("nan")),
        "result.json, seconds: expected a number, got nan",
    ),
    "no fold.json": (lambda run: (run / "fold-1" / "fold.json").unlink(), "fold.json: cannot be"),
    "numbers for subjects": (
        lambda run: rewrite(run / "fold-1" / "fold.json", test_subjects=[1]),
        "fold.json, test_subjects, 0: expected a text, got 1",
    ),
    "no predictions": (
        lambda run: (run / "fold-2" / "predictions.parquet").unlink(),
        "there is no file .*fold-2/predictions.parquet",
    ),
    "damaged predictions": (
        lambda run: (run / "fold-2" / "training_predictions.parquet").write_bytes(b"PAR1"),
        "training_predictions.parquet cannot be used",
    ),
    "trained on and tested": (
        lambda run: rewrite(run / "fold-2" / "fold.json", train_subjects=[*EVEN, "S1"]),
        "fold-2/fold.json: test_subjects: expected none of train_subjects, got S1 in both",
    ),
    "a training subject among the tested": (
        lambda run: random_predictions(0, [*ODD, "S2"]).save(run / "fold-2/predictions.parquet"),
        "fold-2/predictions.parquet: expected frames of the subjects that .* got S2; train",
    ),
    "a test subject among those trained on": (
        lambda run: random_predictions(0, ODD).save(run / "fold-2/training_predictions.parquet"),
        "training_predictions.parquet: expected frames .* got S1, S3, S5, S7; train",
    ),
    "no frames": (
        lambda run: random_predictions(0, ODD, 0).save(run / "fold-2/predictions.parquet"),
        "predictions.parquet: expected at least one frame",
    ),
    "emotions": (
        lambda run: emotion_predictions(0, ODD).save(run / "fold-2/predictions.parquet"),
        "predictions.parquet: expected predictions of action units, .* got emotions",
    ),
    "other classes": (
        lambda run: replace_fold(
            run, random_predictions(0, ODD, classes=2), random_predictions(0, EVEN, classes=2)
        ),
        "expected the classes AU01, AU02, AU03 of fold 1 everywhere, got AU01, AU02 in fold 2",
    ),
    "other classes in training": (
        lambda run: random_predictions(0, EVEN, classes=2).save(
            run / "fold-2/training_predictions.parquet"
        ),
        "of fold 1 everywhere, got AU01, AU02 in fold 2",
    ),
    "tested twice": (
        lambda run: replace_fold(
            run, random_predictions(0, [*ODD, "S2"]), random_predictions(0, ["S0", "S4", "S6"])
        ),
        "expected each subject to be tested in one fold, got S2 in fold 1 and fold 2",
    ),
    "another data set": (
        lambda run: replace_fold(
            run, random_predictions(0, ODD), random_predictions(0, ["S0", "S2", "S4", "X1"])
        ),
        "expected folds of one data set, got S6, X1 in fold 1 or fold 2 only",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_refused(tmp_path: Path, damage: str) -> None:
    run = write_run(tmp_path / "run")
    make, message = DAMAGES[damage]
    make(run)
    with pytest.raises(InputError, match=message):
        read_predicted_run(run)


def test_subjects_without_frames_are_no_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    random_predictions(0, ["S3"]).save(run / "fold-2" / "predictions.parquet")
    assert set(read_predicted_run(run).folds[1].tested.subjects) == {"S3"}
