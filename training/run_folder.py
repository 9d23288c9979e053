"""The folder of a training run: settings, checkpoints and log, safe against a kill at any moment.

``settings.json``  what the run was started with; another run may not continue here.
``last.ckpt``      everything needed to continue, written every few seconds and after each epoch.
``best.ckpt``      the same, after the epoch with the smallest validation error.
``log.csv``        one line for each epoch.
``result.json``    how the run ended.

Files are written beside their place and then renamed, so each is always whole.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically

__all__ = [
    "BEST",
    "CONTENTS",
    "LAST",
    "RESULT",
    "AtomicCheckpointIO",
    "EpochLog",
    "SaveCheckpoints",
    "load_checkpoint",
]

LAST = "last.ckpt"
BEST = "best.ckpt"
LOG = "log.csv"
RESULT = "result.json"

CONTENTS = (LAST, BEST, LOG, RESULT)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint of this program on the CPU, running no code from it.

    Raises:
        InputError: there is no such file, or it is not a checkpoint.
    """
    if not path.is_file():
        raise InputError(f"checkpoint: there is no file {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises many types on a damaged file, RuntimeError and UnpicklingError among them.
    except Exception as error:
        raise InputError(f"checkpoint: {path} cannot be read: {error}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"checkpoint: {path} is not a checkpoint of a training run")
    return checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically, also where the system's temporary folder is another disk."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write ``checkpoint`` to ``path``."""
        write_atomically(Path(path), lambda file: torch.save(checkpoint, file))

    def load_checkpoint(self, path: str | Path, *_: object, **__: object) -> dict[str, Any]:
        """Read the checkpoint at ``path``, see :func:`load_checkpoint`."""
        return load_checkpoint(Path(path))


class EpochLog(Callback):
    """Keeps a line for each epoch, in checkpoints and in ``log.csv``, and times the steps.

    A step's time runs from the end of the step before it, so it holds the loading of its batch.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        self.rows: list[dict[str, float]] = []
        self.step_seconds: list[float] = []
        self.steps = 0
        self.loss_sum: Tensor | float = 0.0
        self._step_ended: float | None = None

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the batch to go on with, both from 0."""
        return len(self.rows), self.steps

    @property
    def median_step_ms(self) -> float:
        """Median over the epochs of their median step time; NaN where no epoch has one."""
        times = [row["step_ms"] for row in self.rows if not math.isnan(row["step_ms"])]
        return statistics.median(times) if times else math.nan

    def on_train_epoch_start(self, *_: Any) -> None:
        """The first step of an epoch has no step before it."""
        self._step_ended = None

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step."""
        now = time.perf_counter()
        if self._step_ended is not None:
            self.step_seconds.append(now - self._step_ended)
        self._step_ended = now
        self.steps += 1
        # Added up on the device, so that no step waits for it.
        self.loss_sum = self.loss_sum + outputs["loss"].detach()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch's line."""
        seconds = self.step_seconds
        row = {
            "epoch": len(self.rows) + 1,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "loss": float(self.loss_sum) / self.steps,
            "validation_error": float(trainer.callback_metrics["validation_error"]),
            "step_ms": 1000 * statistics.median(seconds) if seconds else math.nan,
        }
        self.rows.append(row)
        self.step_seconds = []
        self.steps, self.loss_sum = 0, 0.0
        write_atomically(self.path, lambda file: file.write(_csv(self.rows).encode()))

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return {
            "rows": [dict(row) for row in self.rows],
            "steps": self.steps,
            "loss_sum": float(self.loss_sum),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.steps = state_dict["steps"]
        self.loss_sum = state_dict["loss_sum"]


class SaveCheckpoints(Checkpoint):
    """Writes ``last.ckpt`` every so many seconds and after each epoch, and ``best.ckpt``.

    Args:
        folder: the run's folder.
        log: gives the validation errors.
        seconds: time between two writes within an epoch.
    """

    def __init__(self, folder: Path, log: EpochLog, seconds: float) -> None:
        self.folder = folder
        self.epoch_log = log
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save if it is time, unless the epoch's end will do so in a moment."""
        if trainer.is_last_batch or time.monotonic() - self._saved < self.seconds:
            return
        self._save(trainer, LAST)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save, also as the best if it is."""
        errors = [row["validation_error"] for row in self.epoch_log.rows]
        if errors[-1] < min(errors[:-1], default=float("inf")):
            self._save(trainer, BEST)
        self._save(trainer, LAST)

    def _save(self, trainer: lightning.Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / name)
        self._saved = time.monotonic()


def _csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
