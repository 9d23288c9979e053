"""Runs compared: what is refused, differences, and what is kept of each run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from fastcaps.training.comparison import Latency, compare
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.evaluation.predictions import Predictions, concatenated
from tests.training.evaluation.made import (
    SETTINGS,
    emotion_predictions,
    random_predictions,
    write_fold,
    write_run,
)

Make = Callable[[int, Sequence[str]], Predictions]
RESAMPLES = 50


def noisier(seed: int, subjects: Sequence[str]) -> Predictions:
    """The same frames and labels as ``random_predictions``, with other scores."""
    made = random_predictions(seed, subjects)
    noise = np.random.default_rng(seed + 100).random(made.scores.shape, np.float32)
    return replace(made, scores=(made.scores + noise) / 2)


class Evaluated(Protocol):
    """Makes an evaluated run in a folder, with these settings."""

    def __call__(self, run: Path, make: Make = ..., **settings: Any) -> Path: ...


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """Copies of runs that are evaluated once."""

    @cache
    def template(make: Make, target: str) -> Path:
        run = write_run(tmp_path_factory.mktemp("template") / "run", make, target=target)
        evaluate_run(run, resamples=RESAMPLES)
        return run

    def copied(run: Path, make: Make = random_predictions, **settings: Any) -> Path:
        shutil.copytree(template(make, settings.get("target", "action_units")), run)
        described = json.loads((run / "settings.json").read_text()) | settings
        (run / "settings.json").write_text(json.dumps(described))
        evaluation = json.loads((run / "evaluation.json").read_text())
        evaluation["data"] = described.pop("data")
        evaluation["settings"] = described
        (run / "evaluation.json").write_text(json.dumps(evaluation))
        return run

    return copied


@pytest.fixture
def pair(tmp_path: Path, evaluated: Evaluated) -> list[Path]:
    first = evaluated(tmp_path / "first", title="Ours")
    return [first, evaluated(tmp_path / "second", noisier, network="ConvNet")]


def averages(run: Path) -> tuple[float, float]:
    """Mean F1 and mean AUC over the classes, from the files."""
    folds = [Predictions.load(path) for path in sorted(run.glob("fold-*/predictions.parquet"))]
    tested = concatenated(folds)
    f1, auc = [], []
    for labels, scores in zip(tested.labels.T, tested.scores.T, strict=True):
        known = labels != -1
        f1.append(f1_score(labels[known], scores[known] > 0.5))
        auc.append(roc_auc_score(labels[known], scores[known]))
    return float(np.mean(f1)), float(np.mean(auc))


def test_differences_are_to_the_first_run(pair: list[Path]) -> None:
    first, second = compare(pair, resamples=RESAMPLES).runs
    assert first.differences is None
    assert second.differences is not None
    expected = np.subtract(averages(pair[1]), averages(pair[0]))
    found = [second.differences[name]["value"] for name in ("f1", "auc")]
    assert found == pytest.approx(expected.tolist(), abs=1e-9)
    for name in ("f1", "auc"):
        low, high = second.differences[name]["low"], second.differences[name]["high"]
        assert low is not None
        assert high is not None
        assert low < high


def test_a_run_does_not_differ_from_its_copy(tmp_path: Path, evaluated: Evaluated) -> None:
    runs = [evaluated(tmp_path / name) for name in ("a", "b")]
    differences = compare(runs, resamples=RESAMPLES).runs[1].differences
    assert differences is not None
    assert (differences["f1"]["value"], differences["f1"]["low"], differences["f1"]["high"]) == (
        0,
        0,
        0,
    )


def test_names_are_titles_or_networks_with_folders_where_they_repeat(
    tmp_path: Path, evaluated: Evaluated
) -> None:
    runs = [
        evaluated(tmp_path / "a", title="Ours"),
        evaluated(tmp_path / "b"),
        evaluated(tmp_path / "c", network="ConvNet"),
        evaluated(tmp_path / "d"),
    ]
    names = [run.name for run in compare(runs, resamples=RESAMPLES).runs]
    assert names == ["Ours", "AUCapsNet (b)", "ConvNet", "AUCapsNet (d)"]


def test_latency_is_measured_of_each_run(pair: list[Path]) -> None:
    def measure(run: Path) -> Latency | None:
        return Latency(2.0, 900.0, 128, "cpu") if run == pair[0] else None

    first, second = compare(pair, measure_latency=measure, resamples=RESAMPLES).runs
    assert first.latency == Latency(2.0, 900.0, 128, "cpu")
    assert second.latency is None


def test_emotions_are_compared_by_accuracy_too(tmp_path: Path, evaluated: Evaluated) -> None:
    runs = [
        evaluated(tmp_path / name, emotion_predictions, target="emotions") for name in ("a", "b")
    ]
    second = compare(runs, resamples=RESAMPLES).runs[1]
    assert second.differences is not None
    assert second.differences["all_classes"]["value"] == 0


def test_one_run_or_the_same_twice_is_refused(pair: list[Path]) -> None:
    for runs in (
        [],
        pair[:1],
        [pair[0], pair[0]],
        [pair[0], pair[0].parent / "x" / ".." / "first"],
    ):
        with pytest.raises(InputError, match="runs: expected at least two different ones"):
            compare(runs)


def test_a_run_without_evaluation_is_refused(pair: list[Path]) -> None:
    (pair[1] / "evaluation.json").unlink()
    with pytest.raises(InputError, match="evaluate it first: fastcaps-au evaluate"):
        compare(pair)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"sha256": "b"}}, "sha256 is a and b"),
        ({"data": {"sha256": "a", "frames": 5}}, "frames is None and 5"),
        ({"data": {"sha256": "b", "input_side": 224, "frames": 5}}, "frames is None and 5"),
    ],
)
def test_other_data_is_refused(
    tmp_path: Path, evaluated: Evaluated, change: dict[str, Any], message: str
) -> None:
    first = evaluated(tmp_path / "a", data={"sha256": "a"})
    second = evaluated(tmp_path / "b", **change)
    with pytest.raises(InputError, match=message) as caught:
        compare([first, second])
    assert "\n" not in str(caught.value)


def test_pictures_of_another_size_are_the_same_data(tmp_path: Path, evaluated: Evaluated) -> None:
    small = evaluated(tmp_path / "a", data={"sha256": "a", "input_side": 96, "colour": False})
    large = evaluated(tmp_path / "b", data={"sha256": "b", "input_side": 224, "colour": True})
    assert len(compare([small, large], resamples=RESAMPLES).runs) == 2


def test_other_classes_are_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    first = evaluated(tmp_path / "a")
    second = evaluated(tmp_path / "b", lambda seed, who: random_predictions(seed, who, classes=2))
    with pytest.raises(InputError, match="classes is AU01, AU02, AU03 and AU01, AU02"):
        compare([first, second])


def test_action_units_and_emotions_are_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    first = evaluated(tmp_path / "a")
    second = evaluated(tmp_path / "b", emotion_predictions, target="emotions")
    with pytest.raises(InputError, match="target is action_units and emotions"):
        compare([first, second])


def test_other_subjects_in_a_fold_are_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    first = evaluated(tmp_path / "a")
    second = tmp_path / "b"
    second.mkdir()
    (second / "settings.json").write_text(json.dumps(SETTINGS))
    sides = [["S0", "S1", "S4", "S6"], ["S2", "S3", "S5", "S7"]]
    for number, (tested, trained) in enumerate((sides, sides[::-1]), start=1):
        predictions = (random_predictions(number, side) for side in (tested, trained))
        write_fold(second, number, *predictions)
    evaluate_run(second, resamples=RESAMPLES)
    with pytest.raises(InputError, match="fold 1, test_subjects is S0, S2, S4, S6 and S0, S1"):
        compare([first, second])


def test_other_folds_are_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    first, second = evaluated(tmp_path / "a"), write_run(tmp_path / "b")
    evaluate_run(second, folds=[1], resamples=RESAMPLES)
    with pytest.raises(InputError, match="folds evaluated is 1, 2 and 1"):
        compare([first, second])


def test_other_labels_are_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    def relabelled(seed: int, subjects: Sequence[str]) -> Predictions:
        made = random_predictions(seed, subjects)
        return replace(made, labels=made.labels[::-1].copy())

    runs = [evaluated(tmp_path / "a"), evaluated(tmp_path / "b", relabelled)]
    with pytest.raises(InputError, match="same frames with the same labels"):
        compare(runs)


@pytest.mark.parametrize("text", ["{}", "[]", '{"train_subjects": [1], "test_subjects": []}'])
def test_a_damaged_fold_file_is_told(pair: list[Path], text: str) -> None:
    (pair[1] / "fold-2" / "fold.json").write_text(text)
    with pytest.raises(InputError, match=r"fold\.json.*: expected"):
        compare(pair)
