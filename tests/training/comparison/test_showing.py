"""A comparison as tables and files."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fastcaps.training.comparison import (
    ComparedRun,
    Comparison,
    Latency,
    comparison_tables,
    write_comparison,
)
from fastcaps.training.errors import InputError
from fastcaps.training.tables import Table
from tests.training.tables.made import DASH, evaluation, measure

MINUS = "\N{MINUS SIGN}"


def run(
    name: str,
    values: dict[str, float | None],
    differences: dict[str, Any] | None = None,
    latency: Latency | None = None,
    **options: Any,
) -> ComparedRun:
    made = evaluation(values, **options)
    return ComparedRun(f"runs/{name}", name, made, differences, latency)


def two_runs() -> Comparison:
    first = run("Ours", {"AU01": 0.5, "AU12": 0.7}, latency=Latency(1.5, 1234.4, 128, "one CPU"))
    differences = {
        "f1": {"value": -0.05, "low": -0.1, "high": 0.02, "undefined": None},
        "auc": measure(None),
    }
    second = run("Conv", {"AU01": 0.6, "AU12": 0.5}, differences, network="HOG-SVM")
    second.evaluation["training"].update(parameters=None, images_per_second=None, seconds=None)
    return Comparison((first, second), resamples=500)


def row(table: Table, name: str) -> dict[str, tuple[str, str]]:
    """Text and second line of each cell, by column."""
    (found,) = (row for row in table.rows if row.heading.text == name)
    return {
        heading.text: (cell.text, cell.detail)
        for heading, cell in zip(table.columns, found.cells, strict=True)
    }


def bold(table: Table) -> list[tuple[str, str]]:
    return [
        (row.heading.text, heading.text)
        for row in table.rows
        for heading, cell in zip(table.columns, row.cells, strict=True)
        if cell.best
    ]


def test_the_overview_tells_size_scores_and_speed() -> None:
    overview = comparison_tables(two_runs())[0]
    assert row(overview, "Ours") == {
        "Network": ("AUCapsNet", ""),
        "Parameters": ("1,000", ""),
        "Without decoder": ("700", ""),
        "F1-frame": ("60.0", "59.0 to 61.0"),
        "F1-frame, difference": ("", ""),
        "AUC": ("30.0", "29.0 to 31.0"),
        "AUC, difference": ("", ""),
        "Epochs": ("7", ""),
        "Training time": ("0:00:10", ""),
        "Training images/s": ("50", ""),
        "Latency in ms": ("1.50", ""),
        "Images/s": ("1,234", ""),
    }
    assert row(overview, "Conv") == {
        "Network": ("HOG-SVM", ""),
        "Parameters": (DASH, ""),
        "Without decoder": (DASH, ""),
        "F1-frame": ("55.0", "54.0 to 56.0"),
        "F1-frame, difference": (f"{MINUS}5.0", f"{MINUS}10.0 to +2.0"),
        "AUC": ("27.5", "26.5 to 28.5"),
        "AUC, difference": (DASH, ""),
        "Epochs": (DASH, ""),
        "Training time": (DASH, ""),
        "Training images/s": (DASH, ""),
        "Latency in ms": (DASH, ""),
        "Images/s": (DASH, ""),
    }
    assert bold(overview) == [("Ours", "F1-frame"), ("Ours", "AUC")]


def test_notes_say_how_numbers_came_about() -> None:
    overview = comparison_tables(two_runs())[0]
    notes = "\n".join(overview.notes)
    for part in (
        "against Ours, in percentage points; with its 95% confidence interval from 500 resamples",
        "batches of 128; one CPU",
        "undefined: a reason",
        "not measured",
    ):
        assert part in notes


def test_latency_has_no_columns_where_none_was_measured() -> None:
    first, second = two_runs().runs
    without = ComparedRun(first.folder, first.name, first.evaluation, None, None)
    overview = comparison_tables(Comparison((without, second), 500))[0]
    assert [heading.text for heading in overview.columns][-1] == "Training images/s"


def test_classes_have_tables_with_the_best_run_in_bold() -> None:
    _, f1, auc = comparison_tables(two_runs())
    for table in (f1, auc):
        assert bold(table) == [("1", "Conv"), ("12", "Ours"), ("Average", "Ours")]
    assert row(f1, "12") == {"Ours": ("70.0", ""), "Conv": ("50.0", "")}
    assert row(auc, "12") == {"Ours": ("35.0", ""), "Conv": ("25.0", "")}


def test_emotions_have_accuracy_first() -> None:
    values = {"neutral": 0.5, "fear": 0.7}
    differences = {name: measure(0.1, 0.05) for name in ("all_classes", "f1", "auc")}
    runs = (
        run("a", values, accuracies=(0.8, 0.7, 0.9)),
        run("b", values, differences, accuracies=(0.9, 0.7, 0.9)),
    )
    overview, by_class, _ = comparison_tables(Comparison(runs, 500))
    assert row(overview, "b")["Accuracy"] == ("90.0", "89.0 to 91.0")
    assert row(overview, "b")["Accuracy, difference"] == ("+10.0", "+5.0 to +15.0")
    assert [row.heading.text for row in by_class.rows] == ["neutral", "fear", "Average"]


def test_files_hold_tables_and_all_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_comparison(folder, two_runs())
    names = [f"comparison.{kind}" for kind in ("html", "json", "md", "tex")]
    assert sorted(path.name for path in folder.iterdir()) == names
    found = json.loads((folder / "comparison.json").read_text())
    assert [run["name"] for run in found["runs"]] == ["Ours", "Conv"]
    assert found["runs"][1]["differences"]["f1"]["value"] == -0.05
    assert found["runs"][0]["latency"]["milliseconds"] == 1.5
    assert found["runs"][0]["evaluation"]["classes"] == ["AU01", "AU12"]
    HTMLParser().feed((folder / "comparison.html").read_text("utf-8"))
    assert (folder / "comparison.md").read_text("utf-8").count("## ") == 3
    assert f"$-${5.0}" in (folder / "comparison.tex").read_text("utf-8")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: .* cannot be written"):
        write_comparison(tmp_path / "file", two_runs())
