"""Runs of seconds for tests of training: small data, a small network, and what runs must share."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastcaps.modules import CapsuleLinear, PrimaryCapsules
from fastcaps.training.au_run import train_run
from fastcaps.training.devices import Resources
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.networks.network import CapsuleNetwork, Decoder, NetworkOptions
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST
from fastcaps.training.run_folder import load_checkpoint
from fastcaps.training.run_settings import RunSettings

__all__ = [
    "SETTINGS",
    "STEPS_PER_EPOCH",
    "TINY",
    "TinyCapsNet",
    "assert_same",
    "faces_with",
    "final_state",
    "read_log",
    "small_data",
    "some_labels",
    "train",
]

TINY = "TinyCapsNet"
"""The name of :class:`TinyCapsNet` where a test puts it among the networks."""

SETTINGS: dict[str, Any] = {
    "network": TINY,
    "data_set": "tiny",
    "fold_count": 2,
    "epochs": 2,
    "batch_size": 5,
    "lr": 1e-3,
    "dropout": 0.3,
    "alpha": "auto",
    "test_each_epoch": True,
}
"""Of runs that take a second."""

STEPS_PER_EPOCH = 4
"""Of those runs on :func:`small_data`: batches of 5 of 20 frames."""

BLOCK = 8


class TinyCapsNet(CapsuleNetwork):
    """All that the large networks have, drop-out included, in milliseconds."""

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options)
        self.features = nn.Sequential()
        self.features.add_module("conv1", nn.Conv2d(options.channels, 8, 8, stride=8))
        self.features.add_module("dropout", nn.Dropout2d(options.dropout))
        self.primary = PrimaryCapsules(8, 4, 4, 3, stride=3)
        places = self.primary.output_capsules(options.side // 8, options.side // 8)
        self.classes = CapsuleLinear(places, 4, options.classes, 8)
        self.decoder = Decoder(options.classes * 8, options.channels, 4, options.side)

    def parts(self) -> dict[str, nn.Module]:
        """``conv1``, ``primary``, ``classes`` and ``decoder``."""
        return {
            "conv1": self.features.get_submodule("conv1"),
            "primary": self.primary,
            "classes": self.classes,
            "decoder": self.decoder,
        }


def some_labels(frames: int, classes: int, unknown: float = 0.0, seed: int = 0) -> NDArray[np.int8]:
    """Labels int8 [frames, classes]: 1, 0, and -1 for a part ``unknown`` of them."""
    random = np.random.default_rng(seed)
    labels = (random.random((frames, classes)) < 0.4).astype(np.int8)
    labels[random.random(labels.shape) < unknown] = -1
    return labels


def faces_with(
    labels: NDArray[np.int8], seed: int = 0, side: int = 32, noise: int = 60
) -> NDArray[np.uint8]:
    """Noise uint8 [N, side, side] with a bright block for each class present, in its own place."""
    random = np.random.default_rng(seed)
    faces = random.integers(0, noise, (len(labels), side, side), dtype=np.uint8)
    across = side // BLOCK
    for place in range(labels.shape[1]):
        top, left = BLOCK * (place // across), BLOCK * (place % across)
        faces[labels[:, place] == 1, top : top + BLOCK, left : left + BLOCK] += 150
    return faces


def small_data(
    folder: Path, shown: NDArray[np.int8] | None = None, labels: NDArray[np.int8] | None = None
) -> Prepared:
    """A prepared data set of 4 subjects, who take turns.

    Args:
        folder: where it is made.
        shown: what the faces show; by default 3 action units in 40 faces, of which some are
            unknown.
        labels: what the data set says that they show, by default the same.
    """
    shown = some_labels(40, 3, unknown=0.2) if shown is None else shown
    labels = shown if labels is None else labels
    subjects = [f"s{place % 4}" for place in range(len(labels))]
    units = (6, 12, 25)[: labels.shape[1]]
    return prepare_faces(faces_with(shown), labels, folder, subjects, action_units=units)


def train(prepared: Prepared, out: Path, **options: Any) -> None:
    """A run on the CPU, by default of the first fold only.

    Args:
        prepared: the data.
        out: the run's folder.
        options: those of ``train_run``; ``workers`` and ``save_seconds``, of its resources; and
            changes to :data:`SETTINGS`.
    """
    resources = Resources(device="cpu", progress=False)
    for name in ("workers", "save_seconds"):
        if name in options:
            resources = replace(resources, **{name: options.pop(name)})
    given = {"folds": options.pop("folds", (1,))}
    given |= {
        name: options.pop(name) for name in ("initial", "callbacks", "report") if name in options
    }
    settings = RunSettings.from_dict({**SETTINGS, **options})
    train_run(prepared, settings, out, resources=resources, **given)


def read_log(fold: Path) -> list[dict[str, float]]:
    """The lines of a fold's log, without times; nothing is left out but what is undefined."""
    with open(fold / "log.csv") as file:
        return [
            {name: float(value) for name, value in row.items() if value and name != "step_ms"}
            for row in csv.DictReader(file)
        ]


def final_state(fold: Path) -> dict[str, Any]:
    """What two runs of a fold must share: all but times."""
    checkpoint = load_checkpoint(fold / LAST)
    names = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    result = json.loads((fold / "result.json").read_text())
    predictions = {}
    for side in ("predictions", "training_predictions"):
        loaded = Predictions.load(fold / f"{side}.parquet")
        predictions[side] = [torch.from_numpy(loaded.scores), torch.from_numpy(loaded.labels)]
    return {
        **{name: checkpoint[name] for name in names},
        "log": read_log(fold),
        "fold": json.loads((fold / "fold.json").read_text()),
        "result": {name: result[name] for name in ("epochs", "parameters", "alpha")},
        "predictions": predictions,
    }


def assert_same(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """See that two runs ended the same to the last bit."""
    assert actual["fold"] == expected["fold"]
    without = [{k: v for k, v in state.items() if k != "fold"} for state in (actual, expected)]
    torch.testing.assert_close(*without, rtol=0, atol=0)
