"""``torch.func.vmap`` for the compiled operators: fold into the batch, else one call a sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["fold_into_batch", "loop_over_samples"]

Dims = tuple[int | None, ...]


def fold_into_batch(x: Tensor, dim: int) -> Tensor:
    """Merge the vmapped dimension with the batch: [.., N at dim, ..] -> [N * B, ...]."""
    return x.movedim(dim, 0).flatten(0, 1)


def loop_over_samples(
    operator: Callable[..., Any],
) -> Callable[..., tuple[Any, Any]]:
    """A vmap rule that calls ``operator`` once for every sample and stacks the results."""

    def rule(info: Any, in_dims: Dims, *args: Any) -> tuple[Any, Any]:
        results = [
            operator(
                *(
                    arg if dim is None else arg.select(dim, sample)
                    for arg, dim in zip(args, in_dims, strict=True)
                )
            )
            for sample in range(info.batch_size)
        ]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])

    return rule
