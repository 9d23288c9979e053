"""The paper's small network, "Ours"."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions

__all__ = ["AUCapsNet", "au_convolutions", "he_initialised"]


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class AUCapsNet(CapsuleNetwork):
    """Two convolutions, 32 x 8-D primary capsules, N x 32-D class capsules, and a decoder.

    Rashid and Lee, section 3.1. A gray picture of 96 x 96 pixels becomes

    - 64 maps of 96 x 96 by ``conv1``, 5x5, halved by pooling: 48 x 48; 25 * 64 + 64 = 1,664
      parameters;
    - 128 maps of 48 x 48 by ``conv2``, 5x5, halved: 24 x 24; 64 * 25 * 128 + 128 = 204,928;
    - 32 primary capsules of 8-D at each of 6 x 6 places, (24 - 7) / 3 + 1 = 6, by 7x7 filters
      with stride 3: 1,152 capsules; 128 * 49 * 256 + 256 = 1,605,888;
    - N class capsules of 32-D; 1152 * 8 * N * 32 = 294,912 N, for N = 12 that is 3,538,944;
    - 512, 1024 and 1024 = 32 x 32 numbers, enlarged to 96 x 96; (32 N + 1) * 512 + 513 * 1024 +
      1025 * 1024, for N = 12 that is 1,772,032.

    For 12 action units these are 7,123,456 parameters, 5,351,424 of them before the decoder.
    The paper does not tell the padding; with the authors' code it is 2, which keeps the size.

    Args:
        options: what it is built for; the sizes above are for 96 pixels and one channel.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = au_convolutions(options.channels)
        self.add_capsules(128, options.side // 4, kernel_size=7, stride=3, small_side=32)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1``, ``conv2``, ``primary``, ``classes`` and ``decoder``."""
        return {
            "conv1": self.features.get_submodule("conv1"),
            "conv2": self.features.get_submodule("conv2"),
            "primary": self.primary,
            "classes": self.classes,
            "decoder": self.decoder,
        }


def au_convolutions(channels: int) -> nn.Sequential:
    """The convolutions of :class:`AUCapsNet`: [B, channels, S, S] -> [B, 128, S / 4, S / 4].

    Their weights start as He et al. (2015) have it, so that maps vary by about one. Torch's usual
    ones would make primary capsules start at a length of 0.1 and class capsules at 0.02, where
    squash passes on next to no gradient; these start at 0.7 and 0.4.
    """
    layers = nn.Sequential()
    for number, (inputs, outputs) in enumerate(((channels, 64), (64, 128)), start=1):
        convolution = nn.Conv2d(inputs, outputs, 5, padding=2)
        layers.add_module(f"conv{number}", he_initialised(convolution))
        layers.add_module(f"pool{number}", nn.MaxPool2d(2))
        layers.add_module(f"relu{number}", nn.ReLU())
    # A third to a half faster on CPUs, and what tensor cores read.
    return layers.to(memory_format=torch.channels_last)


def he_initialised(layer: Layer) -> Layer:
    """A layer before ReLU with weights that keep the size of what passes through, and bias 0."""
    assert layer.bias is not None
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
