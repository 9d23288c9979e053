"""Tables 1 to 4 of the paper, with runs beside what it prints, and such tables of other data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from fastcaps.training.evaluation.report import Evaluation
from fastcaps.training.published import Method, PublishedTable, TableMeasure, published_tables
from fastcaps.training.tables.layout import AVERAGE, Column, Value, arrange
from fastcaps.training.tables.model import Table, transposed
from fastcaps.training.tables.runs import (
    ACCURACY,
    COLLATED_ACCURACY,
    OPTIMISTIC,
    accuracy_columns,
    average_column,
    class_column,
    data_set_of,
    uses_external_data,
)

__all__ = ["MEASURE_NAMES", "Labelled", "class_table", "make_tables"]

Labelled: TypeAlias = tuple[str, Evaluation]

DATA_SET_NAMES = {"bp4d": "BP4D", "disfa": "DISFA", "ckplus": "CK+"}
"""The data sets of the paper, by what they are called in settings."""

TARGETS = {"bp4d": "action_units", "disfa": "action_units", "ckplus": "emotions"}
"""What the paper learns of them."""

MEASURE_NAMES: dict[TableMeasure, str] = {"f1": "F1-frame", "auc": "AUC", "accuracy": "Accuracy"}

ACCURACY_ROWS = {ACCURACY: "mean over folds", COLLATED_ACCURACY: "all frames together"}
NOT_PRINTED = "the paper gives no number; the average is over the others"
EXTERNAL_NOTE = "uses external data"


def make_tables(evaluations: Sequence[Labelled], *, class_intervals: bool = False) -> list[Table]:
    """The paper's tables of the data sets that runs are of, then one or two of each other data.

    A run is in the tables of its data set if it learned what the paper learns of it, action units
    or emotions; where the paper separates methods with and without external data, only on its
    side. Values are in percent; the best of each row are bold.

    Args:
        evaluations: label and evaluation of each run, in the order of their columns.
        class_intervals: whether to show confidence intervals of single classes, too.

    Returns:
        The tables; those of the paper without runs where there are no evaluations.
    """
    in_paper = [run for run in evaluations if _is_in_paper(run)]
    present = {data_set_of(run[1]) for run in in_paper}
    tables = [
        _paper_table(published, in_paper, class_intervals)
        for published in published_tables()
        if not evaluations or present & _data_sets(published)
    ]
    for title, runs in _other_data(evaluations):
        tables += _own_tables(title, runs, class_intervals)
    return tables


def _class_rows(classes: Sequence[str]) -> dict[str, str]:
    """Headings of rows by class: numbers of action units in ascending order, or emotions."""
    if _corner(classes) != "AU":
        return {name: name for name in classes}
    return {name: name[2:].lstrip("0") for name in sorted(set(classes))}


def _corner(classes: Sequence[str]) -> str:
    """What the classes are."""
    return "AU" if all(name[:2] == "AU" and name[2:].isdigit() for name in classes) else "Emotion"


def _is_in_paper(run: Labelled) -> bool:
    evaluation = run[1]
    return TARGETS.get(data_set_of(evaluation)) == evaluation["target"]


def _data_sets(published: PublishedTable) -> set[str]:
    return set(published.rows) if published.data_set is None else {published.data_set}


def _classes_in_paper(data_set: str) -> tuple[str, ...]:
    return next(table.rows for table in published_tables() if table.data_set == data_set)


def _paper_table(
    published: PublishedTable, runs: Sequence[Labelled], class_intervals: bool
) -> Table:
    columns = [_column(method, published) for method in published.methods]
    own = [run for run in runs if _belongs(run, published)]
    if published.measure == "accuracy":
        return _accuracy_table(_title(published), columns, own)
    if published.data_set is None:
        columns += [
            average_column(*run, published.measure, compared=_classes_in_paper(data_set_of(run[1])))
            for run in own
        ]
        rows = {name: DATA_SET_NAMES[name] for name in published.rows}
        return arrange(_title(published), "Data", rows, columns)
    return class_table(
        _title(published), published.rows, published.measure, columns, own, class_intervals
    )


def _belongs(run: Labelled, published: PublishedTable) -> bool:
    evaluation = run[1]
    side = published.external_data
    return data_set_of(evaluation) in _data_sets(published) and (
        side is None or side == uses_external_data(evaluation)
    )


def _column(method: Method, published: PublishedTable) -> Column:
    values = {
        name: Value(
            value, notes=(NOT_PRINTED,) if value is None else (), competes=not method.optimistic
        )
        for name, value in zip(published.rows, method.values, strict=True)
    }
    if method.average is not None:
        values[AVERAGE] = Value(
            method.average,
            notes=(method.disagrees,) if method.disagrees else (),
            competes=None not in method.values,
        )
    notes = [str(method.source)]
    if method.renamed:
        notes.append(method.renamed)
    if method.external_data and published.external_data is None:
        notes.append(EXTERNAL_NOTE)
    if method.optimistic:
        notes.append(OPTIMISTIC)
    return Column(method.name, values, tuple(notes))


def _title(published: PublishedTable) -> str:
    data = "concurrent work" if published.data_set is None else DATA_SET_NAMES[published.data_set]
    sides = {None: "", False: ", without external data", True: ", with external data"}
    return (
        f"{published.place}: {MEASURE_NAMES[published.measure]} in percent, {data}"
        f"{sides[published.external_data]}"
    )


def _other_data(evaluations: Sequence[Labelled]) -> list[tuple[str, list[Labelled]]]:
    """Runs that the paper has no table for, with those on the same data together."""
    groups: dict[str, list[Labelled]] = {}
    for run in evaluations:
        if not _is_in_paper(run):
            evaluation = run[1]
            data_set = data_set_of(evaluation)
            what = [data_set, evaluation["target"], evaluation["classes"], evaluation["data"]]
            groups.setdefault(json.dumps(what, sort_keys=True), []).append(run)
    titled: dict[str, list[list[Labelled]]] = {}
    for runs in groups.values():
        data_set = data_set_of(runs[0][1])
        titled.setdefault(DATA_SET_NAMES.get(data_set, data_set), []).append(runs)
    return [
        (name if len(same) == 1 else f"{name} ({number})", runs)
        for name, same in titled.items()
        for number, runs in enumerate(same, start=1)
    ]


def _own_tables(name: str, runs: Sequence[Labelled], class_intervals: bool) -> list[Table]:
    if runs[0][1]["target"] == "emotions":
        return [_accuracy_table(f"Accuracy in percent, {name}", [], runs)]
    classes = runs[0][1]["classes"]
    measures: tuple[TableMeasure, ...] = ("f1", "auc")
    return [
        class_table(
            f"{MEASURE_NAMES[measure]} in percent, {name}",
            classes,
            measure,
            [],
            runs,
            class_intervals,
        )
        for measure in measures
    ]


def class_table(
    title: str,
    compared: Sequence[str],
    measure: TableMeasure,
    published: Sequence[Column],
    runs: Sequence[Labelled],
    class_intervals: bool = False,
) -> Table:
    """A row for each class and their average, a column for each method and run.

    Args:
        title: of the table.
        compared: classes; only averages over just these compete.
        measure: what to show.
        published: the first columns.
        runs: the others.
        class_intervals: whether to show confidence intervals of single classes, too.
    """
    own = [
        class_column(*run, measure, class_intervals=class_intervals, compared=tuple(compared))
        for run in runs
    ]
    classes = [*compared, *(name for run in runs for name in run[1]["classes"])]
    rows = {**_class_rows(classes), AVERAGE: "Average"}
    return arrange(title, _corner(classes), rows, [*published, *own])


def _accuracy_table(title: str, published: Sequence[Column], runs: Sequence[Labelled]) -> Table:
    own = [column for run in runs for column in accuracy_columns(*run)]
    rows = ACCURACY_ROWS if own else {ACCURACY: ACCURACY_ROWS[ACCURACY]}
    return transposed(arrange(title, "", rows, [*published, *own]), "Method")
