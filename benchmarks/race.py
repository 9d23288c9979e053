"""Racing the contestants: from settings to rows of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch

from benchmarks.contestants import CONTESTANTS, Contestant, Layer
from benchmarks.examine import Examined, Judge, examine, forward, forward_and_backward
from benchmarks.graphs import captured
from benchmarks.inputs import Inputs, NoDigitsError, make_inputs
from benchmarks.machine import read_weight
from benchmarks.memory import available_bytes
from benchmarks.options import DTYPES, Settings
from benchmarks.results import Machine, Result, Row
from benchmarks.roofline import floor_seconds
from benchmarks.shapes import SHAPES, Shape
from benchmarks.timing import FAR_FROM_THE_LEAD, MINIMUM_REPEATS, Runner, interleave, quartiles
from fastcaps.backends import choose_backend

__all__ = ["Notify", "race", "with_speedups"]

Notify = Callable[[str, float], None]
"""Told what is being done and which fraction of everything has been."""

READ_WEIGHT = "read weight"

USABLE_MEMORY = 0.8
"""The part of the free memory that a contestant may be expected to need."""

TELLING_BYTES = 1 << 25
"""Rows with a ``u_hat`` smaller than this tell nothing about the time that larger ones take."""

LONGEST_TURN = 10
HOPELESS_TURN = 3
"""Multiples of the patience: an alternative expected to need more than the first for its least
number of repeats is left out, one that is far from the lead already with the second."""


def race(settings: Settings, machine: Machine, notify: Notify) -> Iterator[Row]:
    """Measure every row of ``settings``, one after the other.

    In each row every contestant first runs once to show its accuracy and its memory, after
    being compiled where that is its way; then all are timed in turns.

    Raises:
        BackendError: fastcaps was told to use a backend that cannot run here.
        BadDigitsError: the file of digits is none.
    """
    speeds = _Speeds()
    shapes = [SHAPES[name].with_batch(settings.batch) for name in settings.shapes]
    plan = [(s, mode) for s in shapes for mode in s.modes if mode in settings.modes]
    for index, (shape, mode) in enumerate(plan):

        def notify_row(doing: str, part: float, index: int = index, name: str = shape.name) -> None:
            notify(f"{name}: {doing}", (index + part) / len(plan))

        yield _race_row(shape, mode, settings, machine, speeds, notify_row)


@dataclass
class _Speeds:
    """The fewest seconds per byte of ``u_hat`` that each contestant has shown in each mode."""

    best: dict[tuple[str, str], float] = field(default_factory=dict)

    def learn(self, row: Row) -> None:
        for result in row.results:
            if result.median is not None and row.u_hat_bytes >= TELLING_BYTES:
                key = (result.contestant, row.mode)
                self.best[key] = min(result.median / row.u_hat_bytes, self.best.get(key, math.inf))

    def expect(self, contestant: Contestant, row: Row) -> float:
        """Seconds a call is expected to take, 0 where nothing is known."""
        return self.best.get((contestant.name, row.mode), 0.0) * row.u_hat_bytes

    def expect_best(self, row: Row, *, detached: bool) -> float:
        """The same of the quickest alternative that is known."""
        known = [
            self.expect(contestant, row)
            for contestant in CONTESTANTS.values()
            if not contestant.is_fastcaps and contestant.detached == detached
        ]
        return min((seconds for seconds in known if seconds), default=0.0)


def _race_row(
    shape: Shape,
    mode: str,
    settings: Settings,
    machine: Machine,
    speeds: _Speeds,
    notify: Notify,
) -> Row:
    dtype = DTYPES[settings.dtype]
    row = Row(
        shape=shape.name,
        mode=mode,
        size=shape.size,
        iterations=settings.iterations,
        softmax_over=settings.softmax_over,
        dtype=settings.dtype,
        u_hat_bytes=shape.size.u_hat * dtype.itemsize,
        tf32=settings.tf32,
        graphs=settings.graphs and settings.device == "cuda",
    )
    notify("making the inputs", 0)
    try:
        inputs = make_inputs(shape, dtype, settings.device, settings.mnist)
    except NoDigitsError as error:
        return replace(row, skipped=str(error))
    floor, floor_set_by = _floor(row, machine, detached=False)
    row = replace(row, source=inputs.source, floor=floor, floor_set_by=floor_set_by)
    row = _Row(row, inputs, settings, machine, speeds, notify).race()
    speeds.learn(row)
    return row


class _Row:
    """One row while it is being measured."""

    def __init__(
        self,
        row: Row,
        inputs: Inputs,
        settings: Settings,
        machine: Machine,
        speeds: _Speeds,
        notify: Notify,
    ) -> None:
        self.row = row
        self.inputs = inputs
        self.settings = settings
        self.machine = machine
        self.speeds = speeds
        self.notify = notify
        self.backend = choose_backend(settings.backend, "routed_capsules", inputs.u)
        self.judge = Judge(inputs, settings)
        self.entrants = [
            contestant
            for contestant in map(CONTESTANTS.__getitem__, settings.contestants)
            if not (contestant.detached and row.mode == "forward")
        ]
        self.runners = {READ_WEIGHT: Runner(lambda: read_weight(inputs.weight), None)}

    def race(self) -> Row:
        # Compiled code of earlier rows would count against the compiler's limit of variants.
        torch.compiler.reset()
        steps = len(self.entrants) * (1 + self.settings.repeats)
        results = []
        for step, contestant in enumerate(self.entrants):
            self.notify(f"first run of {contestant.name}", step / steps)
            results.append(self.first_run(contestant))
        turns = interleave(
            self.runners, self.settings.repeats, self.settings.patience, self.settings.device
        )
        for step, name in enumerate(turns, len(self.entrants)):
            self.notify(f"timing {name}", min(1.0, step / steps))
        return replace(
            self.row,
            read_weight=self.runners[READ_WEIGHT].median,
            results=with_speedups([self.with_time(result) for result in results]),
        )

    def first_run(self, contestant: Contestant) -> Result:
        """Everything but the time of a contestant, which is then among the runners."""
        blank = Result(
            contestant.name,
            contestant.is_fastcaps,
            contestant.detached,
            self.backend if contestant.is_fastcaps else None,
        )
        skipped = self.why_skip(contestant)
        if skipped is not None:
            return replace(blank, skipped=skipped)
        try:
            examined = self.prepare_and_examine(contestant)
        except RuntimeError as error:
            if contestant.is_fastcaps:
                raise
            reason = str(error).strip().partition("\n")[0]
            return replace(blank, skipped=f"{type(error).__name__}: {reason}")
        return replace(
            blank,
            saved_bytes=examined.saved_bytes,
            extra_bytes=examined.extra_bytes,
            errors=examined.errors,
        )

    def why_skip(self, contestant: Contestant) -> str | None:
        needed = contestant.stored_bytes(
            self.row.size,
            self.inputs.u.element_size(),
            backward=self.row.mode != "forward",
            backend=self.backend,
        )
        free = available_bytes(self.settings.device)
        if free is not None and needed > USABLE_MEMORY * free:
            return (
                f"needs about {needed / 1e9:.0f} GB, "
                f"too close to the {free / 1e9:.0f} GB that are free"
            )
        if contestant.is_fastcaps and self.backend != "reference":
            return None
        expected = self.speeds.expect(contestant, self.row)
        best = self.speeds.expect_best(self.row, detached=contestant.detached)
        multiple = HOPELESS_TURN if expected > FAR_FROM_THE_LEAD * best else LONGEST_TURN
        if expected * (1 + MINIMUM_REPEATS) > multiple * self.settings.patience:
            return f"would take about {expected:.1f} s a call"
        return None

    def prepare_and_examine(self, contestant: Contestant) -> Examined:
        settings = self.settings
        layer = contestant.layer(settings.iterations, settings.softmax_over, settings.backend)
        call = self.call(layer)
        if contestant.compiled:
            call()
        mode, detached = self.row.mode, contestant.detached
        examined = examine(layer, self.inputs, self.judge, mode=mode, detached=detached)
        if self.row.graphs:
            call = captured(call)
        group = "detached" if detached else "full"
        self.runners[contestant.name] = Runner(
            call, None if contestant.is_fastcaps else group, examined.seconds
        )
        return examined

    def call(self, layer: Layer) -> Callable[[], object]:
        make = forward if self.row.mode == "forward" else forward_and_backward
        return make(layer, self.inputs)

    def with_time(self, result: Result) -> Result:
        runner = self.runners.get(result.contestant)
        if runner is None:
            return result
        floor, _ = _floor(self.row, self.machine, detached=result.detached)
        return replace(
            result,
            seconds=runner.seconds,
            median=runner.median,
            quartiles=quartiles(runner.seconds),
            roofline=floor / runner.median,
        )


def with_speedups(results: list[Result]) -> list[Result]:
    """The results with ``speedup`` filled in; detached contestants race among themselves."""
    best: dict[bool, float] = {}
    for result in results:
        if result.median is not None and not result.is_fastcaps:
            best[result.detached] = min(result.median, best.get(result.detached, math.inf))
    return [
        replace(result, speedup=best[result.detached] / result.median)
        if result.median is not None and result.detached in best
        else result
        for result in results
    ]


def _floor(row: Row, machine: Machine, *, detached: bool) -> tuple[float, str]:
    return floor_seconds(
        row.size,
        row.iterations,
        DTYPES[row.dtype].itemsize,
        backward=row.mode != "forward",
        detached=detached,
        flops_per_second=machine.flops_per_second,
        bytes_per_second=machine.bytes_per_second,
    )
