"""Opened folds of networks with random weights, and frames that show action units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import torch
from torch import Tensor

from fastcaps.training.analysis.claims.facial_parts import PartFrames, part_frames
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_settings import RunSettings
from fastcaps.training.synthetic.layouts.truth import SCHEMA, TRUTH
from tests.training.au_runs import SETTINGS
from tests.training.evaluation.made import random_predictions

__all__ = ["PicturesFold", "co_occurring", "opened", "random_truth", "write_truth"]


class PicturesFold(OpenedFold):
    """A fold of random pictures, which are in no file."""

    def images(self, places: np.ndarray) -> Tensor:
        """See :meth:`OpenedFold.images`."""
        options = self.network.options
        shape = (len(self.tested), options.channels, options.side, options.side)
        return torch.rand(shape, generator=torch.Generator().manual_seed(0))[places]


def opened(prepared: Prepared, name: str, side: int, frames: int, channels: int = 1) -> OpenedFold:
    """A network of three classes with random weights, and its frames."""
    torch.manual_seed(0)
    network = make_network(name, NetworkOptions(3, side, channels)).eval()
    settings = RunSettings.from_dict({**SETTINGS, "network": name})
    tested = random_predictions(0, ["S1"], frames)
    return PicturesFold(Path("run"), 1, settings, network, prepared, tested, np.arange(frames))


def co_occurring(
    people: int = 12,
    frames: int = 60,
    part: str = "mouth",
    seed: int = 0,
    units: tuple[int, ...] = (10, 12, 15, 17),
) -> PartFrames:
    """Frames of people who show action units together, as faces do.

    The first two of four come together more often than not; all are shown by everyone.
    """
    random = np.random.default_rng(seed)
    shown = random.random((people * frames, 4)) < 0.45
    shown[:, 1] = np.where(random.random(len(shown)) < 0.6, shown[:, 0], shown[:, 1])
    names = np.repeat([f"S{number:02d}" for number in range(people)], frames)
    return part_frames(part, units, shown[:, : len(units)].astype(np.int8), names)


def random_truth(prepared: Prepared, landmarks: np.ndarray) -> pd.DataFrame:
    """Write a truth of random numbers, with landmarks [N, 68, 2] of the first frames."""
    count = len(prepared.index)
    random = np.random.default_rng(0)
    truth = pd.DataFrame(
        {
            field.name: random.integers(0, 2, count)
            if pa.types.is_integer(field.type)
            else random.normal(size=count)
            for field in SCHEMA
        }
    )
    for name in ("subject", "sequence", "frame"):
        truth[name] = prepared.index[name].to_numpy()
    points = [f"{axis}{point}" for point in range(68) for axis in "xy"]
    truth.loc[: len(landmarks) - 1, points] = landmarks.reshape(len(landmarks), -1)
    write_truth(truth, prepared)
    return truth


def write_truth(truth: pd.DataFrame, prepared: Prepared) -> None:
    table = pa.Table.from_pandas(truth, SCHEMA, preserve_index=False)
    pyarrow.parquet.write_table(table, prepared.folder / TRUTH)
