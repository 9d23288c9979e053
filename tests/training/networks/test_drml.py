"""DRML: the region layer against a loop over regions, and the network's sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fastcaps.training.networks.drml import RegionLayer
from fastcaps.training.networks.network import NetworkOptions
from tests.training.networks.shapes import output_shapes, parameter_counts, without_numbers


def regions_one_by_one(layer: RegionLayer, norms: list[nn.BatchNorm2d], x: Tensor) -> Tensor:
    """What the layer should give: each region cut out and taken on its own."""
    channels = x.shape[1]
    height, width = x.shape[2] // layer.grid, x.shape[3] // layer.grid
    output = torch.zeros_like(x)
    for number, norm in enumerate(norms):
        row, column = divmod(number, layer.grid)
        place = (
            slice(None),
            slice(None),
            slice(row * height, (row + 1) * height),
            slice(column * width, (column + 1) * width),
        )
        own = slice(number * channels, (number + 1) * channels)
        convolved = nn.functional.conv2d(
            norm(x[place]).relu(), layer.conv.weight[own], layer.conv.bias[own], padding=1
        )
        output[place] = x[place] + convolved
    return output


def norms_like(layer: RegionLayer, channels: int) -> list[nn.BatchNorm2d]:
    """A batch normalisation for each region, with the layer's numbers."""
    norms = []
    for number in range(layer.grid**2):
        norm = nn.BatchNorm2d(channels, dtype=torch.float64).train(layer.training)
        own = slice(number * channels, (number + 1) * channels)
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(norm, name).data.copy_(getattr(layer.norm, name).data[own])
        norms.append(norm)
    return norms


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("grid", "height", "width"), [(1, 5, 7), (2, 6, 10), (3, 9, 3), (8, 24, 8)]
)
def test_regions_are_normalised_and_convolved_each_on_its_own(
    grid: int, height: int, width: int, training: bool
) -> None:
    torch.manual_seed(0)
    layer = RegionLayer(3, grid).double().train(training)
    for tensor in (layer.norm.weight.data, layer.norm.bias.data, layer.norm.running_var):
        tensor.uniform_(0.5, 2)
    layer.norm.running_mean.normal_()
    norms = norms_like(layer, 3)
    x = torch.randn(4, 3, height, width, dtype=torch.float64, requires_grad=True)
    output, expected = layer(x), regions_one_by_one(layer, norms, x)
    torch.testing.assert_close(output, expected)
    direction = torch.randn_like(output)
    inputs = [x, layer.conv.weight, layer.conv.bias]
    torch.testing.assert_close(
        torch.autograd.grad((output * direction).sum(), inputs),
        torch.autograd.grad((expected * direction).sum(), inputs),
    )
    for name in ("running_mean", "running_var"):
        one_by_one = torch.cat([getattr(norm, name) for norm in norms])
        torch.testing.assert_close(getattr(layer.norm, name), one_by_one)


def test_a_region_sees_nothing_of_its_neighbours() -> None:
    torch.manual_seed(0)
    layer = RegionLayer(2, 4).eval()
    x = torch.randn(1, 2, 12, 20)
    changed = x.clone()
    changed[:, :, 3:6, 10:15] += 1
    with torch.no_grad():
        differs = (layer(x) != layer(changed)).any(1)[0]
    assert differs[3:6, 10:15].all()
    assert differs.sum() == 15


def test_shapes_and_sizes_are_as_described() -> None:
    network = without_numbers("DRML", NetworkOptions(classes=12, side=96, channels=1))
    counts = parameter_counts(network)
    layers = [f"layers.{name}" for name in (*counts, "pool")]
    assert output_shapes(network, layers, torch.empty(2, 1, 96, 96, device="meta")) == [
        [32, 160, 160],
        [32, 160, 160],
        [16, 73, 73],
        [16, 66, 66],
        [16, 31, 31],
        [16, 27, 27],
        [4096],
        [2048],
        [12],
        [32, 80, 80],
    ]
    assert counts == {
        "conv1": 3_904,
        "region": 595_968,
        "conv2": 32_784,
        "conv3": 16_400,
        "conv4": 9_232,
        "conv5": 6_416,
        "fc6": 47_779_840,
        "fc7": 8_390_656,
        "fc8": 2_049 * 12,
    }
