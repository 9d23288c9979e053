"""The convolutional network is as large as the capsule network."""

from __future__ import annotations

import pytest
import torch

from fastcaps.training.networks.network import NetworkOptions
from tests.training.networks.shapes import output_shapes, parameter_counts, without_numbers


@pytest.mark.parametrize("side", [28, 61, 96, 150])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [1, 8, 12])
def test_as_many_parameters_as_the_capsule_network(classes: int, channels: int, side: int) -> None:
    options = NetworkOptions(classes, side, channels)
    counts = parameter_counts(without_numbers("ConvNet", options))
    capsules = parameter_counts(without_numbers("AUCapsNet", options))
    wanted = sum(capsules.values()) - capsules["decoder"]
    assert sum(counts.values()) == pytest.approx(wanted, rel=0.002)
    assert [counts[f"conv{i}"] for i in (1, 2, 3)] == [
        capsules[name] for name in ("conv1", "conv2", "primary")
    ]


def test_shapes_and_sizes_are_as_described() -> None:
    network = without_numbers("ConvNet", NetworkOptions(classes=12, side=96, channels=1))
    images = torch.empty(2, 1, 96, 96, device="meta")
    assert output_shapes(network, ["features", "conv3", "hidden", "logits"], images) == [
        [128, 24, 24],
        [256, 6, 6],
        [383],
        [12],
    ]
    assert sum(parameter_counts(network).values()) == 5_347_199


def test_its_convolutions_are_those_of_the_capsule_network() -> None:
    options = NetworkOptions(classes=2, side=96, channels=1)
    capsules = without_numbers("AUCapsNet", options)
    plain = without_numbers("ConvNet", options)
    assert str(plain.get_submodule("features")) == str(capsules.get_submodule("features"))
    assert str(plain.get_submodule("conv3")) == str(capsules.get_submodule("primary.conv"))
