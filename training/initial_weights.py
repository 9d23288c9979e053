"""Where the convolutions of a network start from."""

from __future__ import annotations

from pathlib import Path

import torch

from fastcaps.training.errors import InputError
from fastcaps.training.folders import read_json
from fastcaps.training.folds import Fold
from fastcaps.training.networks.network import Network
from fastcaps.training.networks.vgg_weights import load_convolutions
from fastcaps.training.run_files import FOLD, RESULT
from fastcaps.training.run_network import network_weights, read_run
from fastcaps.training.run_settings import RunSettings

__all__ = ["check_initial", "check_source", "people_are_unknown", "set_initial_weights"]


def check_initial(settings: RunSettings, initial: Path | None) -> None:
    """See that a file of weights is given where one is needed, and only there.

    Raises:
        InputError: it is not so.
    """
    if settings.weights in ("vggface", "run") and initial is None:
        what = "a file of VGG-Face" if settings.weights == "vggface" else "a checkpoint of a run"
        raise InputError(f"initial: expected {what}, as weights is {settings.weights}, got none")
    if settings.weights == "random" and initial is not None:
        raise InputError(f"initial: expected none, as weights is random, got {initial}")


def check_source(settings: RunSettings, initial: Path | None, fold: Fold) -> None:
    """See that weights of another run do not know the people that a fold tests.

    Raises:
        InputError: that run was trained on some of them, or not to its end.
    """
    if settings.weights != "run" or initial is None or not (initial.parent / FOLD).exists():
        return
    if not (initial.parent / RESULT).exists():
        raise InputError(f"initial: {initial} was not trained to its end; train it first")
    source, _ = read_run(initial.parent.parent)
    seen = set(read_json(initial.parent / FOLD)["train_subjects"]) & set(fold.test_subjects)
    if source.data_set == settings.data_set and seen:
        raise InputError(
            f"initial: {initial} was trained on {', '.join(sorted(seen))}, which this fold "
            f"tests; take a run of another data set than {settings.data_set}"
        )


def people_are_unknown(settings: RunSettings, initial: Path | None) -> bool:
    """Whether weights of another run are outside its folder, which would tell whom they know."""
    return (
        settings.weights == "run" and initial is not None and not (initial.parent / FOLD).exists()
    )


def set_initial_weights(network: Network, settings: RunSettings, initial: Path | None) -> None:
    """Give the convolutions the weights that ``settings`` ask for.

    Args:
        network: freshly made; one on the meta device to see only whether the file can be used.
        settings: of the run.
        initial: the file with VGG's weights, or a checkpoint whose convolutions are taken.

    Raises:
        InputError: the file cannot be used for this network.
    """
    if settings.weights == "run":
        assert initial is not None
        _transfer(network, initial)
    elif settings.weights != "random":
        load_convolutions(network, settings.weights, initial)


def _transfer(network: Network, path: Path) -> None:
    """Take the convolutions, and what they need their images to be, of another run.

    DRML's region layer is one of them.
    """
    if not path.is_file():
        raise InputError(f"initial: there is no file {path}")
    weights = network_weights(path)
    # Names of a part within the network follow from its tensors.
    names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
    own = {
        names[id(tensor)]: tensor
        for part_name, part in network.parts().items()
        if part_name.startswith(("conv", "region"))
        for tensor in part.state_dict(keep_vars=True).values()
    }
    for name, tensor in own.items():
        found = weights.get(name)
        if found is None or found.shape != tensor.shape:
            given = "none" if found is None else str(list(found.shape))
            raise InputError(
                f"initial: expected {name} of shape {list(tensor.shape)} in {path}, "
                f"got {given}; take a run of the same network"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
