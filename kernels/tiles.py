"""How the Triton kernels cut their work into tiles: pure functions of the sizes, no GPU needed.

The fused layer's programs hold one output capsule, so any number of them fits; routing on a
given ``u_hat`` holds all of them, which bounds ``N_out * D_out``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BLOCK_OUTPUTS",
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
"""Longest input capsule that matrix products hold."""
MAX_GRID = 65535
"""Programs along a grid's second or third axis."""
BLOCK_OUTPUTS = 64
"""Numbers of the outputs in a program of the uniform pass."""


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
        if N_out is not None and N_out > MAX_GRID:
            return f"its grids hold up to N_out = {MAX_GRID}, got N_out = {N_out}"
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
    kernel: str, batch: int, in_dim: int, dim: int, *, products: str, capability: int
) -> RoutingTile:
    """The tile of a kernel of ``kernels/passes.py``, or of the kernel that arranges u.

    64 samples are the rows of one Hopper tensor core instruction, which takes operands from shared
    memory; its columns are the numbers of the inputs, the more the fewer times vectors are loaded.
    Elsewhere, and for fewer samples, operands live in registers, which bounds both: by what the
    pass for dL/du keeps, by long vectors, and by exact float32, which splits operands in three.

    Args:
        kernel: the name of the kernel.
        batch, in_dim, dim: B, D_in and D_out.
        products: "half" for bfloat16 operands, "tf32", "terms" for float32 operands in two TF32
            terms, or "exact" for float32 in three products of TF32.
        capability: the device's major compute capability.
    """
    if kernel == "arrange_kernel":
        return _tile(16, ARRANGED_INPUTS, in_dim, stages=1)
    if capability == HOPPER and batch > 32 and dim <= 32 and products != "exact":
        samples, columns, stages = ON_HOPPER["half" if products == "half" else "tf32"][kernel]
    else:
        samples, columns, stages = _in_registers(kernel, dim, products, capability)
    return _tile(min(samples, max(MIN_DOT, next_power_of_2(batch))), columns, in_dim, stages)


ON_HOPPER = {
    "half": {
        "uniform_sums_kernel": (64, 128, 3),
        "normalizer_kernel": (64, 64, 3),
        "coefficients_kernel": (64, 64, 3),
        "weighted_sums_kernel": (64, 128, 3),
        "input_gradients_kernel": (64, 32, 3),
        "agreement_gradients_kernel": (64, 128, 3),
        "weight_gradients_kernel": (64, 128, 2),
    },
    "tf32": {
        "uniform_sums_kernel": (32, 128, 2),
        "normalizer_kernel": (64, 64, 3),
        "coefficients_kernel": (64, 64, 3),
        "weighted_sums_kernel": (64, 128, 2),
        "input_gradients_kernel": (64, 32, 3),
        "agreement_gradients_kernel": (64, 64, 3),
        "weight_gradients_kernel": (64, 64, 2),
    },
}
"""Samples, columns and stages that were fastest on an H100 for 8 -> 12x32 and 8 -> 10x16, of those
whose registers do not spill."""


def _in_registers(kernel: str, dim: int, products: str, capability: int) -> tuple[int, int, int]:
    """Samples, columns and stages where the matrix products' operands are in registers."""
    if products == "exact" or dim > 32:
        return (16 if "gradients" in kernel else 32), 32, 2
    if kernel == "weight_gradients_kernel":
        small = products == "terms" or (products == "half" and capability < HOPPER)
        return (32, 32, 2) if small else (64, 64, 2)
    return 64, 32, 2


def _tile(samples: int, columns: int, in_dim: int, stages: int) -> RoutingTile:
    """The tile with so many columns, or with the fewest that there can be."""
    inputs = max(1, columns // next_power_of_2(in_dim))
    return RoutingTile(samples, inputs, warps=4, stages=stages)


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
    wanted = min(wanted, max(MOST_SLICES, inputs // 48), MAX_GRID)
    length = -(-input_tiles // min(wanted, input_tiles)) * tile.inputs
    return -(-inputs // length), length


SLICE_PROGRAMS = 2
"""Programs for each multiprocessor that slices make up for, where samples do not."""
MOST_SLICES = 16
"""Slices of few inputs; of many, one for 48, so that their sums are some 2% of u_hat."""
ARRANGED_INPUTS = 128
"""Numbers of the inputs that are arranged together: the columns of the widest tile."""
