"""What holds for every network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fastcaps.training.errors import InputError
from fastcaps.training.networks import NETWORKS, SMALLEST_SIDES, make_network
from fastcaps.training.networks.network import CapsuleNetwork, Network, NetworkOptions
from fastcaps.training.statistics import PixelStatistics
from tests.training.networks.shapes import without_numbers

OPTIONS = NetworkOptions(classes=3, side=50, channels=1, capsule_bias=True, dropout=0.5)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    """Made once for all tests: the large ones take a second to make."""
    torch.manual_seed(0)
    return make_network(request.param, OPTIONS)


def images(count: int, options: NetworkOptions = OPTIONS, device: str = "cpu") -> torch.Tensor:
    return torch.rand(count, options.channels, options.side, options.side, device=device)


def test_parts_hold_each_parameter_once(network: Network) -> None:
    held = [id(tensor) for part in network.parts().values() for tensor in part.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(tensor) for tensor in network.parameters()}


def test_parts_are_named_in_the_order_of_the_layers(network: Network) -> None:
    first = [next(part.parameters()) for part in network.parts().values()]
    positions = {id(tensor): place for place, tensor in enumerate(network.parameters())}
    places = [positions[id(tensor)] for tensor in first]
    assert places == sorted(places)
    assert next(iter(network.parts())) == "conv1"


def test_gradients_reach_every_parameter(network: Network) -> None:
    torch.manual_seed(1)
    network.train()
    batch = images(2)
    output = network(batch)
    loss = (output * torch.randn_like(output)).sum()
    if isinstance(network, CapsuleNetwork):
        loss = loss + (network.reconstruct(output, torch.ones(2, 3)) - batch).square().sum()
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for name, gradient in zip(parameters, gradients, strict=True):
        assert 0 < gradient.abs().sum() < math.inf, name


def test_scores_are_of_each_class_alone(network: Network) -> None:
    network.eval()
    with torch.no_grad():
        output = network(images(2))
    assert network.scores(output.bfloat16()).dtype == torch.float32
    scores = network.scores(output)
    assert scores.shape == (2, 3)
    assert ((scores > 0) & (scores < 1)).all()
    changed = output.clone()
    changed[:, 0] *= 0.5
    assert torch.equal(network.scores(changed)[:, 1:], scores[:, 1:])


def test_scores_of_exclusive_classes_sum_to_1(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "options", replace(OPTIONS, exclusive=True))
    capsules = isinstance(network, CapsuleNetwork)
    output = torch.randn(4, 3, 32) if capsules else torch.randn(4, 3)
    evidence = output.square().sum(2).sqrt() if capsules else output
    scores = network.scores(output)
    torch.testing.assert_close(scores, evidence.exp() / evidence.exp().sum(1, keepdim=True))
    torch.testing.assert_close(scores.sum(1), torch.ones(4))


def test_every_image_is_looked_at_on_its_own(network: Network) -> None:
    network.eval()
    batch = images(2)
    with torch.no_grad():
        torch.testing.assert_close(network(batch)[:1], network(batch[:1]), rtol=1e-4, atol=1e-5)


def test_images_are_standardised_except_for_vgg(network: Network) -> None:
    shape = tuple(network.standardise.mean.shape)
    mean, std = np.random.default_rng(0).uniform(0.1, 1, (2, *shape)).astype(np.float32)
    same = PixelStatistics(np.zeros_like(mean), np.ones_like(std))
    network.eval()
    batch = images(2)
    standardised = (batch - torch.from_numpy(mean)) / torch.from_numpy(std)
    with torch.no_grad():
        expected = network(batch if "VGG" in type(network).__name__ else standardised)
        network.standardise.set(PixelStatistics(mean, std))
        output = network(batch)
        network.standardise.set(same)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_a_saved_network_is_the_same_again(network: Network) -> None:
    state = network.state_dict()
    assert {"standardise.mean", "standardise.std"} < set(state)
    other = without_numbers(type(network).__name__, OPTIONS)
    other.load_state_dict(state, assign=True)
    batch = images(1)
    network.eval()
    other.eval()
    with torch.no_grad():
        assert torch.equal(other(batch), network(batch))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", ["smallest", 53, 64, 96, 101, 170, 224, 240])
def test_any_side_will_do(name: str, channels: int, side: int | str) -> None:
    pixels = SMALLEST_SIDES.get(name, 1) if side == "smallest" else int(side)
    options = NetworkOptions(classes=5, side=pixels, channels=channels)
    network = without_numbers(name, options)
    output = network(images(2, options, "meta"))
    assert network.scores(output).shape == (2, 5)
    if isinstance(network, CapsuleNetwork):
        pictures = network.reconstruct(output, torch.ones(2, 5, device="meta"))
        assert pictures.shape == (2, channels, pixels, pixels)


@pytest.mark.parametrize(("name", "smallest"), SMALLEST_SIDES.items())
def test_a_side_too_small_is_refused(name: str, smallest: int) -> None:
    with pytest.raises(
        InputError, match=f"^side: {name} takes .* at least {smallest} x {smallest}"
    ):
        make_network(name, replace(OPTIONS, side=smallest - 1))


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"^network: expected one of AUCapsNet, .*, got ResNet$"):
        make_network("ResNet", OPTIONS)
