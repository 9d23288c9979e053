"""A whole run: the machine, the rows, the scaling, told to an observer and gathered in a report."""

from __future__ import annotations

import time
from typing import Protocol

import torch

from benchmarks.machine import measure_machine
from benchmarks.options import DTYPES, Settings
from benchmarks.race import race
from benchmarks.results import Machine, Report, Row, ScalingPoint
from benchmarks.scaling import fit_exponents, measure_scaling

__all__ = ["Observer", "run"]


class Observer(Protocol):
    """Someone who watches a run."""

    def progress(self, doing: str, fraction: float) -> None:
        """Told what is being done, and the fraction of the run that has been."""

    def machine(self, machine: Machine) -> None:
        """Told the machine, before the first row."""

    def row(self, row: Row) -> None:
        """Told every row as soon as it is measured."""

    def scaling(self, points: list[ScalingPoint], exponents: dict[str, float]) -> None:
        """Told the scaling, where it was asked for."""


def run(settings: Settings, observer: Observer, *, scaling: bool = False) -> Report:
    """Measure everything: the rows of ``settings``, or the scaling alone.

    Raises:
        BackendError: fastcaps was told to use a backend that cannot run here.
        BadDigitsError: the file of digits is none.
    """
    start = time.perf_counter()
    if settings.tf32:
        torch.set_float32_matmul_precision("high")
    observer.progress("measuring the machine", 0)
    machine = measure_machine(settings.device, DTYPES[settings.dtype])
    observer.machine(machine)
    rows: list[Row] = []
    points: list[ScalingPoint] = []
    exponents: dict[str, float] = {}
    if scaling:
        points = list(measure_scaling(settings, observer.progress))
        exponents = fit_exponents(points)
        observer.scaling(points, exponents)
    else:
        for row in race(settings, machine, observer.progress):
            rows.append(row)
            observer.row(row)
    observer.progress("done", 1)
    return Report(machine, rows, points, exponents, elapsed=time.perf_counter() - start)
