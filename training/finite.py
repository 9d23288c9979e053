"""Stops a run whose loss or gradient is no longer a number, and keeps the batch that did it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from fastcaps.training.batches import Batch
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically

__all__ = ["BAD_BATCH", "StopOnNonFinite"]

BAD_BATCH = "bad_batch.npz"


@dataclass(frozen=True)
class _Step:
    loss: Tensor
    gradient: Tensor | None
    batch: Batch
    epoch: int
    number: int

    @property
    def is_finite(self) -> bool:
        finite = self.loss.isfinite()
        return bool(finite if self.gradient is None else finite & self.gradient.isfinite())


class StopOnNonFinite(Callback):
    """Looks at each step's loss and gradient one step late, so that no step waits for the device.

    No checkpoint is written after such a step, by any of several devices, so the last one is
    still good. ``bad_batch.npz`` gets the batch: frames, labels, rows, epoch, batch and loss; that
    of another device than the first is ``bad_batch-1.npz`` and so on. With ``16-mixed`` gradients
    may overflow: Lightning leaves out such steps.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._gradient: Tensor | None = None
        self._last: _Step | None = None

    def on_before_optimizer_step(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Keep the gradient's norm."""
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            self._gradient = torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look at the step before this one."""
        self._check(trainer)
        self._last = _Step(
            outputs["loss"].detach(), self._gradient, batch, trainer.current_epoch, batch_idx
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Look at the epoch's last step."""
        self._check(trainer)

    def on_save_checkpoint(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Look at the last step before it is kept, on all devices."""
        is_finite = self._last is None or self._last.is_finite
        if not trainer.strategy.reduce_boolean_decision(is_finite, all=True):
            self._check(trainer)
            raise InputError("loss: expected finite numbers, got others on another device")

    def _check(self, trainer: lightning.Trainer) -> None:
        step, self._last = self._last, None
        if step is None or step.is_finite:
            return
        rank = trainer.global_rank
        path = self.folder / (BAD_BATCH if rank == 0 else f"bad_batch-{rank}.npz")
        arrays = {name: part.cpu().numpy() for name, part in step.batch._asdict().items()}
        places = {"epoch": step.epoch, "batch": step.number, "loss": step.loss.item()}
        arrays |= {name: np.asarray(place) for name, place in places.items()}
        write_atomically(path, lambda file: np.savez(file, **arrays))
        what, value = ("loss", step.loss)
        if step.loss.isfinite() and step.gradient is not None:
            what, value = ("gradient's norm", step.gradient)
        raise InputError(
            f"{what}: expected a finite number, got {value.item()} in epoch {step.epoch + 1}, "
            f"batch {step.number + 1}; that batch is in {path}; the last checkpoint is from "
            "before it; try a smaller lr, or precision 32-true"
        )
