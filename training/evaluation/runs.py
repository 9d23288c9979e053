"""What training left in a run's folder.

``settings.json`` and a folder for each fold, ``fold-1`` and so on, with

``fold.json``                     the subjects on either side
``predictions.parquet``           scores of the test frames
``training_predictions.parquet``  scores of the training frames, not augmented
``log.csv``                       a line for each epoch
``result.json``                   written last: what it cost
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.types_in_json import check_type
from fastcaps.training.folders import SETTINGS, read_json
from fastcaps.training.folds import FOLD_COUNTS, Fold
from fastcaps.training.run_files import (
    FOLD,
    PREDICTIONS,
    RESULT,
    TRAINING_PREDICTIONS,
    fold_folder,
)

__all__ = ["Run", "Sides", "TrainedFold", "read_predicted_run"]


class Cost(TypedDict):
    """The content of ``result.json`` that evaluation needs."""

    parameters: int | None
    decoder_parameters: int | None
    images_per_second: float | None
    seconds: float | None
    device: str


class _RunSettings(TypedDict):
    target: Literal["action_units", "emotions"]
    data_set: str
    fold_count: int | None
    data: dict[str, Any]


class Sides(TypedDict):
    """The content of ``fold.json``."""

    train_subjects: list[str]
    test_subjects: list[str]


@dataclass(frozen=True)
class TrainedFold:
    """One trained fold.

    Attributes:
        number: from 1.
        folder: where it is.
        fold: the subjects on either side.
        tested: predictions for the test frames.
        trained: predictions for the training frames.
        cost: of its training.
    """

    number: int
    folder: Path
    fold: Fold
    tested: Predictions
    trained: Predictions
    cost: Cost

    @property
    def name(self) -> str:
        """What reasons and errors call it."""
        return f"fold {self.number}"


@dataclass(frozen=True)
class Run:
    """A run's settings, without ``data``, what it says of its data, and its trained folds."""

    settings: dict[str, Any]
    data: dict[str, Any]
    folds: tuple[TrainedFold, ...]

    @property
    def target(self) -> Literal["action_units", "emotions"]:
        """What was learned."""
        target: Literal["action_units", "emotions"] = self.settings["target"]
        return target

    @property
    def folds_expected(self) -> int:
        """How many folds it has when all are trained."""
        count: int = self.settings["fold_count"] or FOLD_COUNTS.get(self.settings["data_set"], 3)
        return count


def read_predicted_run(folder: Path, folds: Sequence[int] | None = None) -> Run:
    """Read a run's folder and see that its folds fit together.

    Args:
        folder: the run's.
        folds: which folds to read; None for all that are complete.

    Raises:
        InputError: this is no run's folder, a fold is not complete or none is, a file is damaged,
            or folds are of different data, test a subject twice or one that they trained on.
    """
    if not (folder / SETTINGS).is_file():
        raise InputError(f"{folder}: expected a run's folder, got one without {SETTINGS}")
    settings = read_json(folder / SETTINGS)
    if not _RunSettings.__annotations__.keys() <= settings.keys():
        raise InputError(f"run: {folder} is not the folder of a run of fastcaps-au train")
    check_type(settings, _RunSettings, f"{folder / SETTINGS}")
    numbers = _complete_folds(folder) if folds is None else sorted(set(folds))
    data = settings.pop("data")
    run = Run(settings, data, tuple(_read_fold(folder, number) for number in numbers))
    if not run.folds:
        raise InputError(
            f"{folder}: expected at least one fold that is trained to its end, got none; "
            "train it first: fastcaps-au train"
        )
    for fold in run.folds:
        _check_fold(fold, exclusive=run.target == "emotions")
    _check_together(folder, run.folds)
    return run


def _complete_folds(folder: Path) -> list[int]:
    names = [path.parent.name.removeprefix("fold-") for path in folder.glob(f"fold-*/{RESULT}")]
    return sorted(int(name) for name in names if name.isdecimal())


def _read_fold(run: Path, number: int) -> TrainedFold:
    folder = fold_folder(run, number)
    if not (folder / RESULT).is_file():
        complete = ", ".join(map(str, _complete_folds(run))) or "none"
        raise InputError(
            f"folds: expected some that are trained to their end, which in {run} are: {complete}; "
            f"got {number}; train it first: fastcaps-au train"
        )
    result: Any = read_json(folder / RESULT)
    check_type(result, Cost, f"{folder / RESULT}")
    sides = read_json(folder / FOLD)
    check_type(sides, Sides, f"{folder / FOLD}")
    try:
        fold = Fold(tuple(sides["train_subjects"]), tuple(sides["test_subjects"]))
    except InputError as error:
        raise InputError(f"{folder / FOLD}: {error}; train the fold again") from error
    return TrainedFold(
        number=number,
        folder=folder,
        fold=fold,
        tested=Predictions.load(folder / PREDICTIONS),
        trained=Predictions.load(folder / TRAINING_PREDICTIONS),
        cost=result,
    )


def _check_fold(fold: TrainedFold, exclusive: bool) -> None:
    for name, predictions, subjects in (
        (PREDICTIONS, fold.tested, fold.fold.test_subjects),
        (TRAINING_PREDICTIONS, fold.trained, fold.fold.train_subjects),
    ):
        path = fold.folder / name
        if not len(predictions):
            raise InputError(f"{path}: expected at least one frame, got none")
        if predictions.exclusive != exclusive:
            kinds = ("action units", "emotions")
            raise InputError(
                f"{path}: expected predictions of {kinds[exclusive]}, as {SETTINGS} says, "
                f"got {kinds[not exclusive]}; train the fold again"
            )
        if strange := sorted(set(predictions.subjects.tolist()) - set(subjects)):
            raise InputError(
                f"{path}: expected frames of the subjects that {FOLD} lists for it, got "
                f"{', '.join(strange)}; train the fold again"
            )


def _check_together(run: Path, folds: Sequence[TrainedFold]) -> None:
    first = folds[0]
    people = {*first.fold.train_subjects, *first.fold.test_subjects}
    tested: dict[str, str] = {}
    for fold in folds:
        for predictions in (fold.tested, fold.trained):
            if predictions.classes != first.tested.classes:
                raise InputError(
                    f"{run}: expected the classes {', '.join(first.tested.classes)} of "
                    f"{first.name} everywhere, got {', '.join(predictions.classes)} in "
                    f"{fold.name}; train it again"
                )
        if strange := people ^ {*fold.fold.train_subjects, *fold.fold.test_subjects}:
            raise InputError(
                f"{run}: expected folds of one data set, got {', '.join(sorted(strange))} in "
                f"{first.name} or {fold.name} only; train it again"
            )
        for subject in fold.fold.test_subjects:
            if subject in tested:
                raise InputError(
                    f"{run}: expected each subject to be tested in one fold, "
                    f"got {subject} in {tested[subject]} and {fold.name}; train them again"
                )
            tested[subject] = fold.name
