"""Losses that are no numbers: the run stops, keeps the batch, and its last checkpoint is good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch

from fastcaps.training.batches import Shuffled
from fastcaps.training.errors import InputError
from fastcaps.training.finite import BAD_BATCH
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST
from fastcaps.training.run_folder import load_checkpoint
from tests.training.au_runs import (
    SETTINGS,
    STEPS_PER_EPOCH,
    assert_same,
    final_state,
    small_data,
    train,
)

pytestmark = pytest.mark.usefixtures("tiny_network")


class Poison(lightning.Callback):
    """Makes a weight NaN before a step, counted from 0 over all epochs."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """Do so if it is time."""
        if trainer.global_step == self.step:
            with torch.no_grad():
                pl_module.network.classes.weight.view(-1)[0] = float("nan")


class PoisonGradient(lightning.Callback):
    """Makes a gradient NaN at a step, the loss of which is finite."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_after_backward(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Do so if it is time."""
        if trainer.global_step == self.step:
            pl_module.network.classes.weight.grad.view(-1)[0] = float("nan")


def assert_kept(fold: Path, steps: int) -> None:
    """The last checkpoint has seen so many steps, and is finite; there is none of no step."""
    if not steps:
        assert not (fold / LAST).exists()
        return
    checkpoint = load_checkpoint(fold / LAST)
    assert checkpoint["global_step"] == steps
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return small_data(tmp_path_factory.mktemp("data") / "data")


@pytest.mark.parametrize(
    ("step", "save_seconds", "kept"),
    [(2, 0.0, 2), (2, 60.0, 0), (5, 60.0, 4), (7, 0.0, 7), (3, 0.0, 3), (0, 0.0, 0)],
)
def test_a_loss_that_is_no_number_stops_the_run(
    data: Prepared, tmp_path: Path, step: int, save_seconds: float, kept: int
) -> None:
    """``kept`` is how many steps the last checkpoint has seen."""
    epoch, batch = divmod(step, STEPS_PER_EPOCH)
    fold = tmp_path / "run" / "fold-1"
    message = rf"^loss: .* got nan in epoch {epoch + 1}, batch {batch + 1}; that batch is in .*npz"
    with pytest.raises(InputError, match=message):
        train(data, fold.parent, save_seconds=save_seconds, callbacks=[Poison(step)])
    assert not (fold / "result.json").exists()

    rows = np.flatnonzero(data.index["subject"].isin(["s1", "s3"]))
    order = Shuffled(rows, SETTINGS["batch_size"], seed=0)
    order.start_at(epoch, batch)
    with np.load(fold / BAD_BATCH) as kept_batch:
        np.testing.assert_array_equal(kept_batch["rows"], next(iter(order)))
        np.testing.assert_array_equal(kept_batch["frames"], data.frames[kept_batch["rows"]])
        np.testing.assert_array_equal(kept_batch["labels"], data.labels[kept_batch["rows"]])
        assert (kept_batch["epoch"], kept_batch["batch"]) == (epoch, batch)
        assert np.isnan(kept_batch["loss"])

    assert_kept(fold, kept)


def test_a_run_can_go_on_from_before_it(data: Prepared, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^loss: "):
        train(data, tmp_path / "stopped", save_seconds=0.0, callbacks=[Poison(6)])
    train(data, tmp_path / "stopped")
    train(data, tmp_path / "whole")
    assert_same(*(final_state(tmp_path / name / "fold-1") for name in ("stopped", "whole")))


@pytest.mark.parametrize(("step", "save_seconds", "kept"), [(2, 0.0, 2), (3, 0.0, 3), (3, 60.0, 0)])
def test_a_gradient_that_is_no_number_stops_the_run(
    data: Prepared, tmp_path: Path, step: int, save_seconds: float, kept: int
) -> None:
    epoch, batch = divmod(step, STEPS_PER_EPOCH)
    fold = tmp_path / "run" / "fold-1"
    message = rf"^gradient's norm: .* got nan in epoch {epoch + 1}, batch {batch + 1};"
    with pytest.raises(InputError, match=message):
        train(data, fold.parent, save_seconds=save_seconds, callbacks=[PoisonGradient(step)])
    with np.load(fold / BAD_BATCH) as kept_batch:
        assert (kept_batch["epoch"], kept_batch["batch"]) == (epoch, batch)
        assert np.isfinite(kept_batch["loss"])
    assert_kept(fold, kept)
