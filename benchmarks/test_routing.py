"""The cases of ``routing.py`` under pytest-benchmark, to track them from version to version.

``pytest benchmarks/ --benchmark-autosave``, later ``--benchmark-compare``; ``--all-cases``
adds the large shapes and the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.examine import forward, forward_and_backward
from benchmarks.inputs import NoDigitsError, make_inputs
from benchmarks.memory import available_bytes
from benchmarks.options import choose_device
from benchmarks.shapes import SHAPES, Shape
from benchmarks.timing import synchronize

SMALL = ("latency", "au224")
DEVICE = choose_device("auto")


def _cases() -> Iterator[object]:
    for shape in SHAPES.values():
        for mode in shape.modes:
            for contestant in CONTESTANTS.values():
                if contestant.detached and mode == "forward":
                    continue
                quick = contestant.name == "fastcaps" and shape.name in SMALL
                yield pytest.param(
                    shape,
                    mode,
                    contestant,
                    marks=() if quick else pytest.mark.slow_case,
                    id=f"{shape.name}-{mode}-{contestant.name.replace(' ', '-')}",
                )


@pytest.mark.benchmark(min_rounds=7, max_time=0.5)
@pytest.mark.parametrize(("shape", "mode", "contestant"), list(_cases()))
def test_routing(
    benchmark: BenchmarkFixture, shape: Shape, mode: str, contestant: Contestant
) -> None:
    """Time one contestant in float32, with three iterations over outputs."""
    try:
        inputs = make_inputs(shape, torch.float32, DEVICE, None)
    except NoDigitsError as error:
        pytest.skip(str(error))
    needed = contestant.stored_bytes(shape.size, 4, backward=mode != "forward", backend="")
    free = available_bytes(DEVICE)
    if free is not None and needed > 0.8 * free:
        pytest.skip(f"needs about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free")
    torch.compiler.reset()
    make = forward if mode == "forward" else forward_and_backward
    call = make(contestant.layer(3, "outputs", None), inputs)

    def run() -> None:
        call()
        synchronize(DEVICE)

    run()
    benchmark.group = f"{shape.name} {mode}"
    benchmark(run)
