"""What a network takes of another run."""

from __future__ import annotations

from pathlib import Path

import torch

from fastcaps.training.initial_weights import set_initial_weights
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.run_network import OBJECTIVE
from fastcaps.training.run_settings import RunSettings


def test_drml_takes_the_region_layer_with_its_convolutions(tmp_path: Path) -> None:
    """The later convolutions were learned behind it."""
    network = make_network("DRML", NetworkOptions(classes=2, side=96, channels=1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    wanted = {
        name: tensor + 1
        for name, tensor in before.items()
        if name.startswith(("layers.conv", "layers.region")) and tensor.is_floating_point()
    }
    counts = {
        name: tensor + 1 for name, tensor in before.items() if name.endswith("num_batches_tracked")
    }
    state = {f"{OBJECTIVE}.network.{name}": part for name, part in (wanted | counts).items()}
    torch.save({"state_dict": state}, tmp_path / "other.ckpt")
    settings = RunSettings(network="DRML", weights="run")
    set_initial_weights(network, settings, tmp_path / "other.ckpt")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, (wanted | counts).get(name, before[name])), name
    assert {"layers.region.conv.weight", "layers.region.norm.running_mean"} <= wanted.keys()
