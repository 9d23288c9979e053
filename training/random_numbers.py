"""Random numbers that are a function of their place alone, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_numbers"]


def random_numbers(seed: int, epoch: int, indices: Tensor, count: int) -> Tensor:
    """Uniform random numbers in [0, 1) that follow from seed, epoch and index alone.

    Hashing the three gives the start of a SplitMix64 sequence (Steele, Lea and Flood, 2014).

    Args:
        seed: of the run.
        epoch: from 0.
        indices: int64 [B].
        count: how many for each index; asking for more keeps the first ones.

    Returns:
        float64 [B, count], where ``indices`` lies.
    """
    state = torch.zeros_like(indices)
    for part in (seed, epoch, indices):
        state = _mix((state ^ part) + GOLDEN_RATIO)
    steps = torch.arange(count, device=indices.device) * GOLDEN_RATIO
    bits = _mix(state[:, None] + steps)
    return _shifted(bits, 64 - 53).double() * 2.0**-53


def _int64(bits: int) -> int:
    return bits - (1 << 64) if bits >= 1 << 63 else bits


GOLDEN_RATIO = _int64(0x9E3779B97F4A7C15)


def _mix(values: Tensor) -> Tensor:
    """SplitMix64's bijective hash of 64 bits; products wrap around."""
    values = (values ^ _shifted(values, 30)) * _int64(0xBF58476D1CE4E5B9)
    values = (values ^ _shifted(values, 27)) * _int64(0x94D049BB133111EB)
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, by: int) -> Tensor:
    """To the right, filled with zeros: ``>>`` alone repeats the sign."""
    return (values >> by) & ((1 << (64 - by)) - 1)
