"""SplitMix64 in whole numbers of Python, to compare with."""

from __future__ import annotations


def splitmix64(state: int, count: int) -> list[int]:
    """Steele, Lea and Flood (2014), figure 16, in whole numbers of Python."""
    outputs = []
    for step in range(1, count + 1):
        z = (state + step * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


def expected_numbers(seed: int, epoch: int, index: int, count: int) -> list[float]:
    state = 0
    for part in (seed, epoch, index):
        (state,) = splitmix64(state ^ part, 1)
    state -= 0x9E3779B97F4A7C15  # the first number is that of the state itself
    return [(bits >> 11) / 2**53 for bits in splitmix64(state, count)]
