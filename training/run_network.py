"""The network of a run: what it is built for, and how it is found again in the run's folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.types_in_json import check_type
from fastcaps.training.folders import SETTINGS, read_json
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.prepared import Shape
from fastcaps.training.run_files import LAST, RESULT, fold_folder
from fastcaps.training.run_folder import load_checkpoint
from fastcaps.training.run_settings import HOG_SVM, RunSettings

__all__ = [
    "OBJECTIVE",
    "RunData",
    "RunDataOfIntensities",
    "load_network",
    "network_options",
    "network_weights",
    "read_run",
]


class RunData(TypedDict):
    """What the settings of a run say of its data; ``sha256`` is of all its files."""

    sha256: str
    frames: int
    classes: list[str]
    input_side: int
    colour: bool
    folds: int


class RunDataOfIntensities(RunData, total=False):
    """The same, with the intensity from which action units were prepared as present, where there
    are intensities and the settings do not choose another.
    """

    positive_from: int


OBJECTIVE = "objective"
"""The attribute of the trained module, hence how names of weights in checkpoints begin."""


def network_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights of the network in a run's checkpoint.

    Raises:
        InputError: it cannot be read or is not one of a run.
    """
    prefix = f"{OBJECTIVE}.network."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_checkpoint(checkpoint)["state_dict"].items()
        if name.startswith(prefix)
    }
    if not weights:
        raise InputError(f"checkpoint: {checkpoint} is not of a run of fastcaps-au")
    return weights


def network_options(settings: RunSettings, classes: int, shape: Shape) -> NetworkOptions:
    """What the network of a run is built for."""
    return NetworkOptions(
        classes=classes,
        side=shape.input_side,
        channels=3 if shape.colour else 1,
        exclusive=settings.target == "emotions",
        softmax_over=settings.softmax_over,
        capsule_bias=settings.capsule_bias,
        dropout=settings.dropout,
    )


def read_run(run: Path) -> tuple[RunSettings, RunData]:
    """What a run was started with: its settings, and what it says of its data.

    Raises:
        InputError: ``run`` is not the folder of a run.
    """
    if not (run / SETTINGS).exists():
        raise InputError(f"run: {run} is not the folder of a run; expected {SETTINGS} in it")
    found = read_json(run / SETTINGS)
    known = {field.name for field in fields(RunSettings)}
    if not known | {"data"} <= found.keys():
        raise InputError(f"run: {run} is not the folder of a run of fastcaps-au train")
    data: Any = found["data"]
    check_type(data, RunData, f"{run / SETTINGS}, data")
    return RunSettings.from_dict({name: found[name] for name in known}), data


def load_network(run: Path, number: int) -> Network:
    """The network of a fold as it was last saved, on the CPU, for evaluation.

    Args:
        run: the run's folder.
        number: of the fold, from 1.

    Raises:
        InputError: there is no such run, fold or network, the fold was not trained to its end, or
            the files do not fit each other.
    """
    settings, data = read_run(run)
    if settings.network == HOG_SVM:
        raise InputError(f"run: {run} has no network but {HOG_SVM}")
    shape = Shape(data["input_side"], data["colour"])
    network = make_network(settings.network, network_options(settings, len(data["classes"]), shape))
    folder = fold_folder(run, number)
    if not (folder / RESULT).exists():
        raise InputError(f"fold: {folder} was not trained to its end; train it first")
    checkpoint = folder / LAST
    try:
        network.load_state_dict(network_weights(checkpoint))
    except RuntimeError as error:
        raise InputError(f"checkpoint: {checkpoint} is of another network: {error}") from error
    return network.eval()
