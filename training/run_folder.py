"""The folder of a training run: settings, checkpoints and log, safe against a kill at any moment.

``settings.json``  what the run was started with; another run may not continue here.
``last.ckpt``      everything needed to continue, written every few seconds and after each epoch.
``best.ckpt``      the same, after the best epoch, where a run chooses one.
``log.csv``        one line for each epoch.
``result.json``    how the run ended.

Files are written beside their place and then renamed, so each is always whole.
"""

from __future__ import annotations

import csv
import io
import math
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.run_files import BEST, LAST, LOG, RESULT

__all__ = [
    "CONTENTS",
    "AtomicCheckpointIO",
    "EpochLog",
    "SaveCheckpoints",
    "load_checkpoint",
    "quiet",
    "sigterm_is_an_error",
]

CONTENTS = (LAST, BEST, LOG, RESULT)

STEPS_BETWEEN_CLOCKS = 32
"""Several devices have to agree on when to save, which is asked after so many steps."""

Measures = Mapping[str, float | None]
"""What is known of a network after an epoch, by name; None where it is not defined."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back warnings of Lightning that do not apply to runs of this program."""
    with warnings.catch_warnings():
        # Batches do go on where they were; Lightning only knows loaders that it restores itself.
        warnings.filterwarnings("ignore", message=".*resuming from a checkpoint that ended")
        # Images are read ahead where that pays.
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # Lightning's own use of torch.
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        yield


@contextmanager
def sigterm_is_an_error() -> Iterator[None]:
    """End with a shell's code for SIGTERM, where Lightning would end as if all was done."""
    try:
        yield
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None


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
    """Keeps a line for each epoch, in checkpoints, in ``log.csv`` and for the loggers.

    A line has the epoch, the learning rate of its last step (the largest, where parts of a network
    have their own), the means of the loss and its terms, what ``measure`` found, and the median
    time of a step. A step's time runs from the end of the step before it,
    so it holds the loading of its batch.

    Args:
        folder: the run's folder.
        measure: looks at the network after each epoch; called by all devices.
    """

    def __init__(
        self,
        folder: Path,
        measure: Callable[[lightning.Trainer, lightning.LightningModule], Measures],
    ) -> None:
        self.path = folder / LOG
        self.measure = measure
        self.rows: list[dict[str, float | None]] = []
        self.step_seconds: list[float] = []
        self.steps = 0
        self.sums: dict[str, Tensor | float] = {}
        self._step_ended: float | None = None
        self._lr = math.nan

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the batch to go on with, both from 0."""
        return len(self.rows), self.steps

    @property
    def median_step_ms(self) -> float:
        """Median over the epochs of their median step time; NaN where no epoch has one."""
        times = self.values("step_ms")
        return statistics.median(times) if times else math.nan

    def values(self, name: str) -> list[float]:
        """A measure of all epochs for which it is defined."""
        return [value for row in self.rows if (value := row[name]) is not None]

    def on_train_epoch_start(self, *_: Any) -> None:
        """The first step of an epoch has no step before it."""
        self._step_ended = None

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Note the learning rate; after the step it is the next one's already."""
        optimizer = trainer.optimizers[0]
        group = optimizer.param_groups[0]
        # Of parts of the network that have no factor of their own.
        self._lr = optimizer.defaults["lr"] * group["lr"] / group.get("initial_lr", group["lr"])

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
        for name, term in outputs.items():
            # Added up on the device, so that no step waits for it.
            self.sums[name] = self.sums.get(name, 0.0) + term.detach()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch's line."""
        seconds = self.step_seconds
        means = self._over_devices(trainer) / self.steps
        row: dict[str, float | None] = {
            "epoch": len(self.rows) + 1,
            "lr": self._lr,
            **dict(zip(self.sums, means.tolist(), strict=True)),
            **self.measure(trainer, pl_module),
            "step_ms": 1000 * statistics.median(seconds) if seconds else None,
        }
        self.rows.append(row)
        self.step_seconds = []
        self.steps, self.sums = 0, {}
        if not trainer.is_global_zero:
            return
        write_atomically(self.path, lambda file: file.write(_csv(self.rows).encode()))
        for logger in trainer.loggers:
            known = {f"epoch/{name}": value for name, value in row.items() if value is not None}
            logger.log_metrics(known, step=trainer.global_step)

    def share_sums(self, trainer: lightning.Trainer) -> None:
        """Give every device the same sums, as a checkpoint keeps those of the first one only."""
        if trainer.world_size > 1 and self.sums:
            shared = self._over_devices(trainer).tolist()
            self.sums = dict(zip(self.sums, shared, strict=True))

    def _over_devices(self, trainer: lightning.Trainer) -> Tensor:
        """The means of the devices' sums."""
        sums = torch.tensor([float(total) for total in self.sums.values()])
        reduced = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return {
            "rows": [dict(row) for row in self.rows],
            "steps": self.steps,
            "sums": {name: float(total) for name, total in self.sums.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.steps = state_dict["steps"]
        self.sums = dict(state_dict["sums"])


class SaveCheckpoints(Checkpoint):
    """Writes ``last.ckpt`` every so many seconds and after each epoch, and ``best.ckpt``.

    Args:
        folder: the run's folder.
        log: has written the epoch's line.
        seconds: time between two writes within an epoch.
        smallest: the measure whose smallest value makes an epoch the best; None for no best one.
    """

    def __init__(
        self, folder: Path, log: EpochLog, seconds: float, smallest: str | None = None
    ) -> None:
        self.folder = folder
        self.epoch_log = log
        self.seconds = seconds
        self.smallest = smallest
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save if it is time, unless the epoch's end will do so in a moment."""
        if not trainer.is_last_batch and self._is_time(trainer):
            self._save(trainer, LAST)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save, also as the best if it is."""
        if self.smallest is not None and self._is_best(self.smallest):
            self._save(trainer, BEST)
        self._save(trainer, LAST)

    def _is_best(self, measure: str) -> bool:
        *before, last = (row[measure] for row in self.epoch_log.rows)
        return last is not None and all(value is None or last < value for value in before)

    def _is_time(self, trainer: lightning.Trainer) -> bool:
        is_time = time.monotonic() - self._saved >= self.seconds
        if trainer.world_size == 1:
            return is_time
        if self.epoch_log.steps % STEPS_BETWEEN_CLOCKS:
            return False
        return trainer.strategy.reduce_boolean_decision(is_time, all=False)

    def _save(self, trainer: lightning.Trainer, name: str) -> None:
        self.epoch_log.share_sums(trainer)
        trainer.save_checkpoint(self.folder / name)
        self._saved = time.monotonic()


def _csv(rows: list[dict[str, float | None]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
