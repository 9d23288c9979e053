"""AlexNet, trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import alexnet

from fastcaps.training.networks.network import LogitNetwork, NetworkOptions

__all__ = ["AlexNet"]

SMALLEST_SIDE = 224
"""Smaller images are enlarged to this side, which the network was designed for."""

CONVOLUTIONS = (0, 3, 6, 8, 10)
FULLY_CONNECTED = (1, 4, 6)


class AlexNet(LogitNetwork):
    """Krizhevsky's network, as torchvision has it: "One weird trick" (2014), one column.

    Args:
        options: what it is built for.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.layers = alexnet(weights=None, num_classes=options.classes)
        self.layers.features[0] = nn.Conv2d(options.channels, 64, 11, stride=4, padding=2)
        self.layers.to(memory_format=torch.channels_last)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1`` to ``conv5`` and ``fc6`` to ``fc8``."""
        layers = [self.layers.features[i] for i in CONVOLUTIONS]
        layers += [self.layers.classifier[i] for i in FULLY_CONNECTED]
        return {
            f"{'conv' if number <= 5 else 'fc'}{number}": layer
            for number, layer in enumerate(layers, start=1)
        }

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> logits [B, N]."""
        x = self.standardise(images)
        if self.options.side < SMALLEST_SIDE:
            x = interpolate(x, (SMALLEST_SIDE, SMALLEST_SIDE), mode="bilinear")
        logits: Tensor = self.layers(x)
        return logits
