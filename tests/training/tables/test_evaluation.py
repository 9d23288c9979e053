"""A run's evaluation as tables: every number in its place, reasons in notes, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.tables import Table
from fastcaps.training.tables.evaluation import evaluation_tables
from tests.training.evaluation.made import emotion_predictions, predictions, write_run
from tests.training.tables.made import DASH

MEASURES = ("f1", "auc", "accuracy", "f1_equal_error", "f1_tuned")


def rows(table: Table) -> dict[str, list[tuple[str, str]]]:
    return {
        row.heading.text: [(cell.text, cell.detail) for cell in row.cells] for row in table.rows
    }


def percent(measure: Any, interval: bool = False) -> tuple[str, str]:
    value, low, high = (
        "" if measure[name] is None else f"{100 * measure[name]:.1f}"
        for name in ("value", "low", "high")
    )
    return value, f"{low} to {high}" if interval and low else ""


def shown(measures: Any) -> list[tuple[str, str]]:
    return [percent(measures[name], name in ("f1", "auc")) for name in MEASURES]


def test_action_units(tmp_path: Path) -> None:
    evaluation = evaluate_run(write_run(tmp_path / "run"), resamples=50)
    by_class, by_fold = evaluation_tables(evaluation)
    assert by_class.title == (
        "AUCapsNet: 72 test frames, 8 subjects, 2 of 3 folds; percent, with 95% confidence "
        "intervals"
    )
    together = evaluation["collated"]
    assert [heading.text for heading in by_class.columns] == [
        "positives",
        "F1",
        "AUC",
        "accuracy",
        "F1, equal errors",
        "F1, tuned",
    ]
    assert rows(by_class) == {
        **{
            name: [(str(entry["positives"]), ""), *shown(entry)]
            for name, entry in together["classes"].items()
        },
        "average": [("", ""), *shown(together["average"])],
    }
    assert by_class.rows[0].cells[1].detail
    assert rows(by_fold) == {
        "fold 1": shown(evaluation["per_fold"]["1"]["average"]),
        "fold 2": shown(evaluation["per_fold"]["2"]["average"]),
        "mean over the folds": shown(evaluation["averaged"]["average"]),
        "all together": shown(together["average"]),
    }
    assert [row.ruled for row in by_fold.rows] == [False, False, True, False]
    assert by_class.notes == by_fold.notes == ()


def test_what_is_undefined_is_explained_once(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        lambda seed, names: predictions([[0, seed % 2]] * 4, [[0.5, 0.2]] * 4, names),
    )
    by_class, by_fold = evaluation_tables(evaluate_run(run, resamples=20))
    # One half is not enough to count as present, so every frame is right.
    assert [text for text, _ in rows(by_class)["AU01"]] == ["0", DASH, DASH, "100.0", DASH, DASH]
    for table, reason in (
        (by_class, "undefined: AU01 has no positive in fold 1 and fold 2"),
        (by_fold, "undefined: AU01 has no positive in fold 2"),
    ):
        number = table.notes.index(reason) + 1
        assert len(set(table.notes)) == len(table.notes)
        noted = {row.heading.text for row in table.rows if number in row.cells[-5].notes}
        wanted = {"AU01", "average"} if table is by_class else {"fold 2", "mean over the folds"}
        assert noted == wanted


def test_emotions(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", emotion_predictions, target="emotions")
    for fold in (1, 2):
        (run / f"fold-{fold}" / "log.csv").write_text("epoch,test_accuracy\n1,0.875\n")
    evaluation = evaluate_run(run, resamples=50)
    emotion = evaluation["emotion"]
    assert emotion is not None
    *_, accuracy, confusion = evaluation_tables(evaluation)
    assert rows(accuracy) == {
        "fold 1": [percent(emotion["per_fold"]["1"], True)],
        "fold 2": [percent(emotion["per_fold"]["2"], True)],
        "mean over the folds": [percent(emotion["averaged_accuracy"])],
        "mean over the folds, best epoch": [("87.5", "")],
        "all together": [percent(emotion["accuracy"], True)],
    }
    (number,) = accuracy.rows[3].heading.notes
    optimistic = "optimistic: each fold's best epoch was chosen on the frames"
    assert accuracy.notes[number - 1].startswith(optimistic)
    assert [heading.text for heading in confusion.columns] == ["neutral", "anger", "fear"]
    assert [[cell.text for cell in row.cells] for row in confusion.rows] == [
        list(map(str, counts)) for counts in emotion["confusion"]
    ]
