"""AlexNet: its sizes, and how images are made to fit."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import alexnet

from fastcaps.training.networks.alex_net import AlexNet
from fastcaps.training.networks.network import NetworkOptions
from tests.training.networks.shapes import output_shapes, parameter_counts, without_numbers


@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_are_torchvisions(channels: int) -> None:
    counts = parameter_counts(without_numbers("AlexNet", NetworkOptions(12, 224, channels)))
    assert list(counts) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert counts["conv1"] == 121 * channels * 64 + 64
    with torch.device("meta"):
        published = sum(parameter.numel() for parameter in alexnet(num_classes=12).parameters())
    assert sum(counts.values()) == published - 121 * (3 - channels) * 64


@pytest.mark.parametrize(("side", "maps"), [(96, 55), (223, 55), (224, 55), (256, 63)])
def test_small_images_are_enlarged(side: int, maps: int) -> None:
    network = without_numbers("AlexNet", NetworkOptions(2, side, 1))
    images = torch.empty(2, 1, side, side, device="meta")
    layers = ["layers.features.0", "layers.avgpool"]
    assert output_shapes(network, layers, images) == [[64, maps, maps], [256, 6, 6]]


def test_logits_are_torchvisions() -> None:
    torch.manual_seed(0)
    network = AlexNet(NetworkOptions(5, 112, 3)).eval()
    published = alexnet(num_classes=5).eval()
    published.load_state_dict(network.layers.state_dict())
    network.standardise.mean.fill_(0.25)
    network.standardise.std.fill_(0.5)
    images = torch.rand(2, 3, 112, 112)
    enlarged = torch.nn.functional.interpolate(
        (images - 0.25) / 0.5, scale_factor=2.0, mode="bilinear"
    )
    with torch.no_grad():
        torch.testing.assert_close(network(images), published(enlarged))
