"""What is to be trained on one fold, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.prepared import Prepared
from fastcaps.training.run_settings import RunSettings
from fastcaps.training.targets import Targets

__all__ = ["FoldResult", "FoldTask", "Trained"]


@dataclass(frozen=True)
class FoldTask:
    """What is to be trained.

    Attributes:
        prepared: the data set.
        targets: what is learned from it.
        train_rows, test_rows: the frames of both sides: int64 [N_train] and int64 [N_test].
        settings: of the run.
        initial: weights that the convolutions start from, see :func:`set_initial_weights`.
        folder: of the fold; exists.
    """

    prepared: Prepared
    targets: Targets
    train_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    settings: RunSettings
    initial: Path | None
    folder: Path


@dataclass(frozen=True)
class FoldResult:
    """How a fold's training ended; kept in ``result.json``.

    Attributes:
        epochs: trained for.
        parameters: of the network, those of the decoder included.
        decoder_parameters: of the decoder alone.
        images_per_second: while training, by the median step; None where nothing was timed.
        seconds: of training, if all steps take the median time; scoring is not in it.
        device: what it ran on.
        alpha: weight of the reconstruction loss; None without one.
    """

    epochs: int
    parameters: int
    decoder_parameters: int
    images_per_second: float | None
    seconds: float | None
    device: str
    alpha: float | None


@dataclass(frozen=True)
class Trained:
    """What was trained on a fold.

    Attributes:
        score: from rows int64 [M] of the data set to scores float32 [M, N].
        result: how it ended.
    """

    score: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    result: FoldResult
