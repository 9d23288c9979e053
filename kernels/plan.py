"""How the fused layer's kernels are cut and launched for given sizes, and the room they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
import triton
from torch import Tensor

from fastcaps.kernels import tiles, tuned
from fastcaps.kernels.combine import combine_gradients_kernel, combine_kernel, replay_kernel
from fastcaps.kernels.launch import Launcher, capability, processors
from fastcaps.kernels.precision import EXACT, TWO_TERMS, dot_operand, routing_precision

__all__ = ["Plan", "forget_plans", "plan_of"]


@dataclass(frozen=True)
class Plan:
    """How the passes of a layer of these sizes are cut and launched, on one device."""

    device: torch.device
    dtype: torch.dtype
    precision: str
    batch: int
    inputs: int
    in_dim: int
    outputs: int
    dim: int
    iterations: int
    over_inputs: bool
    has_bias: bool
    has_prior: bool
    launchers: dict[tuple[object, ...], Launcher] = field(default_factory=dict, compare=False)
    chosen_tiles: dict[str, tiles.RoutingTile] = field(default_factory=dict, compare=False)

    def run(
        self, kernel: triton.JITFunction, grid: tuple[int, ...], *args: object, **flags: int
    ) -> None:
        """Launch a kernel of ``kernels/passes.py`` or ``kernels/combine.py`` on these arguments."""
        key = (kernel.__name__, *flags.values())
        launcher = self.launchers.get(key)
        if launcher is None:
            constants = self.constants(kernel.__name__) | flags
            wanted = {*kernel.arg_names, "num_warps", "num_stages", "maxnreg"}
            constants = {name: x for name, x in constants.items() if name in wanted}
            launcher = self.launchers[key] = Launcher(kernel, **constants)
        launcher((*grid, 1, 1)[:3], *args)

    def constants(self, kernel: str) -> dict[str, object]:
        """The compile-time arguments of a kernel that follow from the plan."""
        shared = {
            "J": self.outputs,
            "D": self.dim,
            "HAS_BIAS": self.has_bias,
            "HAS_PRIOR": self.has_prior,
            "OVER_INPUTS": self.over_inputs,
        }
        if kernel in ROW_KERNELS:
            return shared | {"ROWS": self.rows, "WIDE": tiles.next_power_of_2(self.dim)}
        tile = self.tile(kernel)
        return shared | {
            "K": self.in_dim,
            "PADDED_K": tiles.next_power_of_2(self.in_dim),
            "PADDED_D": max(tiles.next_power_of_2(self.dim), tiles.MIN_DOT),
            "BLOCK_B": tile.samples,
            "BLOCK_I": tile.inputs,
            "ARRANGED_I": self.arranged_inputs,
            "BLOCK_OUTPUTS": self.block_outputs,
            "OPERAND": dot_operand(self.dtype),
            "PRECISION": self.precision,
            # The assembler would rather spill a word than run one program fewer.
            "maxnreg": None if self._on_hopper and self.products != "exact" else 255,
            "num_warps": tile.warps,
            "num_stages": tile.stages,
        }

    def tile(self, kernel: str) -> tiles.RoutingTile:
        """The tile of a pass over the inputs: as tuned on this device, else as computed."""
        if kernel not in self.chosen_tiles:
            known = tuned.lookup(self.device, self.tuning_key(kernel))
            tile = known or tiles.routing_tile(
                kernel,
                self.batch,
                self.in_dim,
                self.dim,
                products=self.products,
                capability=capability(self.device),
            )
            inputs = min(tile.inputs, self.arranged_inputs)
            self.chosen_tiles[kernel] = tile._replace(inputs=inputs)
        return self.chosen_tiles[kernel]

    @property
    def _on_hopper(self) -> bool:
        return capability(self.device) == tiles.HOPPER

    @property
    def products(self) -> str:
        """How matrix products are taken, as :func:`tiles.routing_tile` calls it."""
        if self.dtype == torch.bfloat16:
            return "half"
        return {EXACT: "exact", TWO_TERMS.value: "terms"}.get(self.precision, "tf32")

    def tuning_key(self, kernel: str) -> str:
        """What a tile is tuned for."""
        over = "inputs" if self.over_inputs else "outputs"
        return (
            f"{kernel} over {over}: {self.dtype} {self.precision}, B={self.batch}, "
            f"{self.inputs}x{self.in_dim} -> {self.outputs}x{self.dim}"
        )

    @cached_property
    def arranged_inputs(self) -> int:
        """Inputs whose numbers are arranged together: at least those of a tile."""
        widest = max(1, tiles.ARRANGED_INPUTS // tiles.next_power_of_2(self.in_dim))
        needed = max(tiles.next_power_of_2(self.inputs), tiles.MIN_DOT)
        return min(widest, needed)

    @cached_property
    def block_outputs(self) -> int:
        """Numbers of the outputs in a program of the uniform pass."""
        numbers = tiles.next_power_of_2(self.outputs * self.dim)
        return min(tiles.BLOCK_OUTPUTS, max(tiles.MIN_DOT, numbers))

    @cached_property
    def rows(self) -> int:
        """Rows of s in a program of ``kernels/combine.py``."""
        return tiles.rows_per_program(self.dim)

    @cached_property
    def row_grid(self) -> tuple[int]:
        """The grid over the rows of s."""
        return (triton.cdiv(self.batch * self.outputs, self.rows),)

    def input_tiles(self, kernel: str) -> int:
        """Tiles of the inputs."""
        return triton.cdiv(self.inputs, self.tile(kernel).inputs)

    def by_input(self, kernel: str) -> tuple[int]:
        """The grid over tiles of samples, and of inputs within each."""
        return (self.input_tiles(kernel) * triton.cdiv(self.batch, self.tile(kernel).samples),)

    def by_output(self, kernel: str) -> tuple[tuple[int, int, int], int]:
        """The grid over tiles of samples, outputs and slices of the inputs; inputs of a slice."""
        return self._sliced(kernel, self.outputs)

    def by_number(self, kernel: str) -> tuple[tuple[int, int, int], int]:
        """The same over tiles of the outputs' numbers, whichever output they belong to."""
        return self._sliced(kernel, triton.cdiv(self.outputs * self.dim, self.block_outputs))

    def _sliced(self, kernel: str, blocks: int) -> tuple[tuple[int, int, int], int]:
        tile = self.tile(kernel)
        slices, length = tiles.slices(
            self.batch, self.inputs, blocks, tile, processors(self.device)
        )
        return (triton.cdiv(self.batch, tile.samples), blocks, slices), length

    def numbers(self, *size: int) -> Tensor:
        """Uninitialised float32 numbers."""
        return torch.empty(size, dtype=torch.float32, device=self.device)

    def arranged(self) -> Tensor:
        """Room for u as its tiles' columns, in its dtype, with what pads them."""
        blocks = triton.cdiv(self.inputs, self.arranged_inputs)
        columns = blocks * self.arranged_inputs * tiles.next_power_of_2(self.in_dim)
        return torch.empty(self.batch, columns, dtype=self.dtype, device=self.device)

    def vectors(self, *size: int) -> Tensor:
        """[..., B, J, D]."""
        return self.numbers(*size, self.batch, self.outputs, self.dim)

    def over_outputs(self, *size: int) -> Tensor:
        """[..., B, I] of a softmax over outputs; empty over inputs."""
        return self.numbers(*size, *((0,) if self.over_inputs else (self.batch, self.inputs)))

    def log_sum_exp(self) -> Tensor:
        """[R, B, J, 2] of a softmax over inputs; empty over outputs."""
        size = (self.iterations, self.batch, self.outputs, 2)
        return self.numbers(*(size if self.over_inputs else (0,)))

    def of_iteration(self, log_sum_exp: Tensor, t: int) -> Tensor:
        """log_sum_exp [B, J, 2] of an iteration; over outputs there is none."""
        return log_sum_exp[t] if self.over_inputs else log_sum_exp


ROW_KERNELS = {x.__name__ for x in (combine_kernel, replay_kernel, combine_gradients_kernel)}

_plan = lru_cache(maxsize=512)(Plan)


def plan_of(
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    prior: Tensor | None,
    iterations: int,
    over_inputs: bool,
    allow_tf32: bool,
) -> Plan:
    """The plan for these tensors and options; kept, with its compiled kernels."""
    return _plan(
        u.device,
        u.dtype,
        routing_precision(u.dtype, allow_tf32=allow_tf32),
        *u.shape,
        *weight.shape[2:],
        iterations,
        over_inputs,
        bias is not None,
        prior is not None,
    )


def forget_plans() -> None:
    """Plan anew, as after tuning."""
    _plan.cache_clear()
