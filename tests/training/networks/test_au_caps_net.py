"""The paper's small network: shapes, sizes, reconstruction."""

from __future__ import annotations

import pytest
import torch

from fastcaps.training.networks.au_caps_net import AUCapsNet
from fastcaps.training.networks.network import NetworkOptions
from tests.training.networks.shapes import (
    decoder_shapes,
    output_shapes,
    parameter_counts,
    without_numbers,
)

SMALL = NetworkOptions(classes=4, side=28, channels=1)


def test_shapes_are_the_papers() -> None:
    network = without_numbers("AUCapsNet", NetworkOptions(classes=12, side=96, channels=1))
    layers = ["features.conv1", "features.conv2", "features", "primary.conv", "primary", "classes"]
    assert output_shapes(network, layers, torch.empty(2, 1, 96, 96, device="meta")) == [
        [64, 96, 96],
        [128, 48, 48],
        [128, 24, 24],
        [32 * 8, 6, 6],
        [6 * 6 * 32, 8],
        [12, 32],
    ]
    assert decoder_shapes(network) == [
        [512],
        [1024],
        [1024],
        [1, 32, 32],
        [1, 96, 96],
    ]


@pytest.mark.parametrize("classes", [8, 12])
def test_parameters_are_as_many_as_described(classes: int) -> None:
    network = without_numbers("AUCapsNet", NetworkOptions(classes=classes, side=96, channels=1))
    counts = parameter_counts(network)
    assert counts == {
        "conv1": 1_664,
        "conv2": 204_928,
        "primary": 1_605_888,
        "classes": 294_912 * classes,
        "decoder": (32 * classes + 1) * 512 + 513 * 1024 + 1025 * 1024,
    }
    if classes == 12:
        assert sum(counts.values()) == 7_123_456
        assert sum(counts.values()) - counts["decoder"] == 5_351_424


def test_convolutions_keep_the_channels_last() -> None:
    network = AUCapsNet(SMALL)
    maps = network.features(torch.rand(2, 1, 28, 28))
    assert maps.is_contiguous(memory_format=torch.channels_last)


def test_reconstructions_are_of_the_classes_present() -> None:
    torch.manual_seed(0)
    network = AUCapsNet(SMALL)
    v = torch.randn(3, 4, 32, requires_grad=True)
    labels = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    pictures = network.reconstruct(v, labels)
    assert pictures.shape == (3, 1, 28, 28)
    pictures.square().sum().backward()
    assert torch.equal(v.grad.abs().sum(2) > 0, labels == 1)
    none = network.decoder(torch.zeros(1, 4 * 32))
    torch.testing.assert_close(pictures[2:], none)
