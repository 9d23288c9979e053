"""Which part of the picture a place of a feature map sees, and which place sees which part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import FRAME_SIDE, GROUPS, MEAN_FACE

__all__ = [
    "MEASURED_REGIONS",
    "REGIONS",
    "Place",
    "ReceptiveField",
    "receptive_field",
    "region_place",
    "shared_places",
]

REGIONS: Mapping[str, tuple[str, ...]] = {
    "brows": ("right brow", "left brow"),
    "right brow": ("right brow",),
    "left brow": ("left brow",),
    "eyes": ("right eye", "left eye"),
    "right eye": ("right eye",),
    "left eye": ("left eye",),
    "nose": ("nose",),
    "mouth": ("outer lips", "inner lips"),
}
"""Parts of the face, and the groups of landmarks in the middle of which each has its centre."""

MEASURED_REGIONS = ("brows", "eyes", "mouth")
"""Those that have several action units."""

Place = tuple[int, int]
"""Row and column of a feature map."""


@dataclass(frozen=True)
class ReceptiveField:
    """What the places of a feature map see, along one side of the picture.

    Attributes:
        first: centre of what the first place sees, in pixels; the first pixel's centre is at 0.
        jump: pixels from one place's centre to the next one's.
        size: of what a place sees, in pixels.
        count: places.
    """

    first: float
    jump: int
    size: int
    count: int

    def centre(self, place: int) -> float:
        """Of what a place sees, in pixels."""
        return self.first + place * self.jump

    @property
    def extent(self) -> tuple[float, float]:
        """Where the first place begins and the last one ends, in pixels from the picture's edge."""
        # The first pixel's centre is half a pixel from there.
        first, last = self.centre(0) + 0.5, self.centre(self.count - 1) + 0.5
        return first - self.jump / 2, last + self.jump / 2

    def nearest(self, pixel: float) -> int:
        """The place whose centre is nearest to a pixel."""
        return int(np.clip(round((pixel - self.first) / self.jump), 0, self.count - 1))

    def check(self, place: Place) -> None:
        """See that there is such a place.

        Raises:
            InputError: there is none.
        """
        last = self.count - 1
        if not all(0 <= coordinate <= last for coordinate in place):
            raise InputError(f"place: expected row and column in 0 .. {last}, got {place}")


def receptive_field(layers: Iterable[nn.Module], side: int) -> ReceptiveField:
    """What the places of the last of several layers see, each layer's input being the one before.

    Args:
        layers: :class:`torch.nn.Conv2d`, :class:`torch.nn.MaxPool2d`, containers of them, and
            layers that work on each pixel alone; square, not dilated.
        side: of the picture, in pixels.
    """
    field = ReceptiveField(first=0.0, jump=1, size=1, count=side)
    for layer in layers:
        for part in layer.modules():
            if isinstance(part, nn.Conv2d | nn.MaxPool2d):
                kernel, stride, padding = (
                    _square(part.kernel_size),
                    _square(part.stride),
                    _square(part.padding),
                )
                field = ReceptiveField(
                    first=field.first + ((kernel - 1) / 2 - padding) * field.jump,
                    jump=field.jump * stride,
                    size=field.size + (kernel - 1) * field.jump,
                    count=(field.count + 2 * padding - kernel) // stride + 1,
                )
    return field


def region_place(region: str, field: ReceptiveField, side: int) -> Place:
    """The place whose centre is nearest to the middle of a part of the mean face.

    Args:
        region: a name in :data:`REGIONS`.
        field: of the feature map.
        side: of the network's input, in pixels.

    Raises:
        InputError: there is no such region.
    """
    if region not in REGIONS:
        raise InputError(f"region: expected one of {', '.join(REGIONS)}, got {region}")
    points = np.concatenate([MEAN_FACE[GROUPS[group]] for group in REGIONS[region]])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    # Pixels are scaled about the picture's edge, half a pixel before the first centre.
    x, y = (middle + 0.5) * side / FRAME_SIDE - 0.5
    return field.nearest(y), field.nearest(x)


def _square(size: int | str | tuple[int, ...]) -> int:
    number = size if isinstance(size, int) else size[0]
    assert isinstance(number, int), "padding is a number in these networks"
    return number


def shared_places(places: Mapping[str, Place]) -> tuple[str, ...]:
    """A sentence for each place of a map that several parts of the face have, by name."""
    parts_of: dict[Place, list[str]] = {}
    for name, place in places.items():
        parts_of.setdefault(place, []).append(name)
    return tuple(
        f"The place nearest to {' and '.join(parts)} is one and the same: the units there see all "
        "of these."
        for parts in parts_of.values()
        if len(parts) > 1
    )
