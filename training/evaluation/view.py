"""An evaluation as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table

from fastcaps.training.evaluation.report import (
    Emotion,
    Evaluation,
    Measure,
    MeasureName,
    Measures,
)

__all__ = ["evaluation_tables"]

UNDEFINED = "undefined"

COLUMNS: dict[MeasureName, str] = {
    "f1": "F1",
    "auc": "AUC",
    "accuracy": "accuracy",
    "f1_equal_error": "F1, equal errors",
    "f1_tuned": "F1, tuned",
}
WITH_INTERVAL = ("f1", "auc")


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Each class on all test frames together, then each fold, then emotions where they are the
    target; in percent, with reasons below for what is undefined."""
    tables = [_of_classes(evaluation), _of_folds(evaluation)]
    if evaluation["emotion"] is not None:
        tables.append(_of_emotions(evaluation, evaluation["emotion"]))
        tables.append(_confusion(evaluation["classes"], evaluation["emotion"]["confusion"]))
    return tables


def _of_classes(evaluation: Evaluation) -> Table:
    result = evaluation["collated"]
    table = _table(
        "class",
        ["positives", *COLUMNS.values()],
        f"{evaluation['settings'].get('network', '')}: {evaluation['frames']} test frames, "
        f"{evaluation['subjects']} subjects, {len(evaluation['folds'])} of "
        f"{evaluation['folds_expected']} folds; percent "
        f"[{evaluation['confidence']:.0%} interval]",
    )
    for name, entry in result["classes"].items():
        table.add_row(name, str(entry["positives"]), *_cells(entry))
    table.add_section()
    table.add_row("average", "", *_cells(result["average"]), style="bold")
    measures = [entry[name] for entry in result["classes"].values() for name in COLUMNS]
    table.caption = _reasons(measures)
    return table


def _of_folds(evaluation: Evaluation) -> Table:
    title = "averages over the classes, in percent"
    table = _table("test frames", list(COLUMNS.values()), title)
    rows = {f"fold {number}": result for number, result in evaluation["per_fold"].items()}
    for name, result in rows.items():
        table.add_row(name, *_cells(result["average"]))
    table.add_section()
    table.add_row("mean over the folds", *_cells(evaluation["averaged"]["average"]))
    table.add_row("all together", *_cells(evaluation["collated"]["average"]), style="bold")
    table.caption = _reasons(
        result["average"][name] for result in rows.values() for name in COLUMNS
    )
    return table


def _of_emotions(evaluation: Evaluation, emotion: Emotion) -> Table:
    table = _table("test frames", ["accuracy"], "emotions, in percent")
    rows: dict[str, Measure] = {
        **{f"fold {number}": measure for number, measure in emotion["per_fold"].items()},
        "mean over the folds": emotion["averaged_accuracy"],
        "mean over the folds, best epoch (optimistic)": emotion["best_epoch_accuracy"],
        "all together": emotion["accuracy"],
    }
    for name, measure in rows.items():
        table.add_row(name, _cell(measure, with_interval=True))
    optimistic = f"optimistic: {emotion['best_epoch_accuracy']['optimistic']}"
    table.caption = "\n".join(filter(None, [optimistic, _reasons(rows.values())]))
    return table


def _confusion(classes: list[str], confusion: list[list[int]]) -> Table:
    table = _table("shown", classes, "frames by emotion shown (rows) and found (columns)")
    for name, counts in zip(classes, confusion, strict=True):
        table.add_row(name, *map(str, counts))
    return table


def _table(first: str, columns: list[str], title: str) -> Table:
    table = Table(first, title=title, box=box.SIMPLE, caption_justify="left", padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _cells(measures: Measures) -> list[str]:
    return [_cell(measures[name], name in WITH_INTERVAL) for name in COLUMNS]


def _cell(measure: Measure, with_interval: bool) -> str:
    if measure["value"] is None:
        return UNDEFINED
    value = f"{100 * measure['value']:.1f}"
    low, high = measure["low"], measure["high"]
    if not with_interval or low is None or high is None:
        return value
    return f"{value} [{100 * low:.1f}, {100 * high:.1f}]"


def _reasons(measures: Iterable[Measure]) -> str | None:
    reasons = dict.fromkeys(
        reason
        for measure in measures
        if measure["undefined"]
        for reason in measure["undefined"].split("; ")
    )
    return "\n".join(f"{UNDEFINED}: {reason}" for reason in reasons) or None
