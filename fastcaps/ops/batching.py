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
        if info.batch_size == 0:
            args = tuple(map(_one_sample, args, in_dims))
        results = [
            operator(
                *(
                    arg if dim is None else arg.select(dim, sample)
                    for arg, dim in zip(args, in_dims, strict=True)
                )
            )
            for sample in range(max(info.batch_size, 1))
        ]
        if isinstance(results[0], Tensor):
            return torch.stack(results)[: info.batch_size], 0
        stacked = (torch.stack(x)[: info.batch_size] for x in zip(*results, strict=True))
        return tuple(stacked), (0,) * len(results[0])

    return rule


def _one_sample(arg: Any, dim: int | None) -> Any:
    """One sample of zeros in the place of none, which tells the results' shapes."""
    return arg if dim is None else arg.new_zeros((*arg.shape[:dim], 1, *arg.shape[dim + 1 :]))
