"""A run: a network, or a linear SVM, trained and tested on each fold of a data set.

    settings.json                   what the run was started with
    fold-1/fold.json                the subjects on either side
    fold-1/statistics.npz           mean and standard deviation of each pixel
    fold-1/last.ckpt                everything needed to continue
    fold-1/log.csv, tensorboard/    a line for each epoch
    fold-1/predictions.parquet      scores of the test frames
    fold-1/training_predictions.parquet
                                    scores of the training frames
    fold-1/result.json              how it ended; written last
    fold-2/ ...

A fold that was stopped, in whatever way, goes on when the same call is made again, and ends as if
it had not been. Folds may be trained at different times and on different machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
from numpy.typing import NDArray

from fastcaps.training.au_fold import check_checkpoint, train_network
from fastcaps.training.devices import Resources, is_first_process
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.fold_parts import check_network, check_shares
from fastcaps.training.fold_task import FoldTask
from fastcaps.training.folders import claim_shared_folder, held, write_json
from fastcaps.training.folds import FOLD_COUNTS, Fold, make_folds
from fastcaps.training.initial_weights import (
    check_initial,
    check_source,
    people_are_unknown,
)
from fastcaps.training.prepared import Prepared, combined, file_sha256
from fastcaps.training.run_files import FOLD, PREDICTIONS, RESULT, TRAINING_PREDICTIONS, fold_folder
from fastcaps.training.run_network import RunDataOfIntensities
from fastcaps.training.run_settings import HOG_SVM, RunSettings
from fastcaps.training.statistics import class_weights
from fastcaps.training.svm_fold import check_svm, train_svm
from fastcaps.training.targets import Targets, make_targets

__all__ = ["train_run"]

CONTENTS = ("fold-1",)

ANY_DATA = "csv"
"""Of a table that someone has made: whose frames these are is not known."""


def train_run(
    prepared: Prepared,
    settings: RunSettings,
    out: Path,
    *,
    folds: Sequence[int] | None = None,
    resources: Resources,
    initial: Path | None = None,
    callbacks: Iterable[lightning.Callback] = (),
    report: Callable[[str], object] = lambda line: None,
) -> None:
    """Train, or continue to train, the folds of a run.

    Args:
        prepared: the data set.
        settings: what decides the result; a folder with others is refused.
        out: the run's folder, made if it is missing.
        folds: their numbers, from 1; None for all.
        resources: what to work with.
        initial: weights that the convolutions start from, see :func:`set_initial_weights`.
        callbacks: further Lightning callbacks.
        report: is told what is done, a line at a time.

    Raises:
        InputError: settings and data do not fit, or the folder holds another run; most of this
            before anything is trained.
    """
    check_initial(settings, initial)
    _check_input(prepared, settings)
    targets = make_targets(prepared, settings)
    used = prepared.index["subject"].iloc[targets.rows]
    all_folds = make_folds(used, settings.folds, settings.data_set, settings.fold_count)
    tasks = {}
    for number in _checked_numbers(folds, len(all_folds)):
        train_rows, test_rows = targets.rows_of(all_folds[number - 1], prepared)
        # Raises where a class is never present: before long training, and not after it.
        class_weights(targets.labels, train_rows, targets.classes)
        check_source(settings, initial, all_folds[number - 1])
        folder = fold_folder(out, number)
        tasks[number] = FoldTask(
            prepared, targets, train_rows, test_rows, settings, initial, folder
        )
        check = check_svm if settings.network == HOG_SVM else check_shares
        check(tasks[number], resources)
    if settings.network != HOG_SVM:
        check_network(next(iter(tasks.values())), resources)
        unfinished = [task for task in tasks.values() if not (task.folder / RESULT).exists()]
        for task in unfinished[1:]:  # the first one is read as it goes on
            check_checkpoint(task)
    if is_first_process():
        claim_shared_folder(
            out, _claim(prepared, settings, targets, initial, len(all_folds)), CONTENTS
        )
        if people_are_unknown(settings, initial):
            report(
                f"initial: {initial} is not in its run's folder, which would tell whom it was "
                f"trained on; see that they are not among those that these folds test"
            )
    for number, task in tasks.items():
        # Other processes see the same, as a fold ends only after all have worked on it.
        is_done = (task.folder / RESULT).exists()
        if is_first_process():
            report(f"fold {number} of {len(all_folds)}{': was trained before' * is_done}")
        if is_done:
            continue
        with held(task.folder) if is_first_process() else nullcontext():
            _train_fold(task, all_folds[number - 1], resources, callbacks)
    if is_first_process():
        report(f"the run is in {out}; go on with: fastcaps-au evaluate {out}")


def _train_fold(
    task: FoldTask, fold: Fold, resources: Resources, callbacks: Iterable[lightning.Callback]
) -> None:
    if is_first_process():
        write_json(task.folder / FOLD, asdict(fold))
    train = train_svm if task.settings.network == HOG_SVM else train_network
    trained = train(task, resources, callbacks)
    if not is_first_process():
        return
    for name, rows in ((PREDICTIONS, task.test_rows), (TRAINING_PREDICTIONS, task.train_rows)):
        _predictions(task, rows, trained.score(rows)).save(task.folder / name)
    write_json(task.folder / RESULT, asdict(trained.result))


def _predictions(
    task: FoldTask, rows: NDArray[np.int64], scores: NDArray[np.float32]
) -> Predictions:
    index = task.prepared.index.iloc[rows]
    return Predictions(
        classes=task.targets.classes,
        exclusive=task.targets.exclusive,
        subjects=index["subject"].to_numpy(dtype=object),
        sequences=index["sequence"].to_numpy(dtype=object),
        frames=index["frame"].to_numpy(dtype=np.int64),
        labels=task.targets.labels[rows],
        scores=scores,
    )


def _claim(
    prepared: Prepared,
    settings: RunSettings,
    targets: Targets,
    initial: Path | None,
    fold_count: int,
) -> dict[str, Any]:
    """What ``settings.json`` says."""
    data: RunDataOfIntensities = {
        "sha256": combined(prepared.meta["sha256"].values()),
        "frames": len(targets.rows),
        "classes": list(targets.classes),
        "input_side": prepared.shape.input_side,
        "colour": prepared.shape.colour,
        "folds": fold_count,
    }
    if settings.positive_from is None and "positive_from" in prepared.meta["made_by"]:
        data["positive_from"] = prepared.meta["made_by"]["positive_from"]
    digest = None if initial is None else file_sha256(initial)
    return {**settings.as_dict(), "initial": digest, "data": data}


def _check_input(prepared: Prepared, settings: RunSettings) -> None:
    shape, source = prepared.shape, prepared.meta["made_by"].get("data_set", ANY_DATA)
    if settings.data_set in FOLD_COUNTS and source not in (settings.data_set, ANY_DATA):
        raise InputError(
            f"data: {prepared.folder} was made of {source}, expected {settings.data_set}; "
            "take the preset of that data set, or a name of its own: --set data_set=NAME"
        )
    for name, wanted, given in (
        ("side", settings.side, shape.input_side),
        ("colour", settings.colour, shape.colour),
    ):
        if wanted is not None and wanted != given:
            raise InputError(
                f"data: {prepared.folder} was prepared with {name} {given}, expected {wanted} "
                f"for {settings.title or settings.network}; prepare it so, or change {name}"
            )


def _checked_numbers(folds: Sequence[int] | None, count: int) -> list[int]:
    if folds is None:
        return list(range(1, count + 1))
    wrong = sorted(set(folds) - set(range(1, count + 1)))
    if wrong or not folds:
        raise InputError(f"fold: expected numbers in 1 .. {count}, got {wrong or 'none'}")
    return sorted(set(folds))
