"""Whether runs can be compared: the same data, classes, folds and subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.report import Evaluation
from fastcaps.training.evaluation.runs import Sides
from fastcaps.training.evaluation.types_in_json import check_type
from fastcaps.training.folders import read_json
from fastcaps.training.run_files import FOLD, fold_folder

__all__ = ["check_same"]

SHAPE = ("input_side", "colour")
CHECKSUM = "sha256"
SHOWN = 60


def check_same(runs: Sequence[Path], evaluations: Sequence[Evaluation]) -> None:
    """See that all runs can be compared with the first.

    Runs may have learned from pictures of different size or colour. The checksums of their data
    then differ, and only what else is known of the data must agree.

    Args:
        runs: their folders.
        evaluations: of these.

    Raises:
        InputError: they differ; says in what.
    """
    found = [_described(run, each) for run, each in zip(runs, evaluations, strict=True)]
    for run, other in zip(runs[1:], found[1:], strict=True):
        first = found[0]
        ignored = {*SHAPE, CHECKSUM} if _shape(first) != _shape(other) else set()
        names = sorted((first.keys() | other.keys()) - ignored)
        differences = [
            f"{name} is {_short(first.get(name))} and {_short(other.get(name))}"
            for name in names
            if first.get(name) != other.get(name)
        ]
        if differences:
            raise InputError(
                f"runs: expected the same data, classes and folds, but between {runs[0]} and "
                f"{run} {'; '.join(differences)}; compare runs that were trained on the same folds"
            )


def _described(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """All that must be the same, by names that errors use."""
    subjects = {
        f"fold {number}, {side}": sorted(names)
        for number in evaluation["folds"]
        for side, names in _sides(fold_folder(run, number) / FOLD).items()
    }
    return {
        **evaluation["data"],
        "target": evaluation["target"],
        "classes": evaluation["classes"],
        "folds evaluated": evaluation["folds"],
        **subjects,
    }


def _sides(path: Path) -> dict[str, list[str]]:
    fold: Any = read_json(path)
    try:
        check_type(fold, Sides, f"{path}")
    except InputError as error:
        raise InputError(f"{error}; train the fold again") from error
    return {name: fold[name] for name in Sides.__annotations__}


def _shape(described: Mapping[str, Any]) -> list[Any]:
    return [described.get(name) for name in SHAPE]


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
