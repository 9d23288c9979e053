"""One fold of a run with HOG features and linear SVMs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import numpy as np
import pytorch_lightning as lightning
from numpy.typing import NDArray

from fastcaps.training.console import progress_bar
from fastcaps.training.devices import Resources
from fastcaps.training.errors import InputError
from fastcaps.training.fold_task import FoldResult, FoldTask, Trained
from fastcaps.training.hog_svm import HogSvm, check_both_sides, fitting_bytes

__all__ = ["SVM", "check_svm", "train_svm"]

SVM = "svm.npz"


def check_svm(task: FoldTask, resources: Resources) -> None:
    """See, before anything is written, that the settings fit SVMs.

    Raises:
        InputError: emotions are to be learned, several devices are to work, or the features do
            not fit into memory.
    """
    if task.targets.exclusive:
        raise InputError("network: HOG-SVM learns action units, expected another for emotions")
    if resources.place[1] > 1:
        raise InputError("devices: expected 1 for HOG-SVM, which works on one CPU")
    check_both_sides(task.targets.labels[task.train_rows], task.targets.classes)
    needed = fitting_bytes(len(task.train_rows), task.prepared.shape.input_side)
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > present:
        raise InputError(
            f"network: HOG-SVM needs {needed / 1e9:.0f} GB for the features of "
            f"{len(task.train_rows):,} frames, expected at most the {present / 1e9:.0f} GB of this "
            "machine; prepare fewer frames"
        )


def train_svm(
    task: FoldTask, resources: Resources, callbacks: Iterable[lightning.Callback] = ()
) -> Trained:
    """Fit the SVMs of one fold; see :func:`fastcaps.training.au_fold.train_network`."""
    frames, side = task.prepared.frames, task.prepared.shape.input_side
    workers = len(os.sched_getaffinity(0))
    start = time.perf_counter()
    with progress_bar("features", resources.progress) as progress:
        svm = HogSvm.fit(
            frames,
            task.targets.labels,
            task.train_rows,
            task.targets.classes,
            side,
            workers=workers,
            progress=progress,
        )
    seconds = time.perf_counter() - start
    svm.save(task.folder / SVM)

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with progress_bar("scores", resources.progress) as progress:
            return svm.scores(frames, rows, workers=workers, progress=progress)

    result = FoldResult(
        epochs=1,
        parameters=svm.coefficients.size + svm.intercepts.size,
        decoder_parameters=0,
        images_per_second=len(task.train_rows) / seconds,
        seconds=seconds,
        device=f"CPU, {workers} processes",
        alpha=None,
    )
    return Trained(score, result)
