"""A fold of a run, opened to be looked into: its network, its test frames and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.augmentation import centre_crop
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.runs import read_predicted_run
from fastcaps.training.networks.network import CapsuleNetwork, Network
from fastcaps.training.prepared import Prepared, combined
from fastcaps.training.run_network import load_network, read_run
from fastcaps.training.run_settings import RunSettings
from fastcaps.training.targets import make_targets

__all__ = ["OpenedFold", "open_fold"]


@dataclass(frozen=True)
class OpenedFold:
    """A trained fold of a run, and the data that it was tested on.

    Attributes:
        run: the run's folder.
        number: of the fold, from 1.
        settings: of the run.
        network: as it was last saved, in evaluation.
        prepared: the run's data set.
        tested: scores and labels of the M test frames.
        rows: numbers of these frames in the data set, int64 [M].
    """

    run: Path
    number: int
    settings: RunSettings
    network: Network
    prepared: Prepared
    tested: Predictions
    rows: NDArray[np.int64]

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.settings.title or self.settings.network

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def capsules(self) -> CapsuleNetwork:
        """The network, if it is one of capsules.

        Raises:
            InputError: it is not.
        """
        if not isinstance(self.network, CapsuleNetwork):
            raise InputError(
                f"run: expected a network of capsules, got {self.settings.network} in {self.run}"
            )
        return self.network

    @property
    def drawing_capsules(self) -> CapsuleNetwork:
        """The network, if it is one of capsules whose decoder was trained.

        Raises:
            InputError: it is not.
        """
        network = self.capsules
        if self.settings.alpha == 0:
            raise InputError(
                f"run: expected a trained decoder, but {self.run} was trained with alpha = 0, "
                "without reconstruction"
            )
        return network

    def images(self, places: NDArray[np.int64]) -> Tensor:
        """The middles of some test frames, as the network sees them.

        Args:
            places: among the test frames, int64 [B], 0 .. M - 1.

        Returns:
            float32 [B, C, side, side] in 0 .. 1, on the network's device.
        """
        # Copied: the data set is mapped from a file that is open for reading.
        stored = torch.from_numpy(np.array(self.prepared.frames[self.rows[places]]))
        return centre_crop(stored.to(self.device), self.network.options.side)

    def labels(self, places: NDArray[np.int64]) -> Tensor:
        """Labels of some test frames, int8 [B, N]: 1 present, 0 absent, -1 unknown."""
        return torch.from_numpy(self.tested.labels[places]).to(self.device)


def open_fold(run: Path, prepared: Prepared, number: int, device: torch.device) -> OpenedFold:
    """Open a trained fold of a run with its data.

    Args:
        run: the run's folder.
        prepared: the data set that it was trained and tested on.
        number: of the fold, from 1.
        device: for the network.

    Raises:
        InputError: there is no such run or fold, it was not trained to its end, its files are
            damaged, or the data set is another one.
    """
    settings, data = read_run(run)
    if combined(prepared.meta["sha256"].values()) != data["sha256"]:
        raise InputError(
            f"data: {prepared.folder} is not the data set that {run} was trained on; "
            "expected that one, unchanged"
        )
    network = load_network(run, number).to(device)
    trained = read_predicted_run(run, [number]).folds[0]
    _, rows = make_targets(prepared, settings).rows_of(trained.fold, prepared)
    if len(rows) != len(trained.tested):
        raise InputError(
            f"{trained.folder}: expected predictions for the {len(rows)} test frames, "
            f"got {len(trained.tested)}; train the fold again"
        )
    return OpenedFold(run, number, settings, network, prepared, trained.tested, rows)
