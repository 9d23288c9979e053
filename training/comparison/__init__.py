"""Runs on the same folds, beside each other."""

from __future__ import annotations

from fastcaps.training.comparison.comparing import ComparedRun, Comparison, Latency, compare
from fastcaps.training.comparison.conditions import Condition, Third
from fastcaps.training.comparison.showing import comparison_tables, write_comparison

__all__ = [
    "ComparedRun",
    "Comparison",
    "Condition",
    "Latency",
    "Third",
    "compare",
    "comparison_tables",
    "write_comparison",
]
