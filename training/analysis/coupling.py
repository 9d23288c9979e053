"""Which primary capsules feed each class, as maps over the face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fastcaps import prediction_vectors
from fastcaps.losses import capsule_lengths
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["CouplingMaps", "coupling_maps"]


@dataclass(frozen=True)
class CouplingMaps:
    """Of B images, U primary capsules at each of H x W places, and N classes.

    Attributes:
        coefficients: the coupling coefficients of the last iteration, float32 [B, N, U, H, W].
        contributions: which part of the length of the class's sum each primary capsule makes, the
            sum's projection of c u_hat on its own direction; they add up to the sum's length,
            float32 [B, N, U, H, W]. Negative ones point away from it. The bias of the class is
            left out.
    """

    coefficients: Tensor
    contributions: Tensor


@torch.inference_mode()
def coupling_maps(network: CapsuleNetwork, images: Tensor) -> CouplingMaps:
    """How the primary capsules of some images are routed to the classes.

    Args:
        network: in evaluation.
        images: [B, C, side, side] in 0 .. 1.
    """
    layer, types = network.classes, network.primary.capsules
    u = network.primary_capsules(images)
    c = layer.coupling_coefficients(u)
    weighted = c[..., None] * prediction_vectors(u, layer.weight, backend=layer.backend)
    sums = weighted.sum(dim=1)
    lengths = capsule_lengths(sums)[..., None].clamp_min(torch.finfo(sums.dtype).tiny)
    contributions = torch.einsum("bind,bnd->bni", weighted, sums / lengths)
    side = math.isqrt(u.shape[1] // types)
    shape = (*c.transpose(1, 2).shape[:2], types, side, side)
    return CouplingMaps(
        c.transpose(1, 2).reshape(shape).float(), contributions.reshape(shape).float()
    )
