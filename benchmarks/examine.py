"""What one run of a contestant shows besides its time: accuracy and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.contestants import Layer
from benchmarks.inputs import Inputs
from benchmarks.memory import counting_saved_bytes, peak_bytes
from benchmarks.options import Settings
from fastcaps import reference

__all__ = ["Examined", "Judge", "examine", "forward", "forward_and_backward"]

JUDGED_BYTES = 64 << 20
"""Accuracy is judged on as many samples as have prediction vectors of this size in float64."""

NAMES = ("v", "grad u", "grad weight")


@dataclass(frozen=True)
class Examined:
    """One run: its seconds, and the fields of the same names of a result."""

    seconds: float
    saved_bytes: int | None
    extra_bytes: int | None
    errors: dict[str, float]


class Judge:
    """Compares what contestants return with the float64 reference, on the first samples.

    Contestants run on the whole batch, but with ``grad_v`` zero beyond the judged samples:
    then the gradient of the weight depends on no others and can be compared as well.
    """

    def __init__(self, inputs: Inputs, settings: Settings) -> None:
        per_sample = 8 * inputs.weight[:, 0].numel()
        self.samples = min(inputs.u.shape[0], max(1, JUDGED_BYTES // per_sample))
        self.grad_v = inputs.grad_v.clone()
        self.grad_v[self.samples :] = 0
        self._inputs = inputs
        self._settings = settings
        self._expected: dict[tuple[bool, bool], tuple[Tensor, ...]] = {}

    def errors(self, returned: tuple[Tensor, ...], *, detached: bool) -> dict[str, float]:
        """Relative Frobenius errors of ``(v,)`` or ``(v, grad u, grad weight)``, by name."""
        expected = self._expect(backward=len(returned) > 1, detached=detached)
        u_like = NAMES[:2]
        return {
            name: _error(given[: self.samples] if name in u_like else given, wanted)
            for name, given, wanted in zip(NAMES, returned, expected, strict=False)
        }

    def _expect(self, *, backward: bool, detached: bool) -> tuple[Tensor, ...]:
        key = (backward, detached)
        if key not in self._expected:
            self._expected[key] = self._run_reference(backward, detached)
        return self._expected[key]

    def _run_reference(self, backward: bool, detached: bool) -> tuple[Tensor, ...]:
        u = self._inputs.u[: self.samples].double().requires_grad_(backward)
        weight = self._inputs.weight.double().requires_grad_(backward)
        v = reference.routed_capsules(
            u,
            weight,
            iterations=self._settings.iterations,
            softmax_over=self._settings.softmax_over,
            detach_routing=detached,
        )
        if not backward:
            return (v,)
        grad_v = self.grad_v[: self.samples].double()
        return (v.detach(), *torch.autograd.grad(v, (u, weight), grad_v))


def examine(layer: Layer, inputs: Inputs, judge: Judge, *, mode: str, detached: bool) -> Examined:
    """Run a layer once on the whole batch, watching its memory, and judge what it returns."""
    saved: list[int] = []

    def both() -> tuple[Tensor, ...]:
        u, weight = _leaves(inputs)
        with counting_saved_bytes(u, weight) as counted:
            v = layer(u, weight)
        saved.append(counted.total)
        return (v.detach(), *torch.autograd.grad(v, (u, weight), judge.grad_v))

    start = time.perf_counter()
    returned, extra = peak_bytes(
        forward(layer, inputs) if mode == "forward" else both, inputs.u.device.type
    )
    seconds = time.perf_counter() - start
    errors = judge.errors(returned, detached=detached)
    return Examined(seconds, saved[0] if saved else None, extra, errors)


def forward(layer: Layer, inputs: Inputs) -> Callable[[], tuple[Tensor, ...]]:
    """A call that runs the layer without gradients."""

    def call() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (layer(inputs.u, inputs.weight),)

    return call


def forward_and_backward(layer: Layer, inputs: Inputs) -> Callable[[], tuple[Tensor, ...]]:
    """A call that runs the layer and takes the gradients of ``u`` and ``weight``."""
    u, weight = _leaves(inputs)

    def call() -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer(u, weight), (u, weight), inputs.grad_v)

    return call


def _leaves(inputs: Inputs) -> tuple[Tensor, Tensor]:
    return inputs.u.detach().requires_grad_(), inputs.weight.detach().requires_grad_()


def _error(given: Tensor, expected: Tensor) -> float:
    return float((given.double() - expected).norm() / expected.norm())
