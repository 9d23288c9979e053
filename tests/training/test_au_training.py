"""How networks learn: schedule, parts with rates of their own, drop-out, alpha, transfer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
from torch import Tensor

from fastcaps.training.au_training import AUTraining, learning_rate
from fastcaps.training.augmentation import GRAY_96, OFF
from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.objectives import CapsuleObjective
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST
from fastcaps.training.run_network import network_weights
from fastcaps.training.run_settings import RunSettings
from tests.training.au_runs import (
    STEPS_PER_EPOCH,
    TinyCapsNet,
    final_state,
    read_log,
    small_data,
    some_labels,
    train,
)

pytestmark = pytest.mark.usefixtures("tiny_network")

UNCHANGED = {
    name: list(value) if isinstance(value, tuple) else value for name, value in OFF.items()
}
"""Augmentation that leaves all pictures as they are."""


class Watch(lightning.Callback):
    """Keeps the network's weights as they are before the first step."""

    def __init__(self) -> None:
        self.before: dict[str, Tensor] = {}

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Copy them."""
        found = pl_module.network.state_dict().items()
        self.before = {name: tensor.clone() for name, tensor in found}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return small_data(tmp_path_factory.mktemp("data") / "data")


def weights_after(
    data: Prepared, out: Path, **options: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The network's weights before and after a run of one epoch."""
    watch = Watch()
    train(data, out, epochs=1, callbacks=[watch], **options)
    return watch.before, network_weights(out / "fold-1" / LAST)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda step: 1e-3),
        ({"lr_from_epoch": {4: 1e-5, 2: 1e-4}}, lambda step: [1e-3, 1e-4, 1e-4, 1e-5][step // 7]),
        ({"lr_decay": 0.96, "lr_decay_steps": 350}, lambda step: 1e-3 * 0.96 ** (step / 350)),
        (
            {"lr_from_epoch": {3: 2e-5}, "lr_decay": 0.5, "lr_decay_steps": 3},
            lambda step: (1e-3 if step < 14 else 2e-5) * 0.5 ** (step / 3),
        ),
    ],
)
def test_the_learning_rate_follows_its_schedule(
    options: dict[str, Any], expected: Callable[[int], float]
) -> None:
    settings = RunSettings(lr=1e-3, **options)
    rates = [learning_rate(settings, step, steps_per_epoch=7) for step in range(28)]
    assert rates == pytest.approx([expected(step) for step in range(28)], rel=1e-12)


def test_the_log_has_the_rate_of_an_epochs_last_step(data: Prepared, tmp_path: Path) -> None:
    train(
        data,
        tmp_path / "run",
        epochs=3,
        lr_from_epoch={2: 1e-4},
        lr_decay=0.5,
        lr_decay_steps=2,
        lr_factors={"conv1": 0.1, "decoder": 3},
    )
    last = [STEPS_PER_EPOCH * epoch - 1 for epoch in (1, 2, 3)]
    expected = [
        rate * 0.5 ** (step / 2) for rate, step in zip((1e-3, 1e-4, 1e-4), last, strict=True)
    ]
    assert [row["lr"] for row in read_log(tmp_path / "run" / "fold-1")] == pytest.approx(expected)


def test_parts_have_rates_of_their_own(data: Prepared, tmp_path: Path) -> None:
    one_step = {"batch_size": 20, "dropout": 0.0}
    usual = weights_after(data, tmp_path / "usual", **one_step)
    factors = {"conv1": 0, "primary": 0.1, "decoder": 2}
    changed = weights_after(data, tmp_path / "changed", lr_factors=factors, **one_step)
    moved = [
        {name: after[name] - before[name] for name in before} for before, after in (usual, changed)
    ]
    assert usual[0].keys() == changed[0].keys()
    for name, movement in moved[0].items():
        assert torch.equal(usual[0][name], changed[0][name]), name
        part = name.split(".")[1] if name.startswith("features") else name.split(".")[0]
        if part == "standardise":
            assert not movement.any()
            continue
        assert movement.abs().max() > 5e-4, name
        expected = factors.get(part, 1) * movement
        torch.testing.assert_close(moved[1][name], expected, rtol=1e-2, atol=1e-7)
    frozen = "features.conv1.weight"
    assert torch.equal(changed[1][frozen], changed[0][frozen])


def a_training(**changes: Any) -> AUTraining:
    torch.manual_seed(0)
    network = TinyCapsNet(NetworkOptions(3, 96, 1))
    objective = CapsuleObjective(network, torch.full((3,), 1 / 3), 0.5, 1e-7, "lengths")
    return AUTraining(objective, RunSettings(**changes), GRAY_96, 4, list)


def test_random_numbers_follow_from_seed_and_place() -> None:
    def numbers(seed: int, batch: int) -> list[float]:
        training = a_training(seed=seed)
        torch.manual_seed(batch)
        training.on_train_batch_start(None, batch)
        return torch.rand(3).tolist()

    assert numbers(1, 5) == numbers(1, 5)
    different = {tuple(numbers(seed, batch)) for seed in (1, 2) for batch in (5, 6)}
    assert len(different) == 4


def test_frozen_parts_are_not_optimised() -> None:
    training = a_training(lr_factors={"conv1": 0, "classes": 0.25}, lr=1e-2)
    (optimizer,) = [training.configure_optimizers()["optimizer"]]
    rates = {
        id(tensor): group["initial_lr"]
        for group in optimizer.param_groups
        for tensor in group["params"]
    }
    network = training.network
    assert id(network.features.conv1.weight) not in rates
    assert not network.features.conv1.weight.requires_grad
    assert rates[id(network.classes.weight)] == pytest.approx(2.5e-3)
    assert rates[id(network.primary.conv.weight)] == pytest.approx(1e-2)


def test_alpha_is_set_so_that_both_terms_match_before_anything_is_learned(
    data: Prepared, tmp_path: Path
) -> None:
    still = {"lr": 1e-30, "dropout": 0.0, "augmentation": UNCHANGED}
    train(data, tmp_path / "run", epochs=1, **still)
    fold = tmp_path / "run" / "fold-1"
    (row,) = read_log(fold)
    alpha = final_state(fold)["result"]["alpha"]
    assert alpha * row["reconstruction"] == pytest.approx(row["margin"], rel=1e-5)
    assert row["loss"] == pytest.approx(2 * row["margin"], rel=1e-5)


def test_what_is_seen_is_standardised_by_the_training_frames(
    data: Prepared, tmp_path: Path
) -> None:
    _, after = weights_after(data, tmp_path / "run")
    trained = data.index["subject"].isin(["s1", "s3"]).to_numpy()
    pixels = data.frames[trained][:, 7:-7, 7:-7].astype(float) / 255
    np.testing.assert_allclose(after["standardise.mean"][0], pixels.mean(0), atol=1e-6)
    np.testing.assert_allclose(after["standardise.std"][0], pixels.std(0), atol=1e-6)


def test_another_runs_convolutions_are_taken_and_nothing_else(
    data: Prepared, tmp_path: Path
) -> None:
    train(data, tmp_path / "first", seed=3)
    checkpoint = tmp_path / "first" / "fold-1" / LAST
    given = network_weights(checkpoint)
    two = small_data(tmp_path / "two", some_labels(40, 2, seed=5))
    fresh, _ = weights_after(two, tmp_path / "fresh")
    before, after = weights_after(
        two, tmp_path / "second", weights="run", initial=checkpoint, lr_factors={"conv1": 0}
    )
    assert before.keys() == fresh.keys()
    for name, tensor in before.items():
        is_convolution = name.startswith("features.conv1")
        assert torch.equal(tensor, given[name] if is_convolution else fresh[name]), name
    assert not torch.equal(given["features.conv1.weight"], fresh["features.conv1.weight"])
    assert torch.equal(after["features.conv1.weight"], given["features.conv1.weight"])


def test_a_seed_changes_weights_and_order(data: Prepared, tmp_path: Path) -> None:
    first, _ = weights_after(data, tmp_path / "first")
    other, _ = weights_after(data, tmp_path / "other", seed=1)
    assert not torch.equal(first["classes.weight"], other["classes.weight"])
    rows = [read_log(tmp_path / name / "fold-1") for name in ("first", "other")]
    assert rows[0] != rows[1]
