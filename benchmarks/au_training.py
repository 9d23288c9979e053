"""How fast networks for action units are trained, and where the time of a step goes.

    python benchmarks/au_training.py [--device cuda] [--json FILE] [--quick]

1. A training step of AUCapsNet, and its capsule part alone, with fastcaps' routing and with the
   reference, in turns.
2. The parts of such a step, from reading frames of a memory-mapped file, which the system has in
   memory, to the optimiser.
3. Every network: a training step, the scores of one image and of many.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.au_steps import CLASSES, PARTS, PRECISIONS, TrainedNetwork
from benchmarks.au_training_report import (
    CAPSULES,
    REFERENCE,
    STEP,
    Timing,
    TrainingReport,
    tables,
    write,
)
from benchmarks.machine import measure_machine
from benchmarks.options import choose_device
from benchmarks.timing import Runner, interleave, timed
from fastcaps.training.augmentation import GRAY_96
from fastcaps.training.batches import Shuffled, load
from fastcaps.training.networks import NETWORKS

RACED = "AUCapsNet"

WARM_UPS = 2
"""Steps taken in parts before they count."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        batch: images in a step of :data:`RACED`, and in a large batch of scores.
        small_batch: images in a step of every network.
        frames: in the file that is read.
        repeats: of :data:`RACED`.
        network_repeats: of every network.
        networks: names of these.
    """

    batch: int = 128
    small_batch: int = 32
    frames: int = 20_000
    repeats: int = 7
    network_repeats: int = 3
    networks: tuple[str, ...] = tuple(NETWORKS)


QUICK = Sizes(4, 2, 64, repeats=1, network_repeats=1, networks=("AUCapsNet", "ConvNet"))


@dataclass(frozen=True)
class Case:
    """Something to time: a timing without seconds, and the work itself."""

    timing: Timing
    run: Callable[[], object]


def races(device: str, sizes: Sizes) -> Iterator[Timing]:
    """A step and its capsule part, with fastcaps and with the reference."""
    contestants = {backend: TrainedNetwork(RACED, device, backend) for backend in (None, REFERENCE)}
    images, labels = contestants[None].random_batch(sizes.batch)
    cases = []
    for precision in PRECISIONS:
        for backend, trained in contestants.items():
            step = partial(trained.step, images, labels, precision)
            capsules = trained.capsule_part(images, precision)
            for work, run in ((STEP, step), (CAPSULES, capsules)):
                timing = Timing(work, RACED, precision, sizes.batch, [], backend)
                cases.append(Case(timing, run))
    yield from _timed_in_turns(cases, sizes.repeats, device)


def parts(device: str, sizes: Sizes, workers: int) -> Iterator[Timing]:
    """The parts of a step, with so many processes that read frames ahead."""
    trained = TrainedNetwork(RACED, device)
    labels = np.random.default_rng(1).integers(0, 2, (sizes.frames, CLASSES), dtype=np.int8)
    with tempfile.TemporaryDirectory() as folder:
        frames = _frames(Path(folder) / "frames.npy", sizes.frames)
        for precision in PRECISIONS:
            order = Shuffled(np.arange(sizes.frames), sizes.batch, seed=0)
            batches = iter(load(frames, labels, order, workers, pinned=device == "cuda"))
            steps = [trained.parts(batches, precision) for _ in range(WARM_UPS + sizes.repeats)]
            for part, seconds in zip(PARTS, zip(*steps[WARM_UPS:], strict=True), strict=True):
                yield Timing(part, RACED, precision, sizes.batch, list(seconds), workers=workers)


def network(device: str, sizes: Sizes, name: str) -> Iterator[Timing]:
    """A training step of a network, the scores of one image, and those of many."""
    trained = TrainedNetwork(name, device)
    images, labels = trained.random_batch(sizes.small_batch)
    many, _ = trained.random_batch(sizes.batch)
    cases = []
    for precision in PRECISIONS:
        step = partial(trained.step, images, labels, precision)
        one = partial(trained.scores, images[:1], precision)
        all_of_many = partial(trained.scores, many, precision)
        cases += [
            Case(Timing(STEP, name, precision, sizes.small_batch, []), step),
            Case(Timing("scores, one image", name, precision, 1, []), one),
            Case(Timing("scores", name, precision, sizes.batch, []), all_of_many),
        ]
    yield from _timed_in_turns(cases, sizes.network_repeats, device)


def _timed_in_turns(cases: list[Case], repeats: int, device: str) -> Iterator[Timing]:
    runners = {
        str(number): Runner(case.run, None, first=timed(case.run, 1, device))
        for number, case in enumerate(cases)
    }
    for _ in interleave(runners, repeats, 0.0, device):
        pass
    for case, runner in zip(cases, runners.values(), strict=True):
        yield replace(case.timing, seconds=runner.seconds)


def _frames(path: Path, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A memory map of random gray frames, uint8 [count, 110, 110]."""
    side = GRAY_96.stored_side
    frames = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side))
    rng = np.random.default_rng(0)
    for frame in frames:
        frame[:] = rng.integers(0, 256, frame.shape, dtype=np.uint8)
    frames.flush()
    return np.load(path, mmap_mode="r", allow_pickle=False)


def measure(device: str, sizes: Sizes) -> TrainingReport:
    """Measure everything, showing how far that is."""
    machine = measure_machine(device, torch.float32)
    report = TrainingReport(machine, [], [], [])
    stages = [
        (report.races, partial(races, device, sizes)),
        *((report.parts, partial(parts, device, sizes, workers)) for workers in (0, 1)),
        *((report.networks, partial(network, device, sizes, name)) for name in sizes.networks),
    ]
    for timings, stage in track(stages, "measuring", console=Console(stderr=True)):
        timings.extend(stage())
    return report


def main(
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: a try, no figures.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write this file.")] = None,
) -> None:
    """Time the training of networks for action units."""
    try:
        chosen = choose_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    report = measure(chosen, QUICK if quick else Sizes())
    console = Console()
    console.print(str(report.machine), highlight=False)
    for table in tables(report):
        first, *others = table.columns
        rich_table = RichTable(first, title=table.title)
        for column in others:
            rich_table.add_column(column, justify="right")
        for row in table.rows:
            rich_table.add_row(*row)
        console.print(rich_table)
    if json_file is not None:
        write(report, json_file)


if __name__ == "__main__":
    typer.run(main)
