"""Measure which tiles suit a layer's Triton kernels on this GPU, and keep them for later runs.

Without it the tiles follow from sizes, dtype and compute capability alone
(``fastcaps.kernels.tiles``), which suits most layers. ``python -m fastcaps.tune --help`` does it
from the command line; results are kept for each GPU and Triton version in the file that
``FASTCAPS_TUNED`` names, else in ``~/.cache/fastcaps/tiles.json``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

from fastcaps import arguments
from fastcaps.backends import BackendError, why_not
from fastcaps.ops.precision import tf32_is_allowed

__all__ = ["tune"]

FORWARD = ("uniform_sums_kernel", "normalizer_kernel", "weighted_sums_kernel")
BACKWARD = ("input_gradients_kernel", "agreement_gradients_kernel", "weight_gradients_kernel")
REPEATS = 20

Seconds = Callable[[Callable[[], object]], float]
"""Times a call."""


def tune(
    u: Tensor,
    weight: Tensor,
    *,
    softmax_over: str = "outputs",
    seconds: Seconds | None = None,
) -> dict[str, tuple[int, ...]]:
    """Find and keep the fastest tile of every pass for tensors like these, forward and backward.

    What is found is kept kernel by kernel, so a run that is stopped loses only the last. It takes a
    few minutes, most of them compiling. Tiles that do not compile are passed over.

    Args:
        u: input capsules [B, N_in, D_in], B >= 1; random numbers will do.
        weight: [N_in, D_in, N_out, D_out].
        softmax_over: "outputs" or "inputs".
        seconds: how long a call takes; CUDA events where None.

    Returns:
        (samples, inputs, warps, stages) by kernel.

    Raises:
        BackendError: the Triton kernels cannot run on such tensors.
        ValueError, TypeError: as of :func:`fastcaps.routed_capsules`; or B is 0.
    """
    arguments.check_tensor("u", u)
    arguments.check_tensor("weight", weight)
    arguments.check_like("weight", weight, "u", u)
    arguments.check_shape("u", u, ("B", "N_in", "D_in"))
    arguments.check_shape("weight", weight, (u.shape[1], u.shape[2], "N_out", "D_out"))
    arguments.check_softmax_over(softmax_over)
    if u.shape[0] == 0:
        raise ValueError(f"u: expected at least one sample, got {list(u.shape)}")
    _, in_dim, outputs, dim = weight.shape
    reason = why_not("triton", "routed_capsules", u, D_in=in_dim, N_out=outputs, D_out=dim)
    if reason is not None:
        raise BackendError(f"tune: the Triton kernels cannot run here: {reason}")
    return _Tuner(u, weight, softmax_over == "inputs", seconds or event_seconds).tune()


class _Tuner:
    """One layer while its tiles are measured, one kernel after the other."""

    def __init__(self, u: Tensor, weight: Tensor, over_inputs: bool, seconds: Seconds) -> None:
        from fastcaps.kernels import plan, routed_capsules, tuned  # Triton is heavy, or absent

        self.plan, self.operator, self.tuned = plan, routed_capsules, tuned
        self.options = (3, over_inputs, False, tf32_is_allowed("triton"))
        self.layer = (u, weight, None, None)
        self.over_inputs = over_inputs
        self.seconds = seconds

    def tune(self) -> dict[str, tuple[int, ...]]:
        forward = tuple(x for x in FORWARD if not (self.over_inputs and x == "normalizer_kernel"))
        found = {}
        for kernel in (*forward, *BACKWARD):
            found[kernel] = self.best(kernel)
            print(f"{kernel}: {found[kernel]}", file=sys.stderr)
        return found

    def best(self, kernel: str) -> tuple[int, ...]:
        """Measure every tile of a kernel, and keep the fastest."""
        iterations, over_inputs, _, allow_tf32 = self.options
        plan = self.plan.plan_of(*self.layer, iterations, over_inputs, allow_tf32)
        key, computed = plan.tuning_key(kernel), plan.tile(kernel)
        call = self.call(backward=kernel in BACKWARD)
        times = {}
        try:
            for tile in dict.fromkeys((computed, *map(tuple, candidates(self.layer[0])))):
                self.tuned.TRIALS[key] = type(computed)(*tile)
                self.plan.forget_plans()
                try:
                    times[tile] = self.seconds(call)
                except Exception as error:  # Triton's errors, and its compiler's, share no base
                    print(f"{kernel} {tile}: {type(error).__name__}", file=sys.stderr)
        finally:
            self.tuned.TRIALS.pop(key, None)
            self.plan.forget_plans()
        fastest = type(computed)(*min(times, key=lambda tile: times[tile], default=computed))
        self.tuned.remember(self.layer[0].device, {key: fastest})
        self.plan.forget_plans()
        return tuple(fastest)

    def call(self, *, backward: bool) -> Callable[[], object]:
        """The forward pass, or the backward pass of one forward pass."""
        v, s, log_sum_exp = self.operator.forward(*self.layer, *self.options)
        if not backward:
            return lambda: self.operator.forward(*self.layer, *self.options)
        saved = (torch.ones_like(v), *self.layer, s, log_sum_exp)
        return lambda: self.operator.backward(*saved, *self.options, True, True)


def candidates(u: Tensor) -> Iterator[tuple[int, int, int, int]]:
    """Tiles to try: samples, inputs, warps, stages."""
    columns = 1 << (u.shape[2] - 1).bit_length()
    for samples, width, stages in product((16, 32, 64), (32, 64, 128), (2, 3)):
        yield samples, max(1, width // columns), 4, stages
    yield 128, max(1, 64 // columns), 8, 2


def event_seconds(call: Callable[[], object]) -> float:
    """Median seconds of a call on the GPU, replayed as a CUDA graph."""
    cuda: Any = torch.cuda  # not all of it is typed
    stream = cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    times = []
    for _ in range(REPEATS):
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def main(given: list[str] | None = None) -> None:
    """Read the command line and tune a layer of random numbers."""
    parser = argparse.ArgumentParser(
        prog="python -m fastcaps.tune", description=(__doc__ or "").partition("\n")[0]
    )
    for name in ("batch", "in-capsules", "in-dim", "out-capsules", "out-dim"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--softmax-over", choices=("outputs", "inputs"), default="outputs")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 products of float32")
    chosen = parser.parse_args(given)
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device")
    if chosen.tf32:
        torch.set_float32_matmul_precision("high")
    kind = {"dtype": getattr(torch, chosen.dtype), "device": "cuda"}
    u = torch.randn(chosen.batch, chosen.in_capsules, chosen.in_dim, **kind)
    weight = torch.randn(
        chosen.in_capsules, chosen.in_dim, chosen.out_capsules, chosen.out_dim, **kind
    )
    tune(u, weight / chosen.in_dim**0.5, softmax_over=chosen.softmax_over)


if __name__ == "__main__":
    main()
