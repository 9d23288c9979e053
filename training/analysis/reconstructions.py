"""What a decoder shows when class capsules are made longer, or turned.

Rashid and Lee, section 4.3, figures 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastcaps.losses import capsule_lengths
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = [
    "MAGNITUDES",
    "TURNS",
    "dimension_changes",
    "dimension_effects",
    "direction_sweep",
    "magnitude_sweep",
    "reconstructions",
    "turned_reconstructions",
]

MAGNITUDES = tuple(tenth / 10 for tenth in range(1, 10))
"""Lengths of figures 1 and 2."""

TURNS = tuple(tenth / 10 for tenth in range(-5, 6))
"""Values of a dimension in figure 3; the paper tells the first and the last."""


@torch.inference_mode()
def reconstructions(network: CapsuleNetwork, v: Tensor, labels: Tensor) -> Tensor:
    """Pictures from class capsules.

    Args:
        network: whose decoder draws them.
        v: class capsules [B, N, D].
        labels: [B, N]: 1 for the classes to reconstruct from.

    Returns:
        Pixels in 0 .. 1, [B, C, side, side].
    """
    return network.standardise.undo(network.reconstruct(v, labels))


@torch.inference_mode()
def magnitude_sweep(
    network: CapsuleNetwork,
    images: Tensor,
    labels: Tensor,
    magnitudes: Sequence[float] = MAGNITUDES,
) -> Tensor:
    """Reconstructions with all capsules of the classes present rescaled to the same lengths.

    Args:
        network: in evaluation.
        images: [B, C, side, side] in 0 .. 1.
        labels: [B, N]: 1 for the classes present, at least one of each image.
        magnitudes: the K lengths.

    Returns:
        Pixels in 0 .. 1, [B, K, C, side, side].

    Raises:
        InputError: no class is present in one of the images.
    """
    if not (labels == 1).any(1).all():
        raise InputError("labels: expected a class present in each image, got one without")
    v = network(images)
    directions = v / capsule_lengths(v)[..., None].clamp_min(torch.finfo(v.dtype).tiny)
    pictures = [
        reconstructions(network, directions * magnitude, labels) for magnitude in magnitudes
    ]
    return torch.stack(pictures, dim=1)


@torch.inference_mode()
def direction_sweep(
    network: CapsuleNetwork,
    images: Tensor,
    labels: Tensor,
    class_index: int,
    values: Sequence[float] = TURNS,
) -> Tensor:
    """Reconstructions with one class capsule turned by setting one of its dimensions.

    The capsule keeps its length, and the capsules of other classes that are present stay as they
    are.

    Args:
        network: in evaluation.
        images: [B, C, side, side] in 0 .. 1.
        labels: [B, N]: 1 for the classes present.
        class_index: whose capsule is turned, 0 .. N - 1; counted as present.
        values: the K values that a dimension is set to.

    Returns:
        Pixels in 0 .. 1, [B, D, K, C, side, side].

    Raises:
        InputError: there is no such class.
    """
    return turned_reconstructions(network, network(images), labels, class_index, values)


@torch.inference_mode()
def turned_reconstructions(
    network: CapsuleNetwork,
    v: Tensor,
    labels: Tensor,
    class_index: int,
    values: Sequence[float] = TURNS,
) -> Tensor:
    """What :func:`direction_sweep` gives, from class capsules v [B, N, D]."""
    classes = network.options.classes
    if not 0 <= class_index < classes:
        raise InputError(f"class_index: expected 0 .. {classes - 1}, got {class_index}")
    dimensions = v.shape[2]
    labels = labels.clone()
    labels[:, class_index] = 1
    labels = labels.repeat_interleave(dimensions, dim=0)
    pictures = []
    for value in values:
        turned = v[:, None].repeat(1, dimensions, 1, 1)  # [B, D, N, D]
        turned[:, :, class_index] = _turned(v[:, class_index], value)
        seen = reconstructions(network, turned.flatten(0, 1), labels)
        pictures.append(seen.view(-1, dimensions, *seen.shape[1:]))
    return torch.stack(pictures, dim=2)


def dimension_effects(pictures: Tensor) -> Tensor:
    """How much each dimension changes the pictures, beyond all of one getting lighter or darker.

    Args:
        pictures: of :func:`direction_sweep`, [B, D, K, C, side, side].

    Returns:
        Root of the mean squared change of a pixel from the first value to the last, less the mean
        change of its picture, over all images and pixels; float32 [D] in 0 .. 1.
    """
    return dimension_changes(pictures).square().mean(dim=(0, 2, 3, 4)).sqrt()


def dimension_changes(pictures: Tensor) -> Tensor:
    """What :func:`dimension_effects` measures, [B, D, C, side, side]."""
    change = pictures[:, :, -1] - pictures[:, :, 0]
    return change - change.mean(dim=(2, 3, 4), keepdim=True)


def _turned(capsules: Tensor, value: float) -> Tensor:
    """Capsules [B, D] with each dimension set in turn, as long as before: [B, D, D]."""
    dimensions = capsules.shape[1]
    own = torch.eye(dimensions, dtype=torch.bool, device=capsules.device)
    turned = torch.where(own, value, capsules[:, None])
    lengths = capsule_lengths(turned).clamp_min(torch.finfo(turned.dtype).tiny)
    return turned * (capsule_lengths(capsules[:, None]) / lengths)[..., None]
