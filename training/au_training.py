"""How a network for action units is trained: images from frames, loss, optimiser, schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from fastcaps.training.augmentation import AugmentationSettings, augment
from fastcaps.training.batches import Batch
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import Network
from fastcaps.training.objectives import CapsuleObjective, Objective, matching_alpha
from fastcaps.training.run_settings import RunSettings

__all__ = ["AUTraining", "check_lr_factors", "learning_rate"]


class AUTraining(lightning.LightningModule):
    """Adam on an objective; every random number follows from seed, epoch, batch and image.

    Args:
        objective: of the network that is trained.
        settings: of the run.
        augmentation: how training images are changed.
        steps_per_epoch: training batches in an epoch.
        first_batches: the batches that ``alpha`` is set from, where it is to be set.
    """

    def __init__(
        self,
        objective: Objective,
        settings: RunSettings,
        augmentation: AugmentationSettings,
        steps_per_epoch: int,
        first_batches: Callable[[], Iterable[Batch]],
    ) -> None:
        super().__init__()
        self.objective = objective
        self.settings = settings
        self.augmentation = augmentation
        self.steps_per_epoch = steps_per_epoch
        self.first_batches = first_batches
        for name, part in self.network.parts().items():
            part.requires_grad_(settings.lr_factors.get(name, 1.0) > 0)

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.objective.network

    def on_train_start(self) -> None:
        """See that all devices are at the same place, and set ``alpha`` if that is to be done.

        Raises:
            InputError: they are not, as they see different folders.
        """
        self._check_place()
        if isinstance(self.objective, CapsuleObjective) and self.objective.alpha.isnan():
            self.eval()
            with self.trainer.precision_plugin.forward_context():
                self.objective.alpha.fill_(
                    matching_alpha(self.objective, self._first_images(), self._average)
                )
            self.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Start torch's generators, for dropout, from where this batch is."""
        place = (self.settings.seed, self.current_epoch, batch_idx, self.global_rank)
        (mixed,) = np.random.SeedSequence(place).generate_state(1).tolist()
        torch.manual_seed(mixed)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss of a batch and its terms."""
        images = self._images(batch.frames, batch.rows)
        terms: dict[str, Tensor] = self.objective(images, batch.labels, self._average)
        self.log("loss", terms["loss"].detach(), prog_bar=True)
        return terms

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam with a learning rate for each part of the network, and the run's schedule."""
        factors = self.settings.lr_factors
        groups = [
            {"params": list(part.parameters()), "lr": self.settings.lr * factors.get(name, 1.0)}
            for name, part in self.network.parts().items()
            if factors.get(name, 1.0) > 0
        ]
        optimizer = torch.optim.Adam(groups, lr=self.settings.lr, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: (
                learning_rate(self.settings, step, self.steps_per_epoch) / self.settings.lr
            ),
        )
        return OptimizerLRSchedulerConfig(
            optimizer=optimizer, lr_scheduler={"scheduler": schedule, "interval": "step"}
        )

    def _first_images(self) -> Iterable[tuple[Tensor, Tensor]]:
        for batch in self.first_batches():
            frames, labels, rows = (part.to(self.device) for part in batch)
            yield self._images(frames, rows), labels

    def _images(self, frames: Tensor, rows: Tensor) -> Tensor:
        # Pixels are changed in float32, whatever the network computes in.
        with torch.autocast(self.device.type, enabled=False):
            images = augment(frames, rows, self.current_epoch, self.augmentation)
        return images.to(self.dtype)

    def _check_place(self) -> None:
        # The pixels' mean tells the folds apart.
        fold = self.network.standardise.mean.double().sum()
        place = torch.stack([fold, fold.new_tensor(self.global_step)])
        if not torch.equal(self._over_devices(place, "max"), place):
            raise InputError(
                "out: expected a folder that all devices see, got different checkpoints; "
                "share the folder between the machines"
            )

    def _average(self, number: Tensor) -> Tensor:
        return self._over_devices(number, "mean")

    def _over_devices(self, number: Tensor, reduce_op: str) -> Tensor:
        if self.trainer.world_size == 1:
            return number
        reduced = self.trainer.strategy.reduce(number.clone(), reduce_op=reduce_op)
        assert isinstance(reduced, Tensor)
        return reduced


def check_lr_factors(network: Network, settings: RunSettings) -> None:
    """See that ``lr_factors`` name parts of the network, and leave something to train.

    Raises:
        InputError: they name others, or freeze all.
    """
    parts = network.parts()
    if unknown := sorted(settings.lr_factors.keys() - parts.keys()):
        raise InputError(
            f"lr_factors: expected parts of {settings.network}, {', '.join(parts)}, "
            f"got {', '.join(unknown)}"
        )
    if not any(settings.lr_factors.get(name, 1.0) for name in parts):
        raise InputError("lr_factors: expected one above 0, got 0 for every part of the network")


def learning_rate(settings: RunSettings, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, from 0, of parts with factor 1."""
    epoch = step // steps_per_epoch + 1
    rate = settings.lr
    for first, later in sorted(settings.lr_from_epoch.items()):
        if epoch >= first:
            rate = later
    return rate * settings.lr_decay ** (step / settings.lr_decay_steps)
