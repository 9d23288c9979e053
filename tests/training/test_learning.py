"""Networks learn what there is to learn, and nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor, nn

from fastcaps.training.augmentation import OFF
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.networks import NETWORKS, make_network, vgg, vgg_net
from fastcaps.training.networks.network import CapsuleNetwork, Network, NetworkOptions
from fastcaps.training.objectives import CapsuleObjective, LogitObjective, Objective
from tests.training.au_runs import small_data, some_labels, train

# Small and narrow, so that it takes seconds: what is tested is that loss, gradients and optimiser
# fit together in every network.
IMAGES = 32
BATCH = 4
CLASSES = 2

NARROW = ((8, 8), (16, 16), (32, 32, 32), (64, 64, 64), (64, 64, 512))
"""Maps of VGG's convolutions here; a step of all of its own takes seconds."""


class Way(NamedTuple):
    """How a network learns a few images in seconds: small ones, at a rate that suits it."""

    side: int
    channels: int
    lr: float
    epochs: int


WAYS = {
    "AUCapsNet": Way(28, 1, 1e-3, 10),
    "VGGCapsNet": Way(48, 3, 3e-4, 10),
    "ConvNet": Way(28, 1, 1e-3, 10),
    "AlexNet": Way(32, 1, 3e-4, 10),
    "DRML": Way(32, 1, 3e-4, 10),
    "VGG": Way(64, 3, 3e-4, 10),
}


def images_with(labels: Tensor, way: Way) -> Tensor:
    """Noise in 0 .. 1, whose upper and lower half are brighter where a class is present."""
    generator = torch.Generator().manual_seed(1)
    images = 0.3 * torch.rand(IMAGES, way.channels, way.side, way.side, generator=generator)
    for half, present in zip(images.chunk(2, dim=2), labels.T, strict=True):
        half += 0.6 * present[:, None, None, None]
    return images


def fully_connected(inputs: int, outputs: int) -> nn.Linear:
    """A layer of VGG's head; of so few units each needs larger weights than usual."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def objective_of(network: Network) -> Objective:
    weights = torch.full((CLASSES,), 1 / CLASSES)
    if isinstance(network, CapsuleNetwork):
        return CapsuleObjective(network, weights, 0.5, 1e-6, "lengths")
    return LogitObjective(network, weights, 0.5)


@torch.no_grad()
def f1_of(network: Network, images: Tensor, labels: Tensor) -> float:
    present = network.eval().scores(network(images)) > 0.5
    return float(f1_score(labels, present, average="macro", zero_division=0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_overfits_a_few_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "BLOCKS", NARROW)
    monkeypatch.setattr(vgg_net, "UNITS", 256)
    monkeypatch.setattr(vgg_net, "_fully_connected", fully_connected)
    torch.manual_seed(0)
    way = WAYS[name]
    labels = torch.from_numpy(some_labels(IMAGES, CLASSES))
    images = images_with(labels, way)
    network = make_network(name, NetworkOptions(CLASSES, way.side, way.channels))
    network.standardise.mean.copy_(images.mean(0))
    network.standardise.std.copy_(images.std(0))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # There are too few steps for its averages to follow at the usual pace.
            layer.momentum = 0.5
        elif isinstance(layer, nn.Dropout):
            layer.p = 0.0
    objective = objective_of(network)
    optimizer = torch.optim.Adam(network.parameters(), way.lr, fused=True)
    found = [f1_of(network, images, labels)]
    assert found[0] < 1
    while found[-1] < 1 and len(found) <= way.epochs:
        network.train()
        for part in torch.randperm(IMAGES).split(BATCH):
            optimizer.zero_grad()
            objective(images[part], labels[part], lambda number: number)["loss"].backward()
            optimizer.step()
        found.append(f1_of(network, images, labels))
    assert found[-1] == 1, found


def mean_auc(out: Path) -> float:
    tested = Predictions.load(out / "fold-1" / "predictions.parquet")
    return float(roc_auc_score(tested.labels, tested.scores, average="macro"))


@pytest.mark.usefixtures("tiny_network")
def test_nothing_is_learned_of_shuffled_labels(tmp_path: Path) -> None:
    """The AUC of chance has a standard deviation of 0.02 here: 3 classes, 300 frames each."""
    truth = some_labels(600, 3)
    shuffled = np.random.default_rng(3).permutation(truth)
    still = {
        name: list(value) if isinstance(value, tuple) else value for name, value in OFF.items()
    }
    options = {"batch_size": 20, "lr": 3e-3, "augmentation": still, "test_each_epoch": False}
    found = []
    for name, labels in (("true", truth), ("shuffled", shuffled)):
        data = small_data(tmp_path / name, shown=truth, labels=labels)
        train(data, tmp_path / f"run of {name}", **options)
        found.append(mean_auc(tmp_path / f"run of {name}"))
    assert found[0] > 0.9
    assert abs(found[1] - 0.5) < 0.07
