"""Reading evaluation.json: versions, shapes, numbers that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.evaluation.report import load_evaluation
from fastcaps.training.evaluation.types_in_json import check_type
from tests.training.evaluation.made import emotion_predictions, write_run


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An evaluation of either target, as JSON."""
    folder = tmp_path_factory.mktemp("runs")
    units = write_run(folder / "units")
    emotions = write_run(folder / "emotions", emotion_predictions, target="emotions")
    return {run.name: json.dumps(evaluate_run(run, resamples=20)) for run in (units, emotions)}


DAMAGES: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "version": ("units", lambda e: e.update(version=2), "expected version 1, got 2; evaluate"),
    "no version": ("units", lambda e: e.pop("version"), "expected version 1, got None"),
    "no average": (
        "units",
        lambda e: e["collated"].pop("average"),
        "evaluation, collated: expected average, got an object without it",
    ),
    "no measure": (
        "units",
        lambda e: e["per_fold"]["2"]["classes"]["AU02"].pop("auc"),
        "evaluation, per_fold, 2, classes, AU02: expected auc",
    ),
    "text for number": (
        "units",
        lambda e: e["collated"]["classes"]["AU01"]["f1"].update(value="0.5"),
        "AU01, f1, value: expected a number, got 0.5",
    ),
    "NaN": (
        "units",
        lambda e: e["collated"]["classes"]["AU01"]["f1"].update(low=float("nan")),
        "AU01, f1, low: expected a number, got nan",
    ),
    "percent": (
        "units",
        lambda e: e["averaged"]["average"]["f1"].update(value=50),
        "f1: expected fractions, 0 .. 1, got",
    ),
    "value and reason": (
        "units",
        lambda e: e["collated"]["average"]["f1"].update(undefined="no positive"),
        "f1: expected either a value or why there is none",
    ),
    "neither": (
        "units",
        lambda e: e["collated"]["average"]["f1"].update(value=None),
        "f1: expected either a value or why there is none",
    ),
    "truth for count": ("units", lambda e: e.update(frames=True), "frames: expected a whole"),
    "folds no list": ("units", lambda e: e.update(folds={}), "folds: expected a list"),
    "other folds": ("units", lambda e: e.update(folds=[1, 3]), r"results of the folds \[1, 3\]"),
    "other classes": (
        "units",
        lambda e: e["averaged"]["classes"].pop("AU01"),
        "expected results of AU01, AU02, AU03, got others",
    ),
    "other target": (
        "units",
        lambda e: e.update(target="emotions"),
        "expected emotion where emotions are the target",
    ),
    "no emotion": (
        "emotions",
        lambda e: e.update(emotion=None),
        "expected emotion where emotions are the target",
    ),
    "not labelled optimistic": (
        "emotions",
        lambda e: e["emotion"]["best_epoch_accuracy"].pop("optimistic"),
        "best_epoch_accuracy: expected optimistic",
    ),
    "emotion in percent": (
        "emotions",
        lambda e: e["emotion"]["accuracy"].update(value=50),
        "accuracy: expected fractions",
    ),
    "confusion": (
        "emotions",
        lambda e: e["emotion"]["confusion"][1].append(0.5),
        "emotion, confusion, 1, 3: expected a whole number, got 0.5",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(texts: dict[str, str], tmp_path: Path, damage: str) -> None:
    target, make, message = DAMAGES[damage]
    evaluation = json.loads(texts[target])
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(evaluation))
    assert load_evaluation(path) == evaluation
    make(evaluation)
    path.write_text(json.dumps(evaluation))
    with pytest.raises(InputError, match=message):
        load_evaluation(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    for content in (None, "", "{", "[]", "\0"):
        if content is not None:
            path.write_text(content)
        with pytest.raises(InputError, match=r"evaluation\.json"):
            load_evaluation(path)


def test_types() -> None:
    check_type({"a": [1, None]}, dict[str, list[int | None]], "x")
    check_type(1, float, "x")
    for found, wanted in ((1.0, int), (True, float), (None, str), ([1], list[str]), (2, dict)):
        with pytest.raises(InputError, match=r"x.*: expected"):
            check_type(found, wanted, "x")
