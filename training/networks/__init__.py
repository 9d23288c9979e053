"""Networks from images of aligned faces to action units or emotions."""

from __future__ import annotations

from collections.abc import Mapping

from fastcaps.training.errors import InputError
from fastcaps.training.networks.alex_net import AlexNet
from fastcaps.training.networks.au_caps_net import AUCapsNet
from fastcaps.training.networks.conv_net import ConvNet
from fastcaps.training.networks.drml import DRML
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.networks.vgg_caps_net import VGGCapsNet
from fastcaps.training.networks.vgg_net import VGG

__all__ = ["NETWORKS", "make_network"]

NETWORKS: Mapping[str, type[Network]] = {
    "AUCapsNet": AUCapsNet,
    "VGGCapsNet": VGGCapsNet,
    "ConvNet": ConvNet,
    "AlexNet": AlexNet,
    "DRML": DRML,
    "VGG": VGG,
}

SMALLEST_SIDES = {"AUCapsNet": 28, "VGGCapsNet": 48, "ConvNet": 28, "VGG": 32}
"""Sides in pixels below which nothing is left of the maps; the other networks enlarge images."""


def make_network(name: str, options: NetworkOptions) -> Network:
    """The network called ``name``, with random weights.

    Raises:
        InputError: there is no such network, or it cannot take images of that size.
    """
    if name not in NETWORKS:
        raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {name}")
    smallest = SMALLEST_SIDES.get(name, 1)
    if options.side < smallest:
        raise InputError(
            f"side: {name} takes images of at least {smallest} x {smallest} pixels, "
            f"got {options.side} x {options.side}; align faces to a larger side"
        )
    return NETWORKS[name](options)
