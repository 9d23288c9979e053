"""The last units that see only a part of the picture: capsules, or units of a convolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fastcaps.losses import capsule_lengths
from fastcaps.training.analysis.places import Place, ReceptiveField, receptive_field
from fastcaps.training.errors import InputError
from fastcaps.training.networks.conv_net import ConvNet
from fastcaps.training.networks.network import CapsuleNetwork, Network
from fastcaps.training.networks.vgg_net import VGG

__all__ = ["UnitMap", "unit_map"]

VGG_MAPS = 512


@dataclass(frozen=True)
class UnitMap:
    """The units of a network at each place of a feature map.

    Attributes:
        name: what one of them is called.
        count: U, units at each place.
        field: what the places see.
        vectors: images [B, C, side, side] in 0 .. 1 -> what the units give, [B, U, H, W, D];
            D is 1 for those of a convolution.
    """

    name: str
    count: int
    field: ReceptiveField
    vectors: Callable[[Tensor], Tensor]

    def at(self, images: Tensor, unit: int, place: Place) -> Tensor:
        """What one unit gives at one place, [B, D].

        Raises:
            InputError: there is no such unit or place.
        """
        self.check(unit, place)
        return self.vectors(images)[:, unit, place[0], place[1]]

    def activations(self, images: Tensor) -> Tensor:
        """Lengths of what the units give, [B, U, H, W]."""
        vectors = self.vectors(images)
        return capsule_lengths(vectors.flatten(1, 3)).reshape(vectors.shape[:4])

    def check(self, unit: int, place: Place) -> None:
        """See that there are such a unit and such a place.

        Raises:
            InputError: there is none.
        """
        if not 0 <= unit < self.count:
            raise InputError(f"unit: expected 0 .. {self.count - 1}, got {unit}")
        self.field.check(place)


def unit_map(network: Network) -> UnitMap:
    """The primary capsules of a capsule network, or the units of a last convolution.

    These are taken after ReLU, and of VGG-16 after max-pooling, as Rashid and Lee do in
    section 4.4.

    Raises:
        InputError: the network is neither of capsules nor ConvNet nor VGG.
    """
    side = network.options.side
    if isinstance(network, CapsuleNetwork):
        primary = network.primary
        field = receptive_field((network.features, primary), side)

        def capsules(images: Tensor) -> Tensor:
            vectors = network.primary_capsules(images)
            shape = (len(vectors), primary.capsules, field.count, field.count, primary.dim)
            return vectors.reshape(shape)

        return UnitMap("primary capsule", primary.capsules, field, capsules)
    if isinstance(network, ConvNet | VGG):
        is_vgg = isinstance(network, VGG)
        last = network.head.get_submodule("pool5") if is_vgg else network.conv3
        return UnitMap(
            name="convolution unit",
            count=VGG_MAPS if is_vgg else network.conv3.out_channels,
            field=receptive_field((network.features, last), side),
            vectors=lambda images: network.maps(images)[..., None],
        )
    raise InputError(
        f"network: expected capsules, ConvNet or VGG, got {type(network).__name__}: "
        "analysis does not know which of its units see which part of the picture"
    )
