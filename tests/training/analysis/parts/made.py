"""What parts of a report are made of: people who show action units more and less, in any pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fastcaps.training.action_units import column
from fastcaps.training.analysis.ascent import AscentSettings
from fastcaps.training.analysis.context import Context
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.faces.landmarks import MEAN_FACE
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.run_settings import RunSettings
from tests.training.analysis.claims.made import random_truth
from tests.training.au_runs import TINY, TinyCapsNet, faces_with

__all__ = ["CLASSES", "FRAMES", "PEOPLE", "another_network", "made_context"]

UNITS = (1, 2, 10, 12)
CLASSES = tuple(map(column, UNITS))
PEOPLE, FRAMES = 8, 16
OPTIONS = NetworkOptions(len(UNITS), 96, channels=1)


def made_context(folder: Path, baseline: str | None = "ConvNet") -> Context:
    """Networks with random weights, whose scores in the files grow with intensity.

    Args:
        folder: where the data are made.
        baseline: another network, whose scores are chance.
    """
    random = np.random.default_rng(0)
    count = PEOPLE * FRAMES
    labels = (random.random((count, len(UNITS))) < 0.5).astype(np.int8)
    subjects = np.repeat([f"S{number}" for number in range(PEOPLE)], FRAMES)
    prepared = prepare_faces(faces_with(labels), labels, folder, subjects, action_units=UNITS)
    intensities = labels * random.integers(1, 6, labels.shape)
    for name, values in zip(CLASSES, intensities.T, strict=True):
        prepared.index[f"{name}_intensity"] = values
    noise = np.random.default_rng(1).normal(size=(count, 68, 2)).astype(np.float32)
    random_truth(prepared, MEAN_FACE + noise)
    scores = 0.1 + 0.1 * intensities + 0.4 * labels - 0.02 * random.random(labels.shape)
    tested = Predictions(
        classes=CLASSES,
        exclusive=False,
        subjects=subjects.astype(object),
        sequences=np.array([f"T{row % FRAMES // 4}" for row in range(count)], dtype=object),
        frames=np.arange(count),
        labels=labels,
        scores=scores.clip(0, 1).astype(np.float32),
    )
    torch.manual_seed(0)
    settings = RunSettings.from_dict({"network": TINY, "data_set": "other"})
    network = TinyCapsNet(OPTIONS).eval()
    fold = OpenedFold(folder / "run", 1, settings, network, prepared, tested, np.arange(count))
    other = None if baseline is None else another_network(fold, baseline)
    return Context(fold, other, AscentSettings(steps=2), resamples=40)


def another_network(fold: OpenedFold, name: str) -> OpenedFold:
    """With random weights and scores, on the same frames."""
    network: Network = make_network(name, OPTIONS).eval()
    scores = np.random.default_rng(2).random(fold.tested.scores.shape, dtype=np.float32)
    return replace(
        fold,
        network=network,
        settings=replace(fold.settings, network=name),
        tested=replace(fold.tested, scores=scores),
    )
