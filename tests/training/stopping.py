"""Stops a training run, as a kill would."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as lightning

__all__ = ["Stop", "StopAt"]


class Stop(Exception):
    """Raised instead of a kill."""


class StopAt(lightning.Callback):
    """Stops a run before a step, counted from 0 over all epochs."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop here if it is time."""
        if trainer.global_step == self.step:
            raise Stop
