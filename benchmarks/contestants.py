"""Who takes part in a race, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import fastcaps
from benchmarks import baselines
from benchmarks.baselines import Formulation
from benchmarks.shapes import Size
from fastcaps.functional import SoftmaxOver

__all__ = ["CONTESTANTS", "Contestant", "Layer"]

Layer = Callable[[Tensor, Tensor], Tensor]
"""From u [B, I, K] and weight [I, K, J, D] to v [B, J, D]."""


@dataclass(frozen=True)
class Contestant:
    """One way to run a capsule layer.

    Attributes:
        name: what reports call it.
        formulation: the baseline it runs; None for fastcaps itself.
        compiled: run it under ``torch.compile``.
        detached: treat the coupling coefficients as constants in the backward pass. Such
            contestants return another gradient, so they race among themselves.
        stored: the peak memory, as measured on a CPU, in multiples of the size of ``u_hat``:
            for a forward pass and for a forward and backward pass, each as ``(constant, per
            input dimension)``. It tells what would not fit before it is tried.
    """

    name: str
    formulation: Formulation | None = None
    compiled: bool = False
    detached: bool = False
    stored: tuple[tuple[float, float], tuple[float, float]] = ((0, 0), (0, 0))

    @property
    def is_fastcaps(self) -> bool:
        """Whether this is fastcaps and not an alternative to it."""
        return self.formulation is None

    def layer(self, iterations: int, softmax_over: SoftmaxOver, backend: str | None) -> Layer:
        """The function to time; ``backend`` concerns fastcaps only."""
        if self.formulation is None:
            return partial(
                fastcaps.routed_capsules,
                iterations=iterations,
                softmax_over=softmax_over,
                detach_routing=self.detached,
                backend=backend,
            )
        return partial(
            torch.compile(self.formulation, dynamic=False) if self.compiled else self.formulation,
            iterations=iterations,
            softmax_over=softmax_over,
            detached=self.detached,
        )

    def stored_bytes(self, size: Size, item_size: int, *, backward: bool, backend: str) -> int:
        """About how many bytes it takes at the peak beyond its inputs; 0 if far below ``u_hat``.

        ``backend`` is the one fastcaps chose: its reference stores what ``einsum`` stores.
        """
        einsum_instead = self.is_fastcaps and backend == "reference"
        stored = CONTESTANTS["einsum"].stored if einsum_instead else self.stored
        constant, per_dimension = stored[backward]
        return int((constant + per_dimension * size.in_dim) * size.u_hat * item_size)


CONTESTANTS: dict[str, Contestant] = {
    contestant.name: contestant
    for contestant in (
        Contestant("fastcaps"),
        Contestant("fastcaps detached", detached=True),
        Contestant("broadcast", baselines.broadcast, stored=((1, 1), (2, 2))),
        Contestant("einsum", baselines.einsum, stored=((1.4, 0), (4.5, 0))),
        Contestant(
            "broadcast compiled", baselines.broadcast, compiled=True, stored=((1.2, 0), (2.4, 0))
        ),
        Contestant("einsum compiled", baselines.einsum, compiled=True, stored=((1.2, 0), (3.3, 0))),
        Contestant("detached", baselines.einsum, detached=True, stored=((1.4, 0), (2.2, 0))),
        Contestant(
            "detached compiled",
            baselines.einsum,
            compiled=True,
            detached=True,
            stored=((1.2, 0), (1.3, 0)),
        ),
    )
}
