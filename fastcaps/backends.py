"""Which backend runs a call: one predicate each, silent when choosing, loud when told.

A predicate returns ``None`` if its backend can run an operator on a tensor like this one and
these sizes (``D_in``, ``N_out``, ``D_out``, as far as the operator has them), else the reason
why not, as a sentence. ``backend=None`` takes the first of :data:`BACKENDS` that can.
A backend named by the caller, or by the environment variable ``FASTCAPS_BACKEND`` (read
when fastcaps is imported), must run or raises :class:`BackendError`. Those of :data:`BY_NAME` run
only so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from fastcaps.kernels import tiles
from fastcaps.ops import library

__all__ = ["BACKENDS", "BackendError", "check_backend", "choose_backend", "why_not"]


class BackendError(RuntimeError):
    """A backend was asked for by name and cannot run this call."""


Predicate = Callable[..., str | None]
TRITON_INSTALLED = find_spec("triton") is not None
AMPERE = (8, 0)
TRITON_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def can_run_cuda(operator: str, tensor: Tensor, **sizes: int) -> str | None:
    """None if the CUDA C++ kernels can run ``operator`` on tensors like this one, else why not."""
    if not tensor.is_cuda:
        return f"it runs on CUDA tensors, and this one is on {tensor.device}"
    reason = _why_not_compiled(operator, "CUDA")
    if reason is None and not torch.compiler.is_compiling():
        reason = _why_no_machine_code(tensor.device)
    return reason


def can_run_triton(operator: str, tensor: Tensor, **sizes: int) -> str | None:
    """None if the Triton kernels can run ``operator`` on tensors like this one, else why not.

    Under ``TRITON_INTERPRET=1`` they run on CPU tensors, slowly, for tests.
    """
    if not TRITON_INSTALLED:
        return "the package triton is not installed"
    if not tensor.is_cuda and not (tensor.is_cpu and _triton_interprets()):
        return f"it runs on CUDA tensors, and this one is on {tensor.device}"
    if tensor.is_cuda and torch.version.hip is not None:
        return "it is written for NVIDIA's GPUs"
    if tensor.is_cuda and _capability(tensor) < AMPERE:
        return "it needs tensor cores for TF32 and bfloat16, of compute capability 8.0 or higher"
    if tensor.dtype not in TRITON_DTYPES:
        return f"it computes in float32, and this tensor is {tensor.dtype}"
    return tiles.why_not(operator, **sizes)


def can_run_cpu(operator: str, tensor: Tensor, **sizes: int) -> str | None:
    """None if the CPU kernels can run ``operator`` on tensors like this one, else why not."""
    if tensor.device.type != "cpu":
        return f"it runs on CPU tensors, and this one is on {tensor.device}"
    return _why_not_compiled(operator, "CPU")


def can_run_reference(operator: str, tensor: Tensor, **sizes: int) -> str | None:
    """The reference runs everywhere."""
    return None


BACKENDS: dict[str, Predicate] = {
    "cuda": can_run_cuda,
    "triton": can_run_triton,
    "cpu": can_run_cpu,
    "reference": can_run_reference,
}

BY_NAME = frozenset({("cuda", "routed_capsules")})
"""Backends and operators that the automatic choice leaves out: on an H100 the forward pass on
tensor cores was right, and in float32 faster than Triton's; no GPU has run anything else of it."""

ENVIRONMENT_CHOICE = os.environ.get("FASTCAPS_BACKEND") or None


def check_backend(backend: object, *, origin: str = "backend") -> None:
    """Raise ValueError, naming ``origin``, unless ``backend`` is the name of a backend."""
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise ValueError(
            f"{origin}: expected one of {', '.join(BACKENDS)} or None, got {backend!r}"
        )


def why_not(
    backend: str, operator: str, tensor: Tensor, *, origin: str = "backend", **sizes: int
) -> str | None:
    """None if ``backend`` can run ``operator`` on tensors like this one, else the reason.

    Raises:
        ValueError: ``backend`` is not the name of a backend; ``origin`` is named in the message.
    """
    check_backend(backend, origin=origin)
    return BACKENDS[backend](operator, tensor, **sizes)


def choose_backend(backend: str | None, operator: str, tensor: Tensor, **sizes: int) -> str:
    """The backend to run ``operator`` with on tensors like this one.

    The automatic choice never interprets: Triton then needs a CUDA tensor.

    Raises:
        ValueError: ``backend`` is not the name of a backend.
        BackendError: ``backend`` was named and cannot run this call.
    """
    named = ENVIRONMENT_CHOICE if backend is None else backend
    origin = "FASTCAPS_BACKEND" if backend is None else "backend"
    if named is None:
        return next(
            name
            for name in BACKENDS
            if (name != "triton" or tensor.is_cuda)
            and (name, operator) not in BY_NAME
            and not BACKENDS[name](operator, tensor, **sizes)
        )
    reason = why_not(named, operator, tensor, origin=origin, **sizes)
    if reason is not None:
        raise BackendError(f"{origin} {named!r} cannot run {operator}: {reason}")
    return named


def _capability(tensor: Tensor) -> tuple[int, int]:
    """That of the tensor's GPU; a compiler, which cannot ask, is told what suffices."""
    if torch.compiler.is_compiling():
        return AMPERE
    return torch.cuda.get_device_capability(tensor.device)


@cache
def _why_no_machine_code(device: torch.device) -> str | None:
    """Why the extension's kernels cannot be loaded on a GPU, or None if they can."""
    reason: str = torch.ops.fastcaps.cuda_why_not(device.index)
    return f"its kernels do not load on {device}: {reason}" if reason else None


def _triton_interprets() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _why_not_compiled(operator: str, dispatch_key: str) -> str | None:
    if library.LOAD_ERROR is not None:
        return f"the compiled extension fastcaps._C did not load: {library.LOAD_ERROR}"
    if dispatch_key not in library.KERNELS.get(operator, frozenset()):
        return f"this build of fastcaps has no {dispatch_key} kernel for {operator}"
    return None
