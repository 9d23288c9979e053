"""The capsule network of Sabour et al. (2017) for digits, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from fastcaps.losses import MarginLoss, ReconstructionLoss, capsule_lengths, mask_capsules
from fastcaps.modules import CapsuleLinear, PrimaryCapsules

__all__ = ["NETWORKS", "DigitNetwork", "DigitTraining", "NetworkSizes"]

SIDE = 28
CLASSES = 10


@dataclass(frozen=True)
class NetworkSizes:
    """The sizes of a :class:`DigitNetwork`."""

    channels: int
    kernel_size: int
    stride: int
    primary_capsules: int
    primary_kernel_size: int
    decoder: tuple[int, int]
    primary_dim: int = 8
    digit_dim: int = 16


NETWORKS = {
    "full": NetworkSizes(
        channels=256,
        kernel_size=9,
        stride=1,
        primary_capsules=32,
        primary_kernel_size=9,
        decoder=(512, 1024),
    ),
    "small": NetworkSizes(
        channels=32,
        kernel_size=7,
        stride=2,
        primary_capsules=16,
        primary_kernel_size=5,
        decoder=(128, 256),
    ),
}
"""``full`` is the network of the paper, section 4; ``small`` has few enough convolutions that the
capsules are a large part of its work."""


class DigitNetwork(nn.Module):
    """Convolution, primary capsules, one capsule for each digit, and a decoder.

    Args:
        sizes: how large its parts are.
        backend: of the capsule layers, see :mod:`fastcaps.functional`.
    """

    def __init__(self, sizes: NetworkSizes, backend: str | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, sizes.channels, sizes.kernel_size, sizes.stride), nn.ReLU()
        )
        self.primary = PrimaryCapsules(
            sizes.channels,
            sizes.primary_capsules,
            sizes.primary_dim,
            sizes.primary_kernel_size,
            stride=2,
            backend=backend,
        )
        side = (SIDE - sizes.kernel_size) // sizes.stride + 1
        self.digits = CapsuleLinear(
            self.primary.output_capsules(side, side),
            sizes.primary_dim,
            CLASSES,
            sizes.digit_dim,
            backend=backend,
        )
        self.decoder = nn.Sequential(
            nn.Linear(CLASSES * sizes.digit_dim, sizes.decoder[0]),
            nn.ReLU(),
            nn.Linear(sizes.decoder[0], sizes.decoder[1]),
            nn.ReLU(),
            nn.Linear(sizes.decoder[1], SIDE * SIDE),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 28, 28] in 0 .. 1 -> digit capsules [B, 10, digit_dim]."""
        v: Tensor = self.digits(self.primary(self.features(images[:, None])))
        return v

    def reconstruct(self, v: Tensor, target: Tensor) -> Tensor:
        """Images [B, 784] in 0 .. 1 from the capsules ``v`` of the digits ``target`` int64 [B]."""
        images: Tensor = self.decoder(mask_capsules(v, target).flatten(1))
        return images


class DigitTraining(lightning.LightningModule):
    """Margin loss plus a little reconstruction loss, Adam, exponentially falling learning rate.

    Args:
        network: a key of :data:`NETWORKS`.
        backend: of the capsule layers, see :mod:`fastcaps.functional`.
        lr: learning rate at the start.
        lr_decay: what the learning rate is multiplied by in each epoch, step by step.
        reconstruction_weight: of the squared error summed over an image; 0.0005 in the paper.
        steps_per_epoch: training batches in an epoch.
    """

    def __init__(
        self,
        network: str,
        backend: str | None,
        lr: float,
        lr_decay: float,
        reconstruction_weight: float,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = DigitNetwork(NETWORKS[network], backend)
        self.margin_loss = MarginLoss(reduction="batchmean")
        self.reconstruction_loss = ReconstructionLoss()
        self.lr = lr
        self.lr_decay_per_step = lr_decay ** (1 / steps_per_epoch)
        self.reconstruction_weight = reconstruction_weight

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch of images uint8 [B, 28, 28] and labels int64 [B]."""
        images, labels = self._scaled(batch[0]), batch[1]
        v = self.network(images)
        error = self.reconstruction_loss(self.network.reconstruct(v, labels), images)
        loss: Tensor = self.margin_loss(v, labels) + self.reconstruction_weight * error
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the part of a batch that is classified wrongly, as ``validation_error``."""
        self._log_error("validation_error", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the part of a batch that is classified wrongly, as ``test_error``."""
        self._log_error("test_error", batch)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, and a learning rate that falls a little with every step."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, self.lr_decay_per_step)
        return OptimizerLRSchedulerConfig(
            optimizer=optimizer, lr_scheduler={"scheduler": schedule, "interval": "step"}
        )

    def _log_error(self, name: str, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        predicted = capsule_lengths(self.network(self._scaled(images))).argmax(1)
        wrong = (predicted != labels).float().mean()
        self.log(name, wrong, batch_size=len(labels), prog_bar=True, logger=False)

    def _scaled(self, images: Tensor) -> Tensor:
        return images.to(self.dtype) / 255
