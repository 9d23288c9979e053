"""What every network for action units has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcaps.functional import SoftmaxOver
from fastcaps.losses import capsule_lengths, mask_capsules
from fastcaps.modules import CapsuleLinear, PrimaryCapsules
from fastcaps.training.errors import InputError
from fastcaps.training.statistics import PixelStatistics

__all__ = [
    "CLASS_DIM",
    "PRIMARY_CAPSULES",
    "PRIMARY_DIM",
    "CapsuleNetwork",
    "Decoder",
    "LogitNetwork",
    "Network",
    "NetworkOptions",
    "Standardise",
]

PRIMARY_CAPSULES = 32
PRIMARY_DIM = 8
CLASS_DIM = 32
"""Of both networks of the paper, section 3.1."""


@dataclass(frozen=True)
class NetworkOptions:
    """What a network is built for.

    Attributes:
        classes: N, how many action units or emotions.
        side: of the input, in pixels.
        channels: of the input: 1 gray, 3 RGB.
        exclusive: whether exactly one class is present in each image, as with emotions.
        softmax_over: of the routing, see :func:`fastcaps.functional.dynamic_routing`.
        capsule_bias: whether class capsules have a bias inside every iteration.
        dropout: probability with which VGG capsule networks drop whole maps of their last
            convolution.
        backend: of the capsule layers, see :mod:`fastcaps.functional`.
    """

    classes: int
    side: int
    channels: int
    exclusive: bool = False
    softmax_over: SoftmaxOver = "outputs"
    capsule_bias: bool = False
    dropout: float = 0.0
    backend: str | None = None


class Standardise(nn.Module):
    """Takes each pixel's mean off it and divides it by its standard deviation.

    Both are buffers, [C, side, side], so that a saved network knows what it was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, side, side))
        self.register_buffer("std", torch.ones(channels, side, side))

    def set(self, statistics: PixelStatistics) -> None:
        """Use these from now on.

        Raises:
            InputError: they are of images of another shape.
        """
        if statistics.mean.shape != self.mean.shape:
            raise InputError(
                f"statistics: expected those of images {list(self.mean.shape)}, "
                f"got {list(statistics.mean.shape)}"
            )
        self.mean.copy_(torch.from_numpy(statistics.mean))
        self.std.copy_(torch.from_numpy(statistics.std))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> the same, standardised."""
        return (images - self.mean) / self.std

    def undo(self, pictures: Tensor) -> Tensor:
        """Standardised pictures [..., C, side, side] -> pixels in 0 .. 1, cut off beyond."""
        return (pictures * self.std + self.mean).clamp(0, 1)


class Network(nn.Module, ABC):
    """A network from images in 0 .. 1 to one number for each class.

    Args:
        options: what it is built for.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.standardise = Standardise(options.channels, options.side)

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """Its layers by the names that presets use, in order; together all its parameters."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> what the loss and :meth:`scores` take."""

    @abstractmethod
    def scores(self, output: Tensor) -> Tensor:
        """How sure the network is of each class: float32 [B, N] in 0 .. 1."""


class LogitNetwork(Network):
    """A network whose output is logits [B, N]."""

    def scores(self, output: Tensor) -> Tensor:
        """Logistic function of the logits, or their softmax where classes are exclusive."""
        logits = output.float()
        return logits.softmax(1) if self.options.exclusive else logits.sigmoid()


class Decoder(nn.Sequential):
    """The reconstruction network: three fully connected layers, the last one a small picture.

    Rashid and Lee, section 3.1. It reconstructs standardised pixels, so nothing bounds its output.

    Args:
        inputs: numbers in all class capsules together.
        channels: of the picture.
        small_side: of the picture that the last layer gives.
        side: of the picture that it is enlarged to, bilinearly.
    """

    def __init__(self, inputs: int, channels: int, small_side: int, side: int) -> None:
        super().__init__(
            nn.Linear(inputs, 512),
            nn.ReLU(),
            nn.Linear(512, 1024),
            nn.ReLU(),
            nn.Linear(1024, channels * small_side**2),
            nn.Unflatten(1, (channels, small_side, small_side)),
            nn.Upsample((side, side), mode="bilinear", align_corners=False),
        )


class CapsuleNetwork(Network):
    """Convolutions, primary capsules, a capsule for each class, and a decoder.

    Attributes:
        features: the convolutions.
        primary, classes: the capsule layers.
        decoder: from all class capsules to a standardised picture.
    """

    features: nn.Module
    primary: PrimaryCapsules
    classes: CapsuleLinear
    decoder: Decoder

    def add_capsules(
        self, maps: int, map_side: int, kernel_size: int, stride: int, small_side: int
    ) -> None:
        """Add all that follows the convolutions.

        Args:
            maps, map_side: how many maps the convolutions give, and their side.
            kernel_size, stride: of the primary capsules.
            small_side: of the decoder's picture before it is enlarged.
        """
        options = self.options
        self.primary = PrimaryCapsules(
            maps, PRIMARY_CAPSULES, PRIMARY_DIM, kernel_size, stride, backend=options.backend
        ).to(memory_format=torch.channels_last)
        self.classes = CapsuleLinear(
            self.primary.output_capsules(map_side, map_side),
            PRIMARY_DIM,
            options.classes,
            CLASS_DIM,
            softmax_over=options.softmax_over,
            bias=options.capsule_bias,
            backend=options.backend,
        )
        self.decoder = Decoder(
            options.classes * CLASS_DIM, options.channels, small_side, options.side
        )

    def primary_capsules(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> primary capsules [B, 32 * H * W, 8]."""
        u: Tensor = self.primary(self.features(self.standardise(images)))
        return u

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> class capsules [B, N, D]."""
        v: Tensor = self.classes(self.primary_capsules(images))
        return v

    def scores(self, output: Tensor) -> Tensor:
        """Lengths of the class capsules, or their softmax where classes are exclusive."""
        lengths = capsule_lengths(output)
        return lengths.softmax(1) if self.options.exclusive else lengths

    def reconstruct(self, v: Tensor, labels: Tensor) -> Tensor:
        """Standardised pictures [B, C, side, side] from the capsules of the classes present.

        Args:
            v: class capsules [B, N, D].
            labels: [B, N]: 1 for the classes to reconstruct from.
        """
        pictures: Tensor = self.decoder(mask_capsules(v, labels).flatten(1))
        return pictures
