"""How the cost of fastcaps grows with the batch and with the capsules in and out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.contestants import CONTESTANTS
from benchmarks.examine import forward, forward_and_backward
from benchmarks.inputs import make_inputs
from benchmarks.options import DTYPES, Settings
from benchmarks.race import Notify
from benchmarks.results import ScalingPoint
from benchmarks.shapes import Shape, Size
from benchmarks.timing import Runner, interleave

__all__ = ["fit_exponent", "fit_exponents", "measure_scaling", "sizes_to_scale"]

DOUBLINGS = 3
BATCH = {"cpu": 64, "cuda": 512}
"""The batch where other numbers vary; large enough to keep the device busy."""


def sizes_to_scale(device: str) -> dict[str, list[Size]]:
    """For each field of a size that is varied, the sizes in which it doubles, ascending."""
    middle = Size(BATCH[device], 1152, 8, 12, 32)
    start = {"batch": middle.batch, "inputs": middle.inputs // 4, "outputs": middle.outputs // 2}
    return {
        varied: [
            replace(middle, **{varied: first << doubling}) for doubling in range(DOUBLINGS + 1)
        ]
        for varied, first in start.items()
    }


def measure_scaling(settings: Settings, notify: Notify) -> Iterator[ScalingPoint]:
    """Time fastcaps at all sizes to scale; those of one varied field in turns."""
    tasks = [
        (varied, mode, sizes)
        for varied, sizes in sizes_to_scale(settings.device).items()
        for mode in settings.modes
    ]
    for index, (varied, mode, sizes) in enumerate(tasks):
        notify(f"scaling: {varied}, {mode}", index / len(tasks))
        runners = {str(i): _runner(size, mode, settings) for i, size in enumerate(sizes)}
        for _ in interleave(runners, settings.repeats, settings.patience, settings.device):
            notify(f"scaling: {varied}, {mode}", index / len(tasks))
        for size, runner in zip(sizes, runners.values(), strict=True):
            yield ScalingPoint(varied, mode, size, runner.median)


def fit_exponents(points: list[ScalingPoint]) -> dict[str, float]:
    """The exponent of each varied field in each mode, named "field mode"."""
    names = dict.fromkeys((point.varied, point.mode) for point in points)
    return {
        f"{varied} {mode}": fit_exponent(
            [
                (getattr(point.size, varied), point.seconds)
                for point in points
                if (point.varied, point.mode) == (varied, mode)
            ]
        )
        for varied, mode in names
    }


def fit_exponent(pairs: list[tuple[float, float]]) -> float:
    """The exponent p of the power law ``seconds = a * number ** p`` nearest in log scale."""
    numbers, seconds = np.log(np.array(pairs)).T
    return float(np.polyfit(numbers, seconds, 1)[0])


def _runner(size: Size, mode: str, settings: Settings) -> Runner:
    inputs = make_inputs(Shape("scaling", size, ""), DTYPES[settings.dtype], settings.device, None)
    layer = CONTESTANTS["fastcaps"].layer(
        settings.iterations, settings.softmax_over, settings.backend
    )
    make = forward if mode == "forward" else forward_and_backward
    return Runner(make(layer, inputs), None)
