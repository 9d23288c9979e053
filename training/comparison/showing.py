"""A comparison as tables and in files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fastcaps.training.comparison.comparing import Comparison
from fastcaps.training.comparison.conditions_table import conditions_table
from fastcaps.training.comparison.overview import overview
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_json
from fastcaps.training.tables.files import write_tables
from fastcaps.training.tables.model import Table
from fastcaps.training.tables.paper import class_table

__all__ = ["comparison_tables", "write_comparison"]


def comparison_tables(comparison: Comparison) -> list[Table]:
    """An overview with a row for each run, F1 and AUC of each class, and AUC by condition."""
    runs = [(run.name, run.evaluation) for run in comparison.runs]
    classes = comparison.runs[0].evaluation["classes"]
    return [
        overview(comparison),
        class_table("F1-frame in percent, by class", classes, "f1", [], runs),
        class_table("AUC in percent, by class", classes, "auc", [], runs),
        *([conditions_table(comparison)] if comparison.conditions else []),
    ]


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.json, .md, .html and .tex.

    Args:
        folder: made if it is missing.
        comparison: to write.

    Raises:
        InputError: the folder cannot be written.
    """
    tables = comparison_tables(comparison)
    write_tables(folder, tables, name="comparison", title="Comparison of runs")
    path = folder / "comparison.json"
    try:
        write_json(path, asdict(comparison))
    except OSError as error:
        raise InputError(f"out: {path} cannot be written: {error.strerror}") from error
