"""Deep Region and Multi-label Learning, with its region layer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate

from fastcaps.training.networks.network import LogitNetwork, NetworkOptions

__all__ = ["DRML", "RegionLayer"]

SIDE = 170
GRID = 8
CHANNELS = 32
DROPOUT = 0.5


class RegionLayer(nn.Module):
    """A layer with filters of its own in each region of a grid.

    Zhao, Chu and Zhang (2016): each region goes through batch normalisation, ReLU and
    a 3x3 convolution of its own, and is added to the result. Nothing of its neighbours is seen: the
    convolution pads each region with zeros.

    The regions are stacked as channels, so that one normalisation and one grouped convolution
    do them all. Channel ``(row * grid + column) * channels + c`` is channel c of a region.

    Args:
        channels: of the maps.
        grid: regions in each direction.
    """

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        stacked = channels * grid**2
        self.norm = nn.BatchNorm2d(stacked)
        self.conv = nn.Conv2d(stacked, stacked, 3, padding=1, groups=grid**2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, channels, H, W] -> the same; H and W are multiples of the grid."""
        (batch, channels, height, width), g = x.shape, self.grid
        split = x.reshape(batch, channels, g, height // g, g, width // g)
        regions = split.permute(0, 2, 4, 1, 3, 5).flatten(1, 3)
        regions = regions + self.conv(self.norm(regions).relu())
        split = regions.reshape(batch, g, g, channels, height // g, width // g)
        return split.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


class DRML(LogitNetwork):
    """The network of Zhao, Chu and Zhang (CVPR 2016), with N logits.

    Images are resized to 170 x 170 pixels, bilinearly. They become

    - 32 maps of 160 x 160 by ``conv1``, 11x11: 121 * 32 + 32 = 3,904 parameters for one channel;
    - the same by ``region``, in 8 x 8 regions of 20 x 20: 64 * (64 + 9 * 32 * 32 + 32) = 595,968;
    - 32 maps of 80 x 80 by pooling, after ReLU;
    - 16 maps of 73 x 73 by ``conv2``, 8x8: 32 * 64 * 16 + 16 = 32,784;
    - 16 maps of 66 x 66 by ``conv3``, 8x8: 16 * 64 * 16 + 16 = 16,400;
    - 16 maps of 31 x 31 by ``conv4``, 6x6 with stride 2: 16 * 36 * 16 + 16 = 9,232;
    - 16 maps of 27 x 27 by ``conv5``, 5x5: 16 * 25 * 16 + 16 = 6,416;
    - 4096 and 2048 units by ``fc6`` and ``fc7``, with drop-out: 11,665 * 4096 + 4097 * 2048 =
      56,170,496;
    - N logits by ``fc8``: 2049 N.

    Args:
        options: what it is built for.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.layers = nn.Sequential()
        for name, layer in {
            "conv1": nn.Conv2d(options.channels, CHANNELS, 11),
            "region": RegionLayer(CHANNELS, GRID),
            "relu1": nn.ReLU(),
            "pool": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(CHANNELS, 16, 8),
            "relu2": nn.ReLU(),
            "conv3": nn.Conv2d(16, 16, 8),
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(16, 16, 6, stride=2),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(16, 16, 5),
            "relu5": nn.ReLU(),
            "flatten": nn.Flatten(),
            "fc6": nn.Linear(16 * 27 * 27, 4096),
            "relu6": nn.ReLU(),
            "dropout6": nn.Dropout(DROPOUT),
            "fc7": nn.Linear(4096, 2048),
            "relu7": nn.ReLU(),
            "dropout7": nn.Dropout(DROPOUT),
            "fc8": nn.Linear(2048, options.classes),
        }.items():
            self.layers.add_module(name, layer)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1``, ``region``, ``conv2`` to ``conv5`` and ``fc6`` to ``fc8``."""
        return {
            name: layer
            for name, layer in self.layers.named_children()
            if name.startswith(("conv", "region", "fc"))
        }

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, side, side] in 0 .. 1 -> logits [B, N]."""
        logits: Tensor = self.layers(
            interpolate(self.standardise(images), (SIDE, SIDE), mode="bilinear")
        )
        return logits
