"""One run's evaluation as tables."""

from __future__ import annotations

from collections.abc import Mapping

from fastcaps.training.evaluation.report import (
    Emotion,
    Evaluation,
    Measure,
    MeasureName,
    Measures,
)
from fastcaps.training.tables.layout import Notes, cell_of
from fastcaps.training.tables.model import Cell, Heading, Row, Table
from fastcaps.training.tables.runs import value_of

__all__ = ["evaluation_tables"]

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
    target; in percent, with reasons in notes for what is undefined."""
    tables = [_of_classes(evaluation), _of_folds(evaluation)]
    emotion = evaluation["emotion"]
    if emotion is not None:
        tables += [_of_emotions(emotion), _confusion(evaluation["classes"], emotion["confusion"])]
    return tables


def _of_classes(evaluation: Evaluation) -> Table:
    result, notes = evaluation["collated"], Notes()
    rows = [
        Row(Heading(name), (Cell(str(entry["positives"])), *_cells(entry, notes)))
        for name, entry in result["classes"].items()
    ]
    average = (Cell(), *_cells(result["average"], notes))
    return Table(
        title=f"{evaluation['settings'].get('network', '')}: {evaluation['frames']} test frames, "
        f"{evaluation['subjects']} subjects, {len(evaluation['folds'])} of "
        f"{evaluation['folds_expected']} folds; percent, with {evaluation['confidence']:.0%} "
        "confidence intervals",
        corner="class",
        columns=_headings("positives", *COLUMNS.values()),
        rows=(*rows, Row(Heading("average"), average, ruled=True)),
        notes=notes.texts,
    )


def _of_folds(evaluation: Evaluation) -> Table:
    means, together = evaluation["averaged"]["average"], evaluation["collated"]["average"]
    notes = Notes()
    rows = [
        Row(Heading(f"fold {number}"), _cells(result["average"], notes))
        for number, result in evaluation["per_fold"].items()
    ]
    rows.append(Row(Heading("mean over the folds"), _cells(means, notes), ruled=True))
    rows.append(Row(Heading("all together"), _cells(together, notes)))
    title = "averages over the classes, in percent"
    return Table(title, "test frames", _headings(*COLUMNS.values()), tuple(rows), notes.texts)


def _of_emotions(emotion: Emotion) -> Table:
    best, notes = emotion["best_epoch_accuracy"], Notes()
    measures: Mapping[Heading, Measure] = {
        **{Heading(f"fold {number}"): each for number, each in emotion["per_fold"].items()},
        Heading("mean over the folds"): emotion["averaged_accuracy"],
        Heading(
            "mean over the folds, best epoch", notes.numbers([f"optimistic: {best['optimistic']}"])
        ): best,
        Heading("all together"): emotion["accuracy"],
    }
    rows = tuple(
        Row(heading, (_cell(measure, notes, interval=True),))
        for heading, measure in measures.items()
    )
    title = "emotions, in percent"
    return Table(title, "test frames", _headings("accuracy"), rows, notes.texts)


def _confusion(classes: list[str], confusion: list[list[int]]) -> Table:
    rows = tuple(
        Row(Heading(name), tuple(Cell(str(count)) for count in counts))
        for name, counts in zip(classes, confusion, strict=True)
    )
    title = "frames by emotion shown (rows) and found (columns)"
    return Table(title, "shown", _headings(*classes), rows)


def _headings(*texts: str) -> tuple[Heading, ...]:
    return tuple(map(Heading, texts))


def _cells(measures: Measures, notes: Notes) -> tuple[Cell, ...]:
    return tuple(_cell(measures[name], notes, name in WITH_INTERVAL) for name in COLUMNS)


def _cell(measure: Measure, notes: Notes, interval: bool) -> Cell:
    return cell_of(value_of(measure, interval=interval), None, notes)
