"""The units of networks, at each place of a feature map."""

from __future__ import annotations

import pytest
import torch

from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.networks import make_network, vgg
from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions

NARROW = ((4, 4), (4, 4), (4, 4, 4), (4, 4, 4), (4, 4, 512))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_primary_capsules_stand_where_the_layer_puts_them() -> None:
    network = make_network("AUCapsNet", NetworkOptions(3, 96, channels=1)).eval()
    assert isinstance(network, CapsuleNetwork)
    images = torch.rand(2, 1, 96, 96)
    units = unit_map(network)
    with torch.no_grad():
        vectors = units.vectors(images)
        flat = network.primary_capsules(images)
    assert (units.count, vectors.shape) == (32, (2, 32, 6, 6, 8))
    for unit, row, column in ((0, 0, 0), (7, 2, 5), (31, 5, 1)):
        expected = flat[:, (unit * 6 + row) * 6 + column]
        torch.testing.assert_close(vectors[:, unit, row, column], expected, rtol=0, atol=0)
        torch.testing.assert_close(units.at(images, unit, (row, column)), expected)
        lengths = units.activations(images)[:, unit, row, column]
        torch.testing.assert_close(lengths, expected.norm(dim=1))


@pytest.mark.parametrize(
    ("name", "side", "count", "across"), [("ConvNet", 96, 256, 6), ("VGG", 96, 512, 3)]
)
def test_units_of_a_convolution_are_numbers_from_zero_on(
    monkeypatch: pytest.MonkeyPatch, name: str, side: int, count: int, across: int
) -> None:
    monkeypatch.setattr(vgg, "BLOCKS", NARROW)
    network = make_network(name, NetworkOptions(3, side, channels=1)).eval()
    units = unit_map(network)
    with torch.no_grad():
        vectors = units.vectors(torch.rand(2, 1, side, side))
    assert (units.count, units.field.count) == (count, across)
    assert vectors.shape == (2, count, across, across, 1)
    assert vectors.min() == 0 < vectors.max()


def test_units_without_a_place_are_refused() -> None:
    network = make_network("AlexNet", NetworkOptions(3, 96, channels=1))
    with pytest.raises(InputError, match=r"^network: expected capsules, ConvNet or VGG, got Alex"):
        unit_map(network)


@pytest.mark.parametrize(
    ("unit", "place", "message"),
    [
        (32, (0, 0), r"^unit: expected 0 \.\. 31, got 32$"),
        (-1, (0, 0), r"^unit: expected 0 \.\. 31, got -1$"),
        (0, (6, 0), r"^place: expected row and column in 0 \.\. 5, got \(6, 0\)$"),
        (0, (0, -1), r"^place: expected row and column in 0 \.\. 5, got \(0, -1\)$"),
    ],
)
def test_units_and_places_that_are_not_there_are_told(
    unit: int, place: tuple[int, int], message: str
) -> None:
    units = unit_map(make_network("AUCapsNet", NetworkOptions(3, 96, channels=1)))
    with pytest.raises(InputError, match=message):
        units.at(torch.rand(1, 1, 96, 96), unit, place)
