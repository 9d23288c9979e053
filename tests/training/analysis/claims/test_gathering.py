"""Vectors against those of the network's own forward pass, for each kind of network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fastcaps.losses import capsule_lengths
from fastcaps.training.analysis.claims.gathering import Activity, evenly_spaced, gather
from fastcaps.training.analysis.places import region_place
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.networks import vgg_net
from fastcaps.training.networks.network import Network
from fastcaps.training.prepared import Prepared
from tests.training.analysis.claims.made import opened
from tests.training.au_runs import small_data

REGIONS = ("mouth", "left eye")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder: Path = tmp_path_factory.mktemp("data")
    return small_data(folder)


def before_the_last_layer(network: Network, images: torch.Tensor) -> np.ndarray:
    """What the last fully connected layer takes."""
    taken: list[torch.Tensor] = []
    last = list(network.parts().values())[-1]
    assert isinstance(last, nn.Linear)
    handle = last.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    network(images)
    handle.remove()
    return taken[0].numpy()


@torch.inference_mode()
def check_units(found: Activity, network: Network, images: torch.Tensor) -> None:
    units = unit_map(network)
    assert list(found.units) == list(REGIONS)
    for region, vectors in found.units.items():
        row, column = region_place(region, units.field, network.options.side)
        wanted = torch.stack(
            [units.at(images, unit, (row, column)) for unit in (0, units.count - 1)], dim=1
        )
        assert vectors.dtype == np.float32
        assert vectors.shape[:2] == (len(images), units.count)
        np.testing.assert_allclose(vectors[:, [0, -1]], wanted.numpy(), rtol=1e-4, atol=1e-6)
        assert np.ptp(vectors) > 0


@torch.inference_mode()
def test_class_capsules_are_those_that_scores_are_made_of(prepared: Prepared) -> None:
    fold = opened(prepared, "AUCapsNet", 44, 5)
    places = np.array([3, 0, 4])
    found = gather(fold, places, REGIONS, batch_size=2)
    images = fold.images(places)
    output = fold.network(images)
    np.testing.assert_allclose(found.features, output.numpy(), rtol=1e-4, atol=1e-6)
    lengths = capsule_lengths(torch.from_numpy(found.features))
    torch.testing.assert_close(lengths, fold.network.scores(output))
    check_units(found, fold.network, images)
    whole = gather(fold, places)
    np.testing.assert_allclose(whole.features, found.features, rtol=1e-4, atol=1e-6)
    assert whole.units == {}


@torch.inference_mode()
@pytest.mark.parametrize(("name", "side", "channels"), [("ConvNet", 44, 1), ("VGG", 64, 3)])
def test_hidden_units_are_what_logits_are_made_of(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, name: str, side: int, channels: int
) -> None:
    monkeypatch.setattr(vgg_net, "UNITS", 7)
    fold = opened(prepared, name, side, 3, channels)
    places = np.arange(3)
    found = gather(fold, places, REGIONS)
    images = fold.images(places)
    wanted = before_the_last_layer(fold.network, images)
    np.testing.assert_allclose(found.features, wanted, rtol=1e-4, atol=1e-6)
    assert found.features.shape == wanted.shape
    check_units(found, fold.network, images)


def test_thumbnails_are_means_of_gray_pixels(prepared: Prepared) -> None:
    fold = opened(prepared, "VGGCapsNet", 48, 2, channels=3)
    found = gather(fold, np.arange(2)).thumbnails
    pixels = fold.images(np.arange(2)).numpy()
    wanted = pixels.reshape(2, 3, 16, 3, 16, 3).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_region_or_network_that_is_not_known(prepared: Prepared) -> None:
    with pytest.raises(InputError, match="region: expected one of"):
        gather(opened(prepared, "ConvNet", 44, 1), np.arange(1), ("ear",))
    with pytest.raises(InputError, match="network: expected capsules, ConvNet or VGG"):
        gather(opened(prepared, "DRML", 44, 1), np.arange(1))


@pytest.mark.parametrize(("frames", "most"), [(5, 5), (5, 9), (7, 3), (1000, 999), (1, 1)])
def test_frames_are_spread(frames: int, most: int) -> None:
    places = evenly_spaced(frames, most)
    assert len(places) == min(frames, most)
    assert places[0] == 0
    assert places[-1] < frames
    steps = np.diff(places)
    assert steps.size == 0 or 1 <= steps.min() <= steps.max() <= steps.min() + 1
    with pytest.raises(InputError, match="most: expected at least 1, got 0"):
        evenly_spaced(frames, 0)
