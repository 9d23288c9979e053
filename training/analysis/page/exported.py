"""A decoder as text that a web page can hold: its weights in 8 bits, and what that costs."""

from __future__ import annotations

import base64
import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastcaps.losses import mask_capsules
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["exported_decoder", "packed", "rounded", "rounding_error"]

LARGEST_STEP = 127
WHITE = 255


def exported_decoder(network: CapsuleNetwork) -> dict[str, Any]:
    """All that a page needs to draw a network's reconstructions.

    The weights of each output are whole numbers -127 .. 127 and a scale, all else is float32:
    a quarter of float32's size; in pictures of trained networks less than half a grey level.

    Returns:
        What JSON can hold: ``layers``, each with the arrays ``weight`` int8 [outputs, inputs],
        ``scale`` and ``bias`` [outputs]; ``channels``, ``smallSide`` and ``side`` of the pictures;
        the arrays ``mean`` and ``std`` [channels, side, side]. For arrays see :func:`packed`.

    Raises:
        InputError: a weight is not finite.
    """
    for name, numbers in (network.decoder.state_dict() | network.standardise.state_dict()).items():
        if not torch.isfinite(numbers).all():
            raise InputError(f"network: expected finite weights, got others in {name} of a decoder")
    layers = []
    for layer in _linear_layers(network.decoder):
        steps, scale = rounded(layer.weight.detach())
        arrays = {"weight": steps, "scale": scale, "bias": layer.bias.detach().float()}
        layers.append({name: packed(array.cpu().numpy()) for name, array in arrays.items()})
    small = next(layer for layer in network.decoder if isinstance(layer, nn.Unflatten))
    return {
        "layers": layers,
        "channels": network.options.channels,
        "smallSide": small.unflattened_size[-1],
        "side": network.options.side,
        "mean": packed(network.standardise.mean.cpu().numpy()),
        "std": packed(network.standardise.std.cpu().numpy()),
    }


def packed(array: NDArray[np.int8] | NDArray[np.float32]) -> dict[str, str]:
    """An array as its ``type``, int8 or float32, and ``base64``, of its numbers in little-endian
    bytes, row by row."""
    little_endian = array.astype(array.dtype.newbyteorder("<"))
    return {
        "type": array.dtype.name,
        "base64": base64.b64encode(little_endian.tobytes()).decode("ascii"),
    }


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [outputs, inputs] in 8 bits: whole numbers int8 of the same shape, and the scales
    float32 [outputs] to multiply them by."""
    scale = weight.float().abs().amax(dim=1) / LARGEST_STEP
    steps = (weight.float() / scale.clamp_min(torch.finfo(scale.dtype).tiny)[:, None]).round()
    return steps.to(torch.int8), scale


@torch.inference_mode()
def rounding_error(network: CapsuleNetwork, v: Tensor, labels: Tensor) -> float:
    """How far reconstructions with weights in 8 bits are from the network's own.

    Args:
        network: whose decoder is exported.
        v: class capsules [B, N, D].
        labels: [B, N]: 1 for the classes to reconstruct from.

    Returns:
        The largest difference of a pixel, in grey levels.
    """
    decoder = copy.deepcopy(network.decoder)
    for layer in _linear_layers(decoder):
        steps, scale = rounded(layer.weight)
        layer.weight.copy_(steps * scale[:, None])
    masked = mask_capsules(v, labels).flatten(1)
    own, exported = (network.standardise.undo(draw(masked)) for draw in (network.decoder, decoder))
    return WHITE * float((own - exported).abs().max())


def _linear_layers(decoder: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in decoder if isinstance(layer, nn.Linear)]
