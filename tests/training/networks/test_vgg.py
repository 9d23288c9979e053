"""The VGG networks: shapes, sizes, and what images their convolutions get."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import VGG16_Weights, vgg16

from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.networks.vgg import IMAGENET_COLOURS, VGGConvolutions
from fastcaps.training.networks.vgg_caps_net import VGGCapsNet
from tests.training.networks.shapes import (
    decoder_shapes,
    output_shapes,
    parameter_counts,
    without_numbers,
)

BLOCKS = {
    "conv1": 38_720,
    "conv2": 221_440,
    "conv3": 1_475_328,
    "conv4": 5_899_776,
    "conv5": 7_079_424,
}


def test_shapes_of_the_capsule_network_are_the_papers() -> None:
    network = without_numbers("VGGCapsNet", NetworkOptions(classes=12, side=224, channels=3))
    layers = [f"features.conv{block}" for block in range(1, 6)]
    layers += ["features", "primary.conv", "primary", "classes"]
    assert output_shapes(network, layers, torch.empty(2, 3, 224, 224, device="meta")) == [
        [64, 224, 224],
        [128, 112, 112],
        [256, 56, 56],
        [512, 28, 28],
        [512, 14, 14],
        [512, 14, 14],
        [32 * 8, 6, 6],
        [6 * 6 * 32, 8],
        [12, 32],
    ]
    assert decoder_shapes(network) == [
        [512],
        [1024],
        [9408],
        [3, 56, 56],
        [3, 224, 224],
    ]


@pytest.mark.parametrize("classes", [8, 12])
def test_parameters_of_the_capsule_network_are_as_many_as_described(classes: int) -> None:
    network = without_numbers("VGGCapsNet", NetworkOptions(classes, side=224, channels=3))
    counts = parameter_counts(network)
    assert counts == BLOCKS | {
        "primary": 1_179_904,
        "classes": 294_912 * classes,
        "decoder": (32 * classes + 1) * 512 + 513 * 1024 + 1025 * 9408,
    }
    if classes == 12:
        assert sum(counts.values()) == 29_799_168
        assert sum(counts.values()) - counts["decoder"] == 19_433_536


def test_six_by_six_maps_give_two_by_two_primary_capsules() -> None:
    network = without_numbers("VGGCapsNet", NetworkOptions(classes=2, side=96, channels=1))
    images = torch.empty(2, 1, 96, 96, device="meta")
    assert output_shapes(network, ["features", "primary.conv"], images) == [
        [512, 6, 6],
        [256, 2, 2],
    ]


def test_parameters_of_vgg_are_torchvisions() -> None:
    network = without_numbers("VGG", NetworkOptions(classes=12, side=224, channels=3))
    with torch.device("meta"):
        published = vgg16(num_classes=12)
    assert [tensor.shape for tensor in network.parameters()] == [
        tensor.shape for tensor in published.parameters()
    ]
    counts = parameter_counts(network)
    assert list(counts) == [*BLOCKS, "fc6", "fc7", "fc8"]
    assert sum(counts[block] for block in BLOCKS) == 14_714_688


@pytest.mark.parametrize(("side", "maps"), [(224, 14), (96, 6), (32, 2)])
def test_the_head_of_vgg_gets_seven_by_seven_maps(side: int, maps: int) -> None:
    network = without_numbers("VGG", NetworkOptions(classes=3, side=side, channels=1))
    images = torch.empty(2, 1, side, side, device="meta")
    layers = ["features", "head.pool5", "head.average", "head.fc6", "head.fc7"]
    assert output_shapes(network, layers, images) == [
        [512, maps, maps],
        [512, maps // 2, maps // 2],
        [512, 7, 7],
        [4096],
        [4096],
    ]


def test_random_weights_get_what_imagenets_do() -> None:
    transforms = VGG16_Weights.IMAGENET1K_V1.transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == IMAGENET_COLOURS
    mean, std = VGGConvolutions().get_submodule("conv1.colours").buffers()
    assert mean.flatten().tolist() == pytest.approx(transforms.mean)
    assert std.flatten().tolist() == pytest.approx(transforms.std)


def test_gray_is_red_green_and_blue() -> None:
    torch.manual_seed(0)
    features = VGGConvolutions()
    gray = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(features(gray), features(gray.expand(1, 3, 32, 32)))


def test_whole_maps_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    network = VGGCapsNet(NetworkOptions(classes=2, side=48, channels=1, dropout=0.7))
    dropout = network.features.get_submodule("dropout")
    assert isinstance(dropout, nn.Dropout2d)
    maps = torch.ones(4, 512, 3, 3)
    kept = dropout(maps) > 0
    assert torch.equal(kept.all((2, 3)), kept.any((2, 3)))
    assert kept.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(dropout.eval()(maps), maps)
    assert list(network.features.children())[-1] is dropout


def test_random_convolutions_pass_images_on() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        maps = VGGConvolutions()(torch.rand(2, 3, 64, 64))
    assert 0.1 < maps.std().item() < 10
    assert maps.is_contiguous(memory_format=torch.channels_last)
