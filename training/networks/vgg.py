"""The convolutions of VGG-16, and how images are made fit for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

__all__ = ["IMAGENET_COLOURS", "VGGFACE_COLOURS", "ColourInput", "Colours", "VGGConvolutions"]

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Maps that each convolution of each block gives; a pooling stands between two blocks."""

Colours = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of red, green and blue, of pixels in 0 .. 1."""

IMAGENET_COLOURS: Colours = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What torchvision's weights were trained with."""

VGGFACE_COLOURS: Colours = ((129.1863 / 255, 104.7624 / 255, 93.5940 / 255), (1 / 255,) * 3)
"""What VGG-Face was trained with: pixels in 0 .. 255 less their mean. Parkhi, Vedaldi and
Zisserman (2015), numbers from the released Caffe model, there in the order of blue, green, red."""


class ColourInput(nn.Module):
    """Images in 0 .. 1 -> RGB images in the range that a network's weights were trained for.

    Mean and standard deviation are buffers, so that a saved network knows what its weights need.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(3, 1, 1))
        self.register_buffer("std", torch.empty(3, 1, 1))
        self.set(IMAGENET_COLOURS)

    def set(self, colours: Colours) -> None:
        """Use this mean and this standard deviation from now on."""
        for buffer, values in zip((self.mean, self.std), colours, strict=True):
            buffer.copy_(torch.tensor(values).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 1 or 3, H, W] in 0 .. 1 -> [B, 3, H, W]; gray is red, green and blue."""
        return (images - self.mean) / self.std


class VGGConvolutions(nn.Sequential):
    """VGG-16 up to its last convolution: [B, 1 or 3, S, S] in 0 .. 1 -> [B, 512, S / 16, S / 16].

    Simonyan and Zisserman (2015), configuration D: 3x3 convolutions that keep the size, each with
    ReLU, in blocks ``conv1`` to ``conv5``. The pooling after ``conv5`` is not part of it. The first
    layer of ``conv1`` is a :class:`ColourInput`, so that the range goes where the weights go.

    Attributes:
        conv1: the first block; ``conv2`` to ``conv5`` likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for block, maps in enumerate(BLOCKS, start=1):
            layers = nn.Sequential()
            if block == 1:
                layers.add_module("colours", ColourInput())
            for number, outputs in enumerate(maps, start=1):
                layers.add_module(f"conv{block}_{number}", _convolution(inputs, outputs))
                layers.add_module(f"relu{block}_{number}", nn.ReLU(inplace=True))
                inputs = outputs
            if block > 1:
                self.add_module(f"pool{block - 1}", nn.MaxPool2d(2))
            self.add_module(f"conv{block}", layers)
        self.to(memory_format=torch.channels_last)

    def blocks(self) -> dict[str, nn.Module]:
        """``conv1`` to ``conv5``."""
        return {name: block for name, block in self.named_children() if name.startswith("conv")}

    def convolutions(self) -> Iterator[tuple[int, int, nn.Conv2d]]:
        """Each convolution with the number of its block and its number there, both from 1."""
        for block, maps in enumerate(BLOCKS, start=1):
            for number in range(1, len(maps) + 1):
                layer = self.get_submodule(f"conv{block}.conv{block}_{number}")
                assert isinstance(layer, nn.Conv2d)
                yield block, number, layer

    def set_colours(self, colours: Colours) -> None:
        """Make images fit for weights that were trained with these colours."""
        colour_input = self.get_submodule("conv1.colours")
        assert isinstance(colour_input, ColourInput)
        colour_input.set(colours)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    assert convolution.bias is not None
    # Without normalisation, 13 layers learn only if each passes on the size of the gradient.
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(convolution.bias)
    return convolution
