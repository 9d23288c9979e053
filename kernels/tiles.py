"""How the Triton kernels cut their work into tiles: pure functions of the sizes, no GPU needed.

The fused layer's programs hold one output capsule, so any number of them fits; routing on a
given ``u_hat`` holds all of them, which bounds ``N_out * D_out``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "MIN_DOT",
    "RoutingTile",
    "next_power_of_2",
    "routing_tile",
    "rows_per_program",
    "slices",
    "why_not",
]

MIN_DOT = 16
"""Smallest size of a matrix product's operands on tensor cores, in Triton."""

MAX_VECTOR = 4096
"""Longest vector that squash holds in one program."""
MAX_LAYER = 1024
"""Largest N_out * D_out, each rounded up to a power of two, that routing on u_hat holds."""
MAX_DIM = 128
"""Longest output capsule that the fused layer holds."""
MAX_IN_DIM = 64


def next_power_of_2(number: int) -> int:
    """The smallest power of two at or above ``number`` (1 for 0)."""
    return 1 << max(number - 1, 0).bit_length()


def why_not(
    operator: str, *, D_in: int | None = None, N_out: int | None = None, D_out: int | None = None
) -> str | None:
    """None if the tiles of ``operator`` hold these sizes, else what would fit."""
    if operator == "squash":
        return _too_long(D_out, MAX_VECTOR)
    if D_in is not None and D_in > MAX_IN_DIM:
        return f"its tiles hold up to D_in = {MAX_IN_DIM}, got D_in = {D_in}"
    if operator in ("routed_capsules", "coupling_coefficients"):
        return _too_long(D_out, MAX_DIM)
    if operator == "dynamic_routing" and N_out is not None and D_out is not None:
        return _too_large(N_out, D_out)
    return None


def _too_long(dim: int | None, longest: int) -> str | None:
    if dim is None or dim <= longest:
        return None
    return f"its tiles hold vectors of up to {longest} numbers, got D_out = {dim}"


def _too_large(outputs: int, dim: int) -> str | None:
    if next_power_of_2(outputs) * next_power_of_2(dim) <= MAX_LAYER:
        return None
    fitting = MAX_LAYER // next_power_of_2(dim)
    nearest = f"N_out <= {fitting}" if fitting else f"D_out <= {MAX_LAYER}"
    return (
        f"its tiles hold N_out x D_out up to {MAX_LAYER} with both rounded up to powers of "
        f"two, got {outputs} x {dim}; the nearest that fits has {nearest}"
    )


class RoutingTile(NamedTuple):
    """What one program of a pass over the inputs holds at a time."""

    samples: int
    inputs: int
    warps: int
    stages: int


HOPPER = 9
"""Major compute capability of the H100 and H200."""


def routing_tile(
    kernel: str, batch: int, in_dim: int, dim: int, *, exact: bool, half: bool, capability: int
) -> RoutingTile:
    """The tile of a kernel of ``kernels/passes.py``.

    64 samples are the rows of one Hopper tensor core instruction, and its columns the numbers of
    the inputs; both shrink where registers would spill: the pass for dL/du keeps most sums, long
    vectors take as many again, and ``exact`` float32 splits every operand in three.

    Args:
        kernel: the name of the kernel.
        batch, in_dim, dim: B, D_in and D_out.
        exact: products in float32 rather than TF32 or a half type.
        half: the tensors are bfloat16 or float16.
        capability: the device's major compute capability.
    """
    gradient = kernel in ("input_gradients_kernel", "weight_gradients_kernel")
    samples, columns = 64, 64
    if kernel == "input_gradients_kernel":
        columns = 32
    if exact and kernel == "weight_gradients_kernel":
        samples = 32
    if exact and capability != HOPPER:
        samples, columns = 16 if gradient else 32, 32
    if dim > 32:
        samples, columns = min(samples, 32), 32
    samples = min(samples, max(MIN_DOT, next_power_of_2(batch)))
    ahead = half and capability == HOPPER and kernel != "weight_gradients_kernel"
    inputs = max(1, columns // next_power_of_2(in_dim), MIN_DOT // next_power_of_2(in_dim))
    return RoutingTile(samples, inputs, warps=4, stages=3 if ahead else 2)


def rows_per_program(dim: int) -> int:
    """Rows of s that a program of ``kernels/combine.py`` takes."""
    return max(1, 128 // next_power_of_2(dim))


def slices(
    batch: int, inputs: int, outputs: int, tile: RoutingTile, processors: int
) -> tuple[int, int]:
    """How many slices the inputs are cut into, and how many inputs each has.

    Enough programs to fill every multiprocessor a few times; slices are whole tiles.
    """
    programs = -(-batch // tile.samples) * outputs
    input_tiles = -(-inputs // tile.inputs)
    wanted = max(1, SLICE_PROGRAMS * processors // programs)
    length = -(-input_tiles // min(wanted, input_tiles)) * tile.inputs
    return -(-inputs // length), length


SLICE_PROGRAMS = 4
"""Programs for each multiprocessor that slices make up for, where samples do not."""
