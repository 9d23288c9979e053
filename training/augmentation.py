"""Random changes of whole batches of face crops, on the device that trains.

Ranges are those of the paper's authors' code, which follows Khorrami et al. (2015); the order is
the paper's:

1. mirror the picture, left to right,
2. turn it about its centre,
3. scale it about its centre,
4. shift it, by up to half of what scaling added to or took from its side,
5. cut a window of the network's input size out of it,
6. change its pixels p, in 0 .. 1, to p^a b + c, and clamp them to 0 .. 1.

1 to 5 are one affine map, so that pixels are interpolated once, bilinearly between their centres;
what lies outside the stored crop repeats its edge. Action units have no side, so no label changes.

What happens to an image depends on the seed, the epoch and the image's number in the data set,
and on nothing else: not on the batch it is in, nor on the number of workers. Each change has
random numbers of its own, so that switching one off leaves the others as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import STORED_SIDES
from fastcaps.training.random_numbers import random_numbers

__all__ = [
    "COLOUR_224",
    "GRAY_96",
    "OFF",
    "AugmentationSettings",
    "augment",
    "centre_crop",
]

WHITE = 255


@dataclass(frozen=True)
class AugmentationSettings:
    """Ranges of the random changes; pairs are the smallest and the largest value.

    Attributes:
        side: of the result, in pixels.
        stored_side: of the stored crops, in pixels.
        mirror: probability.
        rotation: largest angle either way, in degrees.
        scale: factor of the size.
        translation: largest shift along either axis, as a part of ``|scale - 1| * side``; so there
            is none without scaling. At 0.5 the window of an enlarged picture stays within what it
            would show unscaled, and all of that stays within the window of a reduced picture.
        crop: whether the window's place is random, in whole pixels, or the middle.
        power: a in p^a b + c.
        power_spacing: "log" draws the logarithm of a uniformly, so that as many pictures become
            lighter as darker; "linear" draws a itself, as the authors' code does: with the usual
            range four pictures of five become darker, some of them black.
        gain: b.
        offset: largest c either way.
        seed: 0 .. 2^31 - 1.

    Raises:
        InputError: a value is out of range.
    """

    side: int = 96
    stored_side: int = STORED_SIDES[96]
    mirror: float = 0.5
    rotation: float = 5.0
    scale: tuple[float, float] = (0.7, 1.4)
    translation: float = 0.5
    crop: bool = True
    power: tuple[float, float] = (0.25, 4.0)
    power_spacing: Literal["log", "linear"] = "log"
    gain: tuple[float, float] = (0.7, 1.4)
    offset: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ("side", self.side >= 1, "at least 1"),
            ("stored_side", self.stored_side >= self.side, f"at least side = {self.side}"),
            ("mirror", 0 <= self.mirror <= 1, "a probability, 0 .. 1"),
            ("rotation", 0 <= self.rotation <= 180, "0 .. 180 degrees"),
            ("translation", 0 <= self.translation <= 1, "0 .. 1"),
            ("offset", 0 <= self.offset <= 1, "0 .. 1"),
            ("seed", 0 <= self.seed < 2**31, "0 .. 2^31 - 1"),
        ):
            if not fits:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)}")
        if self.power_spacing not in ("log", "linear"):
            raise InputError(f"power_spacing: expected log or linear, got {self.power_spacing}")
        for name in ("scale", "power", "gain"):
            smallest, largest = getattr(self, name)
            if not 0 < smallest <= largest < math.inf:
                raise InputError(
                    f"{name}: expected a range of numbers above 0, smallest first, "
                    f"got {smallest} .. {largest}"
                )


GRAY_96 = AugmentationSettings()
"""For the paper's small network."""

COLOUR_224 = AugmentationSettings(side=224, stored_side=STORED_SIDES[224], rotation=15.0)
"""For the paper's network on VGG-16."""

OFF: Mapping[str, Any] = {
    "mirror": 0.0,
    "rotation": 0.0,
    "scale": (1.0, 1.0),
    "translation": 0.0,
    "crop": False,
    "power": (1.0, 1.0),
    "gain": (1.0, 1.0),
    "offset": 0.0,
}
"""For each change the value that switches it off, for ``dataclasses.replace``."""


def augment(images: Tensor, indices: Tensor, epoch: int, settings: AugmentationSettings) -> Tensor:
    """Change each image at random; with all changes off this is :func:`centre_crop`.

    Devices agree about all that is drawn, but may round pixels differently in the last places.

    Args:
        images: stored crops, uint8 [B, stored_side, stored_side], or [..., 3] in colour.
        indices: int64 [B], the images' numbers in the data set; on the images' device or the CPU.
        epoch: from 0.
        settings: the ranges.

    Returns:
        float32 [B, C, side, side] in 0 .. 1, where C is 1 or 3.

    Raises:
        InputError: images or indices of another type or shape.
    """
    _check_images(images, settings.stored_side)
    if indices.dtype != torch.int64 or indices.shape != images.shape[:1]:
        raise InputError(
            f"indices: expected int64 [{len(images)}], one for each image, "
            f"got {indices.dtype} {list(indices.shape)}"
        )
    numbers = random_numbers(settings.seed, epoch, indices, 10)
    source = _source_map(numbers[:, :7], settings).to(images.device, non_blocking=True)
    pixels = _pixel_map(numbers[:, 7:], settings).to(images.device, non_blocking=True)
    power, gain, offset = pixels[:, :, None, None, None].unbind(1)
    sampled = _sample(images, source, settings.side).div_(WHITE)
    # Powers of one are not exact on every device.
    if settings.power != OFF["power"]:
        sampled.pow_(power)
    return sampled.mul_(gain).add_(offset).clamp_(0, 1)


def centre_crop(images: Tensor, side: int) -> Tensor:
    """The middle of each image, unchanged: what a network is tested on.

    Args:
        images: stored crops, uint8 [B, stored_side, stored_side], or [..., 3] in colour. Where
            the margin is odd, its larger half is at the right and at the bottom.
        side: of the result.

    Returns:
        float32 [B, C, side, side] in 0 .. 1, where C is 1 or 3.

    Raises:
        InputError: images of another type or shape, or smaller than ``side``.
    """
    stored_side = images.shape[1] if images.ndim > 1 else 0
    _check_images(images, stored_side)
    if not 1 <= side <= stored_side:
        raise InputError(f"side: expected 1 .. {stored_side}, the images' side, got {side}")
    window = slice((stored_side - side) // 2, (stored_side - side) // 2 + side)
    return _channels_first(images)[:, :, window, window].float().div_(WHITE)


def _source_map(numbers: Tensor, settings: AugmentationSettings) -> Tensor:
    """Where in the stored crop each pixel of the result comes from.

    Args:
        numbers: float64 [B, 7] in [0, 1).
        settings: the ranges.

    Returns:
        float64 [B, 2, 3]: pixel (x, y) of the result is at ``map @ (x, y, 1)``.
    """
    mirrored, turned, scaled = numbers[:, :3].unbind(1)
    shifted, cut = numbers[:, 3:5], numbers[:, 5:7]
    side, margin = settings.side, settings.stored_side - settings.side
    flip = 1 - 2 * (mirrored < settings.mirror).double()
    angle = torch.deg2rad(_between(turned, -settings.rotation, settings.rotation))
    scale = _between(scaled, *settings.scale)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # Back from the result: undo scale and turn (counter-clockwise as one sees it), then the flip.
    linear = torch.stack([flip * cos, -flip * sin, sin, cos], dim=1).view(-1, 2, 2)
    largest = settings.translation * side * (scale - 1).abs()[:, None]
    shift = _between(shifted, -largest, largest)
    corner = (cut * (margin + 1)).floor() if settings.crop else torch.full_like(cut, margin // 2)
    centre = (settings.stored_side - 1) / 2
    moved = linear @ (corner - shift - centre)[:, :, None] + centre
    return torch.cat([linear, moved], dim=2)


def _pixel_map(numbers: Tensor, settings: AugmentationSettings) -> Tensor:
    """Power, gain and offset, float32 [B, 3], from float64 [B, 3] in [0, 1)."""
    power, gain, offset = numbers.unbind(1)
    smallest, largest = settings.power
    drawn = [
        smallest * (largest / smallest) ** power
        if settings.power_spacing == "log"
        else _between(power, smallest, largest),
        _between(gain, *settings.gain),
        _between(offset, -settings.offset, settings.offset),
    ]
    return torch.stack(drawn, dim=1).float()


def _between(numbers: Tensor, smallest: float | Tensor, largest: float | Tensor) -> Tensor:
    return smallest + numbers * (largest - smallest)


def _sample(images: Tensor, source: Tensor, side: int) -> Tensor:
    """Interpolate ``images`` uint8 [B, S, S(, 3)] at ``source`` [B, 2, 3]: float32, 0 .. 255.

    Torch wants places in -1 .. 1 from edge to edge. Padded to a power of two, whole pixels have
    exact places there, and come out unchanged.
    """
    stored_side = images.shape[1]
    padded_side = 1 << (stored_side - 1).bit_length()
    pictures = _channels_first(images)
    padded = pictures.new_zeros(
        (*pictures.shape[:2], padded_side, padded_side), dtype=torch.float32
    )
    padded[:, :, :stored_side, :stored_side] = pictures
    first, step = 1 / padded_side - 1, 2 / padded_side
    scaled = (source * step).float()
    places = torch.arange(side, dtype=torch.float32, device=images.device)
    along_x = scaled[:, :, 0, None] * places  # [B, 2, side]
    along_y = scaled[:, :, 1, None] * places + (scaled[:, :, 2, None] + first)
    grid = along_x[:, :, None, :] + along_y[:, :, :, None]  # [B, 2, side, side]
    grid.clamp_(first, first + step * (stored_side - 1))
    return torch.nn.functional.grid_sample(padded, grid.permute(0, 2, 3, 1), align_corners=False)


def _channels_first(images: Tensor) -> Tensor:
    return images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)


def _check_images(images: Tensor, side: int) -> None:
    if images.dtype != torch.uint8 or images.shape[1:] not in ((side, side), (side, side, 3)):
        raise InputError(
            f"images: expected uint8 [B, {side}, {side}] or [B, {side}, {side}, 3], "
            f"got {images.dtype} {list(images.shape)}"
        )
