"""A small capsule network and faces, for the page with sliders."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fastcaps.training.analysis.page import slider_fragment
from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions

__all__ = ["SIDE", "Shown", "SmallCapsNet", "content_of", "random_faces"]

SIDE = 37
"""Of pictures: no multiple of the decoder's small picture."""

SMALL_SIDE = 5


class SmallCapsNet(CapsuleNetwork):
    """A capsule network with a decoder whose pictures differ as much as faces do."""

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = nn.Sequential(nn.Conv2d(options.channels, 4, 5, stride=4))
        self.add_capsules(4, 9, kernel_size=3, stride=3, small_side=SMALL_SIDE)
        for layer in self.decoder:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
                nn.init.normal_(layer.bias, std=0.1)
        nn.init.normal_(self.decoder[0].weight, std=0.5)
        self.standardise.mean.uniform_(0.3, 0.6)
        self.standardise.std.uniform_(0.1, 0.3)

    def parts(self) -> dict[str, nn.Module]:
        """All layers."""
        return {
            "features": self.features,
            "primary": self.primary,
            "classes": self.classes,
            "decoder": self.decoder,
        }


@dataclass(frozen=True)
class Shown:
    """What a fragment is made of, and what pictures it has to show."""

    network: CapsuleNetwork
    classes: tuple[str, ...]
    images: Tensor
    v: Tensor
    labels: Tensor
    captions: tuple[str, ...]

    def fragment(self, name: str = "sliders") -> str:
        return slider_fragment(
            self.network,
            self.classes,
            self.images,
            self.v,
            self.labels,
            self.captions,
            names=[[f"size {number}", *[""] * 31] for number in range(len(self.classes))],
            name=name,
        )

    @torch.inference_mode()
    def picture(self, v: Tensor, present: Tensor) -> Tensor:
        """In grey levels, [C, side, side], from the capsules [N, D] of the classes present [N]."""
        masked = v * (present == 1)[:, None]
        standardised = self.network.decoder(masked.flatten()[None])
        return 255 * self.network.standardise.undo(standardised)[0]


def random_faces(channels: int, classes: tuple[str, ...], captions: tuple[str, ...]) -> Shown:
    """Faces of noise, each with a class present but the last; of the first, others unknown."""
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        count = len(captions)
        network = SmallCapsNet(NetworkOptions(len(classes), SIDE, channels)).eval()
        directions = torch.nn.functional.normalize(torch.randn(count, len(classes), 32), dim=2)
        v = directions * torch.empty(count, len(classes), 1).uniform_(0.2, 0.9)
        labels = torch.zeros(count, len(classes), dtype=torch.int8)
        labels[0] = -1
        for face in range(count - 1):
            labels[face, face % len(classes)] = 1
        images = (torch.rand(count, channels, SIDE, SIDE) * 255).round() / 255
    return Shown(network, classes, images, v, labels, captions)


def content_of(fragment: str) -> dict[str, Any]:
    """The data in a fragment."""
    found = re.search(r'<script type="application/json" class="data">(.*?)</script>', fragment)
    assert found is not None
    return dict(json.loads(found[1]))
