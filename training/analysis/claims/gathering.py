"""What a network makes of test frames: the vectors that claims are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.places import region_place
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.networks.conv_net import ConvNet
from fastcaps.training.networks.network import CapsuleNetwork, Network
from fastcaps.training.networks.vgg_net import VGG

__all__ = ["THUMBNAIL_SIDE", "Activity", "evenly_spaced", "gather"]

Vectors = NDArray[np.float32]

THUMBNAIL_SIDE = 16
BEFORE_LOGITS = slice(1, -1)
"""Of VGG's head: from its last maps, which are its units, to the last hidden layer."""


@dataclass(frozen=True)
class Activity:
    """Of M frames.

    Attributes:
        features: from which the scores are made: class capsules [M, N, D], or the units of the last
            hidden layer [M, H].
        units: by region of the face, what the units at its place give, [M, U, D]; D is 1 for those
            of a convolution.
        thumbnails: means of the pixels, gray, in 16 x 16 parts of the picture, [M, 16, 16] in
            0 .. 1.
    """

    features: Vectors
    units: Mapping[str, Vectors]
    thumbnails: Vectors


def evenly_spaced(frames: int, most: int) -> NDArray[np.int64]:
    """At most so many of some frames, at even distances; int64, ascending.

    Raises:
        InputError: ``most`` is below 1.
    """
    if most < 1:
        raise InputError(f"most: expected at least 1, got {most}")
    if frames <= most:
        return np.arange(frames)
    return (np.arange(most) * frames) // most


@torch.inference_mode()
def gather(
    opened: OpenedFold,
    places: NDArray[np.int64],
    regions: Sequence[str] = (),
    *,
    batch_size: int = 64,
) -> Activity:
    """Run a network over some test frames.

    Args:
        opened: whose network and test frames.
        places: which, among the test frames; at least one.
        regions: names of parts of the face, see
            :data:`fastcaps.training.analysis.places.REGIONS`.
        batch_size: frames at once.

    Raises:
        InputError: there is no such region, or the network is of a kind that analysis does not
            know.
    """
    network = opened.network
    units = unit_map(network)
    at = {name: region_place(name, units.field, network.options.side) for name in regions}
    features, thumbnails = [], []
    found: dict[str, list[Vectors]] = {name: [] for name in at}
    for start in range(0, len(places), batch_size):
        images = opened.images(places[start : start + batch_size])
        vectors = units.vectors(images)
        for name, (row, column) in at.items():
            found[name].append(_numpy(vectors[:, :, row, column]))
        features.append(_numpy(_features(network, vectors)))
        thumbnails.append(_numpy(adaptive_avg_pool2d(images.mean(1), THUMBNAIL_SIDE)))
    return Activity(
        np.concatenate(features),
        {name: np.concatenate(parts) for name, parts in found.items()},
        np.concatenate(thumbnails),
    )


def _features(network: Network, vectors: Tensor) -> Tensor:
    """What comes of the units, vectors [B, U, H, W, D]; so that convolutions run once."""
    if isinstance(network, CapsuleNetwork):
        v: Tensor = network.classes(vectors.flatten(1, 3))
        return v
    maps = vectors[..., 0]
    if isinstance(network, ConvNet):
        hidden: Tensor = network.hidden(maps.flatten(1)).relu()
        return hidden
    assert isinstance(network, VGG), "analysis knows no other units"
    units: Tensor = network.head[BEFORE_LOGITS](maps)
    return units


def _numpy(vectors: Tensor) -> Vectors:
    return vectors.float().cpu().numpy()
