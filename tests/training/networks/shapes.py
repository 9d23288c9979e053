"""Shapes of what a network's layers give, without computing it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions

__all__ = ["decoder_shapes", "output_shapes", "parameter_counts", "without_numbers"]


def without_numbers(name: str, options: NetworkOptions) -> Network:
    """A network of shapes only: nothing is stored and nothing is computed."""
    with torch.device("meta"):
        return make_network(name, options)


def parameter_counts(network: Network) -> dict[str, int]:
    """How many parameters each part has."""
    return {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in network.parts().items()
    }


def output_shapes(network: nn.Module, layers: Sequence[str], images: Tensor) -> list[list[int]]:
    """The shapes that submodules of a network give, without that of the batch."""
    shapes: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        shapes[module] = list(output.shape[1:])

    modules = [network.get_submodule(name) for name in layers]
    hooks = [module.register_forward_hook(note) for module in modules]
    network(images)
    for hook in hooks:
        hook.remove()
    return [shapes[module] for module in modules]


def decoder_shapes(network: Network) -> list[list[int]]:
    """Of the decoder of a capsule network without numbers, for 12 classes: its three fully
    connected layers, the small picture, and the enlarged one."""
    decoder = network.get_submodule("decoder")
    capsules = torch.empty(2, 12 * 32, device="meta")
    return output_shapes(decoder, ["0", "2", "4", "5", "6"], capsules)
