"""Which backend runs a call: one predicate each, silent when choosing, loud when told.

A predicate returns ``None`` if its backend can run an operator on these tensors, else the
reason why not, as a sentence. ``backend=None`` takes the first of :data:`BACKENDS` that can.
A backend named by the caller, or by the environment variable ``FASTCAPS_BACKEND`` (read
when fastcaps is imported), must run or raises :class:`BackendError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from torch import Tensor

from fastcaps.ops import library

__all__ = ["BACKENDS", "BackendError", "choose_backend", "why_not"]


class BackendError(RuntimeError):
    """A backend was asked for by name and cannot run this call."""


def can_run_cuda(operator: str, tensor: Tensor) -> str | None:
    """None if the CUDA C++ kernels can run ``operator`` on tensors like this one, else why not."""
    if not tensor.is_cuda:
        return f"it runs on CUDA tensors, and this one is on {tensor.device}"
    return _why_not_compiled(operator, "CUDA")


def can_run_triton(operator: str, tensor: Tensor) -> str | None:
    """None if the Triton kernels can run ``operator`` on tensors like this one, else why not."""
    if not tensor.is_cuda:
        return f"it runs on CUDA tensors, and this one is on {tensor.device}"
    return f"this version of fastcaps has no Triton kernel for {operator}"


def can_run_cpu(operator: str, tensor: Tensor) -> str | None:
    """None if the CPU kernels can run ``operator`` on tensors like this one, else why not."""
    if tensor.device.type != "cpu":
        return f"it runs on CPU tensors, and this one is on {tensor.device}"
    return _why_not_compiled(operator, "CPU")


def can_run_reference(operator: str, tensor: Tensor) -> str | None:
    """The reference runs everywhere."""
    return None


BACKENDS: dict[str, Callable[[str, Tensor], str | None]] = {
    "cuda": can_run_cuda,
    "triton": can_run_triton,
    "cpu": can_run_cpu,
    "reference": can_run_reference,
}

ENVIRONMENT_CHOICE = os.environ.get("FASTCAPS_BACKEND") or None


def why_not(backend: str, operator: str, tensor: Tensor, *, origin: str = "backend") -> str | None:
    """None if ``backend`` can run ``operator`` on tensors like this one, else the reason.

    Raises:
        ValueError: ``backend`` is not the name of a backend; ``origin`` is named in the message.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"{origin}: expected one of {', '.join(BACKENDS)} or None, got {backend!r}"
        )
    return BACKENDS[backend](operator, tensor)


def choose_backend(backend: str | None, operator: str, tensor: Tensor) -> str:
    """The backend to run ``operator`` with on tensors like this one.

    Raises:
        ValueError: ``backend`` is not the name of a backend.
        BackendError: ``backend`` was named and cannot run this call.
    """
    named = ENVIRONMENT_CHOICE if backend is None else backend
    origin = "FASTCAPS_BACKEND" if backend is None else "backend"
    if named is None:
        return next(name for name, can_run in BACKENDS.items() if not can_run(operator, tensor))
    reason = why_not(named, operator, tensor, origin=origin)
    if reason is not None:
        raise BackendError(f"{origin} {named!r} cannot run {operator}: {reason}")
    return named


def _why_not_compiled(operator: str, dispatch_key: str) -> str | None:
    if library.LOAD_ERROR is not None:
        return f"the compiled extension fastcaps._C did not load: {library.LOAD_ERROR}"
    if dispatch_key not in library.KERNELS.get(operator, frozenset()):
        return f"this build of fastcaps has no {dispatch_key} kernel for {operator}"
    return None
