"""Checks of arguments: every error names the argument, what was expected and what was given."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = [
    "DTYPES",
    "SOFTMAX_OVER",
    "cast_for_autocast",
    "check_like",
    "check_positive_int",
    "check_shape",
    "check_softmax_over",
    "check_tensor",
    "without_autocast",
]

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SOFTMAX_OVER = ("outputs", "inputs")

Size = int | str
"""A size that must match (int), or the name of one that may be anything from 1 up (str)."""


AUTOCAST_DEVICES = frozenset(
    kind for kind in ("cpu", "cuda", "xpu", "mps", "hpu") if torch.amp.is_autocast_available(kind)
)
"""Found once: compilers of some versions of PyTorch cannot ask."""


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is a tensor of one of :data:`DTYPES`."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in DTYPES:
        raise TypeError(f"{name}: expected one of {', '.join(map(str, DTYPES))}, got {value.dtype}")


def check_like(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Raise unless ``value`` has the dtype (TypeError) and device (ValueError) of ``other``."""
    if value.dtype != other.dtype:
        raise TypeError(f"{name}: expected {other.dtype} like {other_name}, got {value.dtype}")
    if value.device != other.device:
        raise ValueError(
            f"{name}: expected device {other.device} like {other_name}, got {value.device}"
        )


def check_shape(name: str, value: Tensor, expected: tuple[Size, ...]) -> None:
    """Raise ValueError unless ``value`` has this rank and these sizes.

    A named size may be anything from 1 up, except the batch "B", which may be 0.
    """
    fits = value.dim() == len(expected) and all(
        (size >= 1 or want == "B") if isinstance(want, str) else size == want
        for size, want in zip(value.shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(size) for size in expected)
        raise ValueError(
            f"{name}: expected shape [{wanted}] with named sizes >= 1 (B may be 0), "
            f"got {list(value.shape)}"
        )


def check_positive_int(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is an int, ValueError unless it is at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")


def check_softmax_over(value: object) -> None:
    """Raise ValueError unless ``value`` is "outputs" or "inputs"."""
    if value not in SOFTMAX_OVER:
        raise ValueError(f'softmax_over: expected "outputs" or "inputs", got {value!r}')


def cast_for_autocast(tensor: Tensor) -> Tensor:
    """The tensor in autocast's dtype where autocast is on for its device, float64 as it is."""
    if tensor.dtype == torch.float64 or not _autocast_is_on(tensor):
        return tensor
    return tensor.to(torch.get_autocast_dtype(tensor.device.type))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which the reference's sums are not cast down again."""
    if not _autocast_is_on(tensor):
        return nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def _autocast_is_on(tensor: Tensor) -> bool:
    kind = tensor.device.type
    return kind in AUTOCAST_DEVICES and torch.is_autocast_enabled(kind)
