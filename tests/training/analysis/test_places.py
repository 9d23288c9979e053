"""What places of a feature map see."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastcaps.training.analysis.places import REGIONS, receptive_field, region_place, shared_places
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions


def seen_by(network: Network, row: int, column: int) -> tuple[int, int, int, int]:
    """First and last row and column of the pixels that can change what stands at a place."""
    side, channels = network.options.side, network.options.channels
    images = torch.rand(1, channels, side, side, requires_grad=True)
    with torch.no_grad():
        for part in network.modules():
            # No maximum and no ReLU hides a pixel: all are added up.
            if isinstance(part, nn.Conv2d):
                part.weight.fill_(0.01)
    units = unit_map(network)
    units.vectors(images)[0, :, row, column].sum().backward()
    assert images.grad is not None
    rows, columns = images.grad[0].abs().sum(0).nonzero().T
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


@pytest.mark.parametrize(
    ("name", "side", "size", "jump", "count"),
    [("AUCapsNet", 96, 40, 12, 6), ("ConvNet", 96, 40, 12, 6), ("ConvNet", 120, 40, 12, 8)],
)
def test_places_see_what_changes_them(
    name: str, side: int, size: int, jump: int, count: int
) -> None:
    torch.manual_seed(0)
    network = make_network(name, NetworkOptions(2, side, channels=1)).eval()
    field = unit_map(network).field
    assert (field.size, field.jump, field.count) == (size, jump, count)
    for row, column in ((0, count - 1), (2, 3), (count - 1, 0)):
        found = seen_by(network, row, column)
        reach = (size - 1) / 2
        expected = [
            edge
            for place in (row, column)
            for edge in (field.centre(place) - reach, field.centre(place) + reach)
        ]
        for edge, pixel in zip(expected, found, strict=True):
            # Of each four pixels that are pooled, only the largest counts.
            assert abs(min(max(edge, 0), side - 1) - pixel) <= 3


def test_a_field_follows_from_kernels_strides_and_paddings() -> None:
    layers = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(1, 1, 5, stride=3)
    )
    field = receptive_field(layers, side=20)
    # 20 -> 20 -> 10 -> (10 - 5) // 3 + 1 = 2; (3 - 1) + (2 - 1) + 2 * (5 - 1) + 1 = 12.
    assert (field.count, field.size, field.jump) == (2, 12, 6)
    # The middle of the pooled pixels 0 and 1, and two pooled pixels further.
    assert field.first == 0.5 + 2 * 2


@pytest.mark.parametrize("side", [96, 224])
def test_regions_are_where_they_are_in_a_face(side: int) -> None:
    field = receptive_field([nn.Conv2d(1, 1, 1)], side)
    found = {name: region_place(name, field, side) for name in REGIONS}
    brows, eyes, nose, mouth = (found[name] for name in ("brows", "eyes", "nose", "mouth"))
    assert brows[0] < eyes[0] < nose[0] < mouth[0]
    assert all(abs(place[1] - (side - 1) / 2) <= 1 for place in (brows, eyes, nose, mouth))
    # "Right" and "left" are the person's.
    assert found["right eye"][1] < eyes[1] < found["left eye"][1]
    assert mouth[0] == pytest.approx(65.5 * side / 96, abs=1.5)


def test_parts_that_one_place_sees_are_told() -> None:
    assert shared_places({"brows": (1, 3), "eyes": (2, 3), "mouth": (4, 3)}) == ()
    (told,) = shared_places({"brows": (1, 3), "eyes": (1, 3), "mouth": (4, 3)})
    assert told.startswith("The place nearest to brows and eyes is one and the same")


def test_an_unknown_region_is_told() -> None:
    field = receptive_field([], 96)
    with pytest.raises(InputError, match=r"^region: expected one of brows, .*, mouth, got ear$"):
        region_place("ear", field, 96)


def test_a_map_of_every_pixel_covers_the_picture() -> None:
    assert receptive_field((), 96).extent == (0, 96)
    assert receptive_field((nn.Conv2d(1, 1, 2, stride=2),), 96).extent == (0, 96)
    assert receptive_field((nn.Conv2d(1, 1, 5),), 96).extent == (2, 94)
