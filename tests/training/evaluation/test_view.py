"""What the terminal shows of an evaluation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.evaluation.report import Evaluation
from fastcaps.training.evaluation.view import evaluation_tables
from tests.training.evaluation.made import emotion_predictions, predictions, write_run


def shown(evaluation: Evaluation) -> str:
    text = io.StringIO()
    console = Console(width=120, file=text)
    for table in evaluation_tables(evaluation):
        console.print(table)
    return text.getvalue()


def line(text: str, start: str) -> str:
    found = [each for each in text.splitlines() if each.strip().startswith(start)]
    assert len(found) == 1
    return " ".join(found[0].split())


def percent(measure: Any, interval: bool = False) -> str:
    numbers = [f"{100 * measure[name]:.1f}" for name in ("value", "low", "high") if measure[name]]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]" if interval else numbers[0]


def test_action_units(tmp_path: Path) -> None:
    evaluation = evaluate_run(write_run(tmp_path / "run"), resamples=50)
    text = shown(evaluation)
    for name, start in (("AU02", "AU02"), (None, "average ")):
        result = evaluation["collated"]
        entry = result["average"] if name is None else result["classes"][name]
        counts = [] if name is None else [str(entry["positives"])]
        wanted = [
            start.strip(),
            *counts,
            percent(entry["f1"], True),
            percent(entry["auc"], True),
            *(percent(entry[measure]) for measure in ("accuracy", "f1_equal_error", "f1_tuned")),
        ]
        assert line(text, start) == " ".join(wanted)
    assert (
        "AUCapsNet: 72 test frames, 8 subjects, 2 of 3 folds; percent [95% interval]"
        in " ".join(text.split())
    )
    second = evaluation["per_fold"]["2"]["average"]
    assert line(text, "fold 2").startswith(f"fold 2 {percent(second['f1'], True)}")
    means = evaluation["averaged"]["average"]
    assert line(text, "mean over the folds").startswith(
        f"mean over the folds {percent(means['f1'])} {percent(means['auc'])}"
    )
    assert "undefined" not in text


def test_what_is_undefined_is_explained_once(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        lambda seed, names: predictions([[0, seed % 2]] * 4, [[0.5, 0.2]] * 4, names),
    )
    text = shown(evaluate_run(run, resamples=20))
    # One half is not enough to count as present, so every frame is right.
    assert line(text, "AU01") == "AU01 0 undefined undefined 100.0 undefined undefined"
    reasons = [each.strip() for each in text.splitlines() if "undefined:" in each]
    for once in ("AU01 has no positive in fold 1 and fold 2", "AU01 has no positive in fold 2"):
        assert reasons.count(f"undefined: {once}") == 1


def test_emotions(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", emotion_predictions, target="emotions")
    for fold in (1, 2):
        (run / f"fold-{fold}" / "log.csv").write_text("epoch,test_accuracy\n1,0.875\n")
    evaluation = evaluate_run(run, resamples=50)
    text = shown(evaluation)
    emotion = evaluation["emotion"]
    assert f"all together {percent(emotion['accuracy'], True)}" in " ".join(text.split())
    assert "mean over the folds, best epoch (optimistic) 87.5" in " ".join(text.split())
    assert "optimistic: each fold's best epoch was chosen on the frames" in " ".join(text.split())
    counts = " ".join(map(str, emotion["confusion"][1]))
    assert f"anger {counts}" in " ".join(text.split())
