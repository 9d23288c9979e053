"""Timing contestants against each other, fairly on a noisy machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

__all__ = [
    "FAR_FROM_THE_LEAD",
    "MINIMUM_REPEATS",
    "Runner",
    "interleave",
    "quartiles",
    "synchronize",
    "timed",
]

MINIMUM_REPEATS = 3
"""Every contestant that starts is timed at least so often."""

SHORTEST_REPEAT = 0.01
"""Seconds; a shorter call is repeated within one timed repeat until it takes as long."""

LONG_CALL = 0.1
"""Seconds; a call that took as long before is not warmed up again."""

FAR_FROM_THE_LEAD = 1.5
"""Times the best median of its group, from where a contestant may stop early."""


@dataclass
class Runner:
    """A call to time and its repeats so far.

    Attributes:
        call: runs the work once.
        group: contestants with the same group compete; None for one that never stops early.
        first: seconds an earlier call took; 0 if there was none.
        calls: how often ``call`` runs in one repeat.
        seconds: per call, one entry for each repeat.
    """

    call: Callable[[], object]
    group: str | None
    first: float = 0.0
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds per call, the median so far."""
        return statistics.median(self.seconds)

    def should_stop(self, patience: float, best: Mapping[str, float]) -> bool:
        """Whether it has been timed often enough, having no chance to be the best of its group."""
        if self.group is None or len(self.seconds) < MINIMUM_REPEATS:
            return False
        spent = sum(self.seconds) * self.calls
        return spent > patience and self.median > FAR_FROM_THE_LEAD * best[self.group]


def synchronize(device: str) -> None:
    """Wait until the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(call: Callable[[], object], calls: int, device: str) -> float:
    """Seconds per call of ``calls`` calls in a row, on an idle device."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / calls


def interleave(
    runners: Mapping[str, Runner], repeats: int, patience: float, device: str
) -> Iterator[str]:
    """Time the runners in turns, so that noise hits all alike; yields the name just timed.

    A few runs that do not count warm up short calls and decide how many make a repeat; a long
    call that has run before is warm, and runs once more to tell that it is long. A runner that
    has used ``patience`` seconds stops after at least three repeats, unless it is near the lead
    of its group or has none.
    """
    for runner in runners.values():
        # An earlier call may have been long for what was measured around it.
        if runner.first < LONG_CALL or timed(runner.call, 1, device) < LONG_CALL:
            once = min(timed(runner.call, 1, device) for _ in range(MINIMUM_REPEATS))
            runner.calls = max(1, math.ceil(SHORTEST_REPEAT / max(once, 1e-7)))
    for _ in range(repeats):
        best = _best_medians(runners)
        for name, runner in runners.items():
            if not runner.should_stop(patience, best):
                runner.seconds.append(timed(runner.call, runner.calls, device))
                yield name


def _best_medians(runners: Mapping[str, Runner]) -> dict[str, float]:
    best: dict[str, float] = {}
    for runner in runners.values():
        if runner.group is not None and runner.seconds:
            best[runner.group] = min(runner.median, best.get(runner.group, math.inf))
    return best


def quartiles(seconds: list[float]) -> tuple[float, float]:
    """The first and third quartile, by linear interpolation; equal for a single number."""
    if len(seconds) == 1:
        return seconds[0], seconds[0]
    first, _, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return first, third
