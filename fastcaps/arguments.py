"""Checks of arguments: every error names the argument, what was expected and what was given."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = [
    "DTYPES",
    "SOFTMAX_OVER",
    "autocast_is_on",
    "cast_for_autocast",
    "check_int",
    "check_like",
    "check_positive_int",
    "check_shape",
    "check_softmax_over",
    "check_tensor",
    "without_autocast",
]

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SOFTMAX_OVER = ("outputs", "inputs")

LARGEST_SIZE = 2**31 - 1
"""The kernels count in 32 bits."""

Size = int | str
"""A size that must match (int), or the name of one that may be anything from 1 up (str)."""


AUTOCAST_DEVICES = frozenset(
    kind for kind in ("cpu", "cuda", "xpu", "mps", "hpu") if torch.amp.is_autocast_available(kind)
)
"""Found once: compilers of some versions of PyTorch cannot ask."""


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is a dense tensor of one of :data:`DTYPES`."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in DTYPES:
        raise TypeError(f"{name}: expected one of {', '.join(map(str, DTYPES))}, got {value.dtype}")
    if value.layout != torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, torch.strided, got {value.layout}")


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


def check_int(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is an int."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")


def check_positive_int(name: str, value: int) -> None:
    """Raise TypeError unless ``value`` is an int, ValueError unless in 1 .. 2^31 - 1."""
    check_int(name, value)
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
    if value > LARGEST_SIZE:
        raise ValueError(f"{name}: expected at most {LARGEST_SIZE}, got {value}")


def check_softmax_over(value: object) -> None:
    """Raise ValueError unless ``value`` is "outputs" or "inputs"."""
    if not isinstance(value, str) or value not in SOFTMAX_OVER:
        raise ValueError(f'softmax_over: expected "outputs" or "inputs", got {value!r}')


def cast_for_autocast(tensor: Tensor) -> Tensor:
    """The tensor in autocast's dtype where autocast is on for its device, float64 as it is."""
    if tensor.dtype == torch.float64 or not autocast_is_on(tensor):
        return tensor
    return tensor.to(torch.get_autocast_dtype(tensor.device.type))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which the reference's sums are not cast down again."""
    if not autocast_is_on(tensor):
        return nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def autocast_is_on(tensor: Tensor) -> bool:
    """Whether autocast is on for the device of ``tensor``."""
    kind = tensor.device.type
    return kind in AUTOCAST_DEVICES and torch.is_autocast_enabled(kind)
