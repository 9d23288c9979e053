"""What a decoder shows when class capsules are made longer, or turned.

Rashid and Lee, section 4.3, figures 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastcaps.losses import capsule_lengths
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = [
    "MAGNITUDES",
    "TURNS",
    "DimensionEffects",
    "dimension_effects",
    "direction_sweep",
    "magnitude_sweep",
    "reconstructions",
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

    Raises:
        InputError: pixels are not finite.
    """
    pictures = network.standardise.undo(network.reconstruct(v, labels))
    if not pictures.isfinite().all():
        raise InputError("run: the network's decoder draws pixels that are not finite")
    return pictures


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
    v: Tensor,
    labels: Tensor,
    class_index: int,
    values: Sequence[float] = TURNS,
) -> Tensor:
    """Reconstructions with one class capsule turned by setting one of its dimensions.

    The capsule keeps its length, and the capsules of other classes that are present stay as they
    are.

    Args:
        network: whose decoder draws them.
        v: class capsules [B, N, D].
        labels: [B, N]: 1 for the classes present.
        class_index: whose capsule is turned, 0 .. N - 1; counted as present.
        values: the K values that a dimension is set to.

    Returns:
        Pixels in 0 .. 1, [B, D, K, C, side, side].

    Raises:
        InputError: there is no such class.
    """
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


@dataclass(frozen=True)
class DimensionEffects:
    """How much each dimension of a class capsule changes the pictures, from the first turn to the
    last: root mean squares over images and pixels, in 0 .. 1.

    Attributes:
        change: float32 [D].
        shape: of what is left of the change without its mean over each picture, float32 [D]:
            what is more than all of a picture getting lighter or darker.
    """

    change: Tensor
    shape: Tensor


@torch.inference_mode()
def dimension_effects(
    network: CapsuleNetwork, v: Tensor, labels: Tensor, class_index: int
) -> DimensionEffects:
    """Measure the dimensions of a class capsule over some images.

    Args:
        network: in evaluation.
        v: class capsules of B images, [B, N, D].
        labels: [B, N]: 1 for the classes present.
        class_index: whose capsule is turned, 0 .. N - 1; counted as present.

    Raises:
        InputError: there is no such class.
    """
    ends = (TURNS[0], TURNS[-1])
    changes, shapes = [], []
    # One image at a time: pictures of all at once would take gigabytes where they are large.
    for image in range(len(v)):
        own = slice(image, image + 1)
        turned = direction_sweep(network, v[own], labels[own], class_index, ends)
        pictures = turned[0]  # [D, 2, C, side, side]
        change = (pictures[:, 1] - pictures[:, 0]).flatten(1)
        changes.append(change.square().mean(dim=1))
        shapes.append(change.var(dim=1, correction=0))
    return DimensionEffects(
        *(torch.stack(squares).mean(dim=0).sqrt() for squares in (changes, shapes))
    )


def _turned(capsules: Tensor, value: float) -> Tensor:
    """Capsules [B, D] with each dimension set in turn, as long as before: [B, D, D]."""
    dimensions = capsules.shape[1]
    own = torch.eye(dimensions, dtype=torch.bool, device=capsules.device)
    turned = torch.where(own, value, capsules[:, None])
    lengths = capsule_lengths(turned).clamp_min(torch.finfo(turned.dtype).tiny)
    return turned * (capsule_lengths(capsules[:, None]) / lengths)[..., None]
