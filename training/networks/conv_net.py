"""The convolutional network to compare :class:`AUCapsNet` with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastcaps.training.networks.au_caps_net import au_convolutions, he_initialised
from fastcaps.training.networks.network import (
    CLASS_DIM,
    PRIMARY_CAPSULES,
    PRIMARY_DIM,
    LogitNetwork,
    NetworkOptions,
)

__all__ = ["ConvNet"]

MAPS = PRIMARY_CAPSULES * PRIMARY_DIM


class ConvNet(LogitNetwork):
    """The convolutions of :class:`AUCapsNet` and a fully connected head with as many parameters.

    The convolution inside the primary capsules is an ordinary one here, followed by ReLU. It gives
    F = 256 * 6 * 6 = 9,216 numbers from 96 x 96 pixels. Then come a hidden layer of H units, ReLU
    and N logits:

    - AUCapsNet's class capsules have 1152 * 8 * N * 32 = 32 F N parameters;
    - this head has (F + 1) H + (H + 1) N, which is as many for H = (32 F - 1) N / (F + 1 + N),
      rounded: a little less than 32 units for each class.

    For N = 12, H = 383 gives 9,217 * 383 + 384 * 12 = 3,534,719 in place of 3,538,944, and
    5,347,199 altogether in place of AUCapsNet's 5,351,424 before its decoder: 0.08% less.

    Args:
        options: what it is built for; the sizes above are for 96 pixels and one channel.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = au_convolutions(options.channels)
        self.conv3 = he_initialised(nn.Conv2d(128, MAPS, 7, stride=3)).to(
            memory_format=torch.channels_last
        )
        inputs = MAPS * ((options.side // 4 - 7) // 3 + 1) ** 2
        classes = options.classes
        units = round((CLASS_DIM * inputs - 1) * classes / (inputs + 1 + classes))
        self.hidden = he_initialised(nn.Linear(inputs, units))
        self.logits = nn.Linear(units, classes)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1``, ``conv2``, ``conv3``, ``hidden`` and ``logits``."""
        return {
            "conv1": self.features.get_submodule("conv1"),
            "conv2": self.features.get_submodule("conv2"),
            "conv3": self.conv3,
            "hidden": self.hidden,
            "logits": self.logits,
        }

    def maps(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> maps of the last convolution, [B, 256, H, W]."""
        maps: Tensor = self.conv3(self.features(self.standardise(images))).relu()
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> logits [B, N]."""
        logits: Tensor = self.logits(self.hidden(self.maps(images).flatten(1)).relu())
        return logits
