"""VGG-16, to be fine-tuned."""

from __future__ import annotations

from torch import Tensor, nn

from fastcaps.training.networks.network import LogitNetwork, NetworkOptions
from fastcaps.training.networks.vgg import VGGConvolutions

__all__ = ["VGG"]

DROPOUT = 0.5
UNITS = 4096


class VGG(LogitNetwork):
    """VGG-16 of Simonyan and Zisserman (2015) with N logits.

    As in torchvision, the maps after the last pooling are averaged to 7 x 7 (what they are for
    224 x 224 pixels), so that any side from 32 pixels will do. ``fc6`` to ``fc8`` always start at
    random, like the capsules of :class:`VGGCapsNet`.

    Args:
        options: what it is built for.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = VGGConvolutions()
        self.head = nn.Sequential()
        for name, layer in {
            "pool5": nn.MaxPool2d(2),
            "average": nn.AdaptiveAvgPool2d(7),
            "flatten": nn.Flatten(),
            "fc6": _fully_connected(512 * 7 * 7, UNITS),
            "relu6": nn.ReLU(),
            "dropout6": nn.Dropout(DROPOUT),
            "fc7": _fully_connected(UNITS, UNITS),
            "relu7": nn.ReLU(),
            "dropout7": nn.Dropout(DROPOUT),
            "fc8": _fully_connected(UNITS, options.classes),
        }.items():
            self.head.add_module(name, layer)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1`` to ``conv5`` and ``fc6`` to ``fc8``."""
        return self.features.blocks() | {
            name: self.head.get_submodule(name) for name in ("fc6", "fc7", "fc8")
        }

    def maps(self, images: Tensor) -> Tensor:
        """Images [B, 1 or 3, side, side] in 0 .. 1 -> maps of the last pooling, [B, 512, H, W]."""
        maps: Tensor = self.head.get_submodule("pool5")(self.features(images))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 1 or 3, side, side] in 0 .. 1 -> logits [B, N]."""
        logits: Tensor = self.head[1:](self.maps(images))
        return logits


def _fully_connected(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
