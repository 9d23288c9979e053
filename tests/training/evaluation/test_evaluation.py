"""A run's folder to evaluation.json: numbers against plain computations, bad folders."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import average_differences
from fastcaps.training.evaluation.evaluation import evaluate_run, run_tallies
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import MEASURES, load_evaluation
from tests.training.evaluation.made import (
    RESULT,
    emotion_predictions,
    predictions,
    random_predictions,
    write_fold,
    write_run,
)


def predictions_of(run: Path, fold: int) -> Predictions:
    return Predictions.load(run / f"fold-{fold}" / "predictions.parquet")


def best_f1_by_trial(labels: np.ndarray, scores: np.ndarray) -> float:
    """A threshold just below the smallest score with the largest F1."""
    f1s = {float(t): f1_score(labels, scores >= t) for t in np.unique(scores)}
    return min(t for t, value in f1s.items() if value == max(f1s.values())) - 0.01


def no_infinite_number(found: Any) -> bool:
    if isinstance(found, dict):
        return all(map(no_infinite_number, found.values()))
    if isinstance(found, list):
        return all(map(no_infinite_number, found))
    return not isinstance(found, float) or math.isfinite(found)


def test_the_evaluation_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = evaluate_run(run, resamples=50)
    assert json.loads((run / "evaluation.json").read_text()) == found
    assert load_evaluation(run / "evaluation.json") == found
    assert no_infinite_number(found)
    assert list(found) == [
        *("version", "settings", "data", "target", "classes", "folds", "folds_expected", "frames"),
        *("subjects", "resamples", "confidence", "collated", "per_fold", "averaged", "emotion"),
        "training",
    ]
    assert found["settings"]["network"] == "AUCapsNet"
    assert "data" not in found["settings"]
    assert found["data"] == {"digest": "abc"}
    assert (found["folds"], found["folds_expected"]) == ([1, 2], 3)
    assert (found["frames"], found["subjects"], found["resamples"]) == (72, 8, 50)
    assert found["emotion"] is None
    assert found["training"] == {
        "parameters": 1000,
        "decoder_parameters": 300,
        "images_per_second": 50.0,
        "seconds": 21.0,
        "device": "cpu",
    }


def test_numbers_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = evaluate_run(run, resamples=50)
    folds = {number: predictions_of(run, number) for number in (1, 2)}
    for place, name in enumerate(found["classes"]):
        labels, scores, tuned = [], [], []
        for number, tested in folds.items():
            trained = Predictions.load(run / f"fold-{number}" / "training_predictions.parquet")
            use = trained.labels[:, place] >= 0
            threshold = best_f1_by_trial(
                trained.labels[use, place] == 1, trained.scores[use, place]
            )
            known = tested.labels[:, place] >= 0
            labels.append(tested.labels[known, place] == 1)
            scores.append(tested.scores[known, place])
            tuned.append(scores[-1] >= threshold)
            entry = found["per_fold"][str(number)]["classes"][name]
            assert entry["positives"] == labels[-1].sum()
            assert entry["known"] == known.sum()
            assert entry["f1"]["value"] == pytest.approx(f1_score(labels[-1], scores[-1] > 0.5))
            assert entry["auc"]["value"] == pytest.approx(roc_auc_score(labels[-1], scores[-1]))
        all_labels, all_scores = np.concatenate(labels), np.concatenate(scores)
        together, means = found["collated"]["classes"][name], found["averaged"]["classes"][name]
        assert together["positives"] == means["positives"] == all_labels.sum()
        assert together["known"] == means["known"] == len(all_labels)
        for measure, value in {
            "f1": f1_score(all_labels, all_scores > 0.5),
            "f1_tuned": f1_score(all_labels, np.concatenate(tuned)),
            "auc": roc_auc_score(all_labels, all_scores),
            "accuracy": accuracy_score(all_labels, all_scores > 0.5),
        }.items():
            assert together[measure]["value"] == pytest.approx(value)
            assert together[measure]["low"] <= value <= together[measure]["high"]
            of_folds = [found["per_fold"][n]["classes"][name][measure]["value"] for n in "12"]
            assert means[measure]["value"] == pytest.approx(np.mean(of_folds))
            assert means[measure]["low"] is means[measure]["high"] is None
    for result in (found["collated"], found["averaged"], *found["per_fold"].values()):
        for measure in MEASURES:
            values = [entry[measure]["value"] for entry in result["classes"].values()]
            assert result["average"][measure]["value"] == pytest.approx(np.mean(values))


def test_only_complete_or_chosen_folds(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", fold_count=5)
    whole = evaluate_run(run, resamples=20)
    chosen = evaluate_run(run, [2], resamples=20)
    assert (chosen["folds"], chosen["folds_expected"]) == ([2], 5)
    assert chosen["collated"]["classes"] == whole["per_fold"]["2"]["classes"]
    assert chosen == evaluate_run(run, [2, 2], resamples=20)
    (run / "fold-1" / "result.json").unlink()
    assert evaluate_run(run, resamples=20) == chosen
    with pytest.raises(InputError, match=r"are: 2; got 1; train it first"):
        evaluate_run(run, [1, 2])
    (run / "fold-2" / "result.json").unlink()
    with pytest.raises(InputError, match=r"expected at least one fold .* train it first"):
        evaluate_run(run)
    with pytest.raises(InputError, match="expected at least one fold"):
        evaluate_run(run, [])


def test_the_seed_decides_the_intervals(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert evaluate_run(run, resamples=30, seed=1) == evaluate_run(run, resamples=30, seed=1)
    first, second = (evaluate_run(run, resamples=30, seed=seed) for seed in (1, 2))
    assert first["collated"]["average"] != second["collated"]["average"]
    with pytest.raises(InputError, match="resamples: expected at least 1, got 0"):
        evaluate_run(run, resamples=0)


def test_what_a_fold_lacks_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run)
    tested, trained = predictions_of(run, 2), random_predictions(12, ["S0", "S2", "S4", "S6"])
    labels = tested.labels.copy()
    labels[labels[:, 1] == 1, 1] = -1
    bare = predictions(labels, tested.scores, tested.subjects.tolist())
    for path in (run / "fold-2").iterdir():
        path.unlink()
    (run / "fold-2").rmdir()
    write_fold(run, 2, bare, trained)
    found = evaluate_run(run, resamples=20)
    reason = "AU02 has no positive in fold 2"
    second = found["per_fold"]["2"]
    for measure in ("f1", "f1_tuned", "auc"):
        for of_class in (second["classes"]["AU02"], found["averaged"]["classes"]["AU02"]):
            assert of_class[measure] == {
                "value": None,
                "low": None,
                "high": None,
                "undefined": reason,
            }
        assert second["average"][measure]["undefined"] == reason
        assert found["averaged"]["average"][measure]["undefined"] == reason
        assert found["collated"]["average"][measure]["undefined"] is None
    assert second["average"]["accuracy"]["undefined"] is None
    assert load_evaluation(run / "evaluation.json") == found


def test_a_reason_of_all_folds_names_them(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        lambda seed, names: predictions([0] * 4, [seed / 20] * 4, names),
    )
    found = evaluate_run(run, resamples=20)
    assert found["collated"]["average"]["auc"]["undefined"] == (
        "AU01 has no positive in fold 1 and fold 2"
    )
    assert found["averaged"]["average"]["auc"]["undefined"] == (
        "AU01 has no positive in fold 1; AU01 has no positive in fold 2"
    )


def test_emotions(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", emotion_predictions, target="emotions")
    for fold, accuracies in ((1, "0.5 0.75 0.25"), (2, "0.5 0.5 1")):
        lines = [f"{epoch},{each}" for epoch, each in enumerate(accuracies.split(), start=1)]
        log = run / f"fold-{fold}" / "log.csv"
        log.write_text("\n".join(["epoch,test_accuracy", *lines, ""]))
    found = evaluate_run(run, resamples=50)
    emotion = found["emotion"]
    shown, guessed = [], []
    for number in (1, 2):
        tested = predictions_of(run, number)
        shown.append(tested.labels.argmax(axis=1))
        guessed.append(tested.scores.argmax(axis=1))
        value = np.mean(shown[-1] == guessed[-1])
        assert emotion["per_fold"][str(number)]["value"] == pytest.approx(value)
    both = np.concatenate(shown), np.concatenate(guessed)
    assert emotion["accuracy"]["value"] == pytest.approx(accuracy_score(*both))
    assert emotion["accuracy"]["low"] <= accuracy_score(*both) <= emotion["accuracy"]["high"]
    assert emotion["accuracy"]["low"] < emotion["accuracy"]["high"]
    assert emotion["confusion"] == confusion_matrix(*both).tolist()
    of_folds = [measure["value"] for measure in emotion["per_fold"].values()]
    assert emotion["averaged_accuracy"]["value"] == pytest.approx(np.mean(of_folds))
    assert emotion["best_epoch_accuracy"]["value"] == pytest.approx((0.75 + 1) / 2)
    assert "chosen on the frames" in emotion["best_epoch_accuracy"]["optimistic"]
    assert load_evaluation(run / "evaluation.json") == found


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("epoch,test_accuracy\n1,nan\n", "expected test_accuracy 0 .. 1"),
        ("epoch,test_accuracy\n1,1.5\n", "expected test_accuracy 0 .. 1"),
        ("epoch,test_accuracy\n1,high\n", "cannot be read"),
    ],
)
def test_a_damaged_log_is_refused(tmp_path: Path, log: str, message: str) -> None:
    run = write_run(tmp_path / "run", emotion_predictions, target="emotions")
    (run / "fold-2" / "log.csv").write_text(log)
    with pytest.raises(InputError, match=f"log.csv: {message}"):
        evaluate_run(run, resamples=20)


def test_without_tests_after_epochs_there_is_no_best_epoch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", emotion_predictions, target="emotions")
    (run / "fold-2" / "log.csv").write_text("epoch,test_accuracy\n1,0.5\n2,\n")
    best = evaluate_run(run, resamples=20)["emotion"]["best_epoch_accuracy"]
    assert best["value"] is None
    assert best["undefined"] == "fold 1 was not tested after each epoch (test_each_epoch)"
    (run / "fold-1" / "log.csv").unlink()
    best = evaluate_run(run, resamples=20)["emotion"]["best_epoch_accuracy"]
    assert best["undefined"] == "fold 1 has no log.csv"


def test_costs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for fold, rate, device in ((1, 10.0, "cuda"), (2, 40, "cpu")):
        costs = {**RESULT, "images_per_second": rate, "device": device}
        (run / f"fold-{fold}" / "result.json").write_text(json.dumps(costs))
    assert evaluate_run(run, resamples=20)["training"]["images_per_second"] == 25
    assert evaluate_run(run, resamples=20)["training"]["device"] == "cuda, cpu"
    (run / "fold-1" / "result.json").write_text(json.dumps({**RESULT, "images_per_second": None}))
    assert evaluate_run(run, resamples=20)["training"]["images_per_second"] == 40


def test_runs_are_compared_by_their_tallies(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name) for name in ("a", "b")]
    first, second = map(run_tallies, runs)
    assert average_differences(first, second, 20, 0)["f1"]["value"] == 0
    with pytest.raises(InputError, match="the same frames"):
        average_differences(first, run_tallies(runs[1], [1]), 20, 0)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "evaluation.json").mkdir()
    with pytest.raises(InputError, match=r"evaluation\.json: cannot be written"):
        evaluate_run(run, resamples=20)
