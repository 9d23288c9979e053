"""How fast AU data is made up, prepared and augmented.

    python benchmarks/au_data.py [--rig ict_face_rig.npz] [--json FILE]

Data sets are made up in a temporary folder, prepared from there and dropped. Times are of the
whole call, with all processors at work and the start of its processes included, and the median of
the repeats.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import measure_machine
from fastcaps.training.augmentation import COLOUR_224, GRAY_96, AugmentationSettings, augment
from fastcaps.training.preparation import Alignment, Options, Resources, prepare
from fastcaps.training.prepared import Shape
from fastcaps.training.readers.bp4d import Bp4d
from fastcaps.training.readers.disfa import Disfa
from fastcaps.training.readers.sequences import Reader
from fastcaps.training.statistics import pixel_statistics
from fastcaps.training.synthetic.settings import Settings
from fastcaps.training.synthetic.synthesis import synthesize

BP4D_SIDE = 1040
"""BP4D's pictures are 1040 pixels wide."""

GRAY = Shape(96, colour=False)


@dataclass(frozen=True)
class Rate:
    """What was done, how many pictures that are, and each repeat's seconds."""

    name: str
    pictures: int
    seconds: list[float]

    @property
    def per_second(self) -> float:
        """Pictures in a second, by the median."""
        return self.pictures / statistics.median(self.seconds)


@dataclass(frozen=True)
class Case:
    """Something to time: ``run`` works in a folder that is empty each time."""

    name: str
    pictures: int
    run: Callable[[Path], object]


def cases(folder: Path, rig: Path | None, frames: int) -> Iterator[Case]:
    """All that is timed; data sets that several cases read are made in ``folder``."""
    workers = os.cpu_count() or 1
    for name, source in (("drawn", None), *((("rig", rig),) if rig else ())):
        settings = Settings("bp4d", 2, frames // 2, side=96, rig=source)
        yield Case(
            f"synth, {name}, 96 x 96, JPEG",
            frames,
            partial(synthesize, settings=settings, workers=workers),
        )
    for side in (192, BP4D_SIDE):
        root = folder / f"bp4d-{side}"
        synthesize(root, Settings("bp4d", 2, frames // 2, side=side), workers=workers)
        name = f"{side} x {side}, JPEG"
        truth = root / "truth.parquet"
        yield _prepared(f"prepare, given, {name}", Bp4d(root), root, frames, "given", truth)
        yield _prepared(f"prepare, dlib, {name}", Bp4d(root), root, frames, "dlib", None)
    root = folder / "disfa"
    synthesize(root, Settings("disfa", 2, frames // 2), workers=workers)
    yield _prepared("prepare, given, 192 x 192, video", Disfa(root), root, frames, "given", None)
    for name, preset, batch in (("gray 96", GRAY_96, 128), ("RGB 224", COLOUR_224, 32)):
        yield _augmented(name, preset, batch, 20 * frames if preset is GRAY_96 else frames)
    side = GRAY.side
    stored = np.random.default_rng(0).integers(0, 256, (frames, side, side), dtype=np.uint8)
    rows = np.arange(frames)
    yield Case("pixel statistics, gray 96", frames, lambda _: pixel_statistics(stored, rows, 96))


def _prepared(
    name: str, reader: Reader, root: Path, frames: int, alignment: Alignment, truth: Path | None
) -> Case:
    options = Options(GRAY, alignment, landmarks=truth)
    resources = Resources(workers=os.cpu_count() or 1)
    return Case(
        name,
        frames,
        lambda out: prepare(reader, root, out, options, {}, resources=resources),
    )


def _augmented(name: str, preset: AugmentationSettings, batch: int, frames: int) -> Case:
    shape = (batch, preset.stored_side, preset.stored_side)
    images = torch.randint(0, 256, shape if preset is GRAY_96 else (*shape, 3), dtype=torch.uint8)
    batches = max(frames // batch, 1)

    def run(_: Path) -> None:
        for number in range(batches):
            augment(images, torch.arange(batch) + number * batch, 0, preset)

    return Case(f"augment, {name}, batch {batch}", batches * batch, run)


def main(
    rig: Annotated[Path | None, typer.Option(help="Also time faces of this rig.")] = None,
    frames: Annotated[int, typer.Option(min=16, help="Of the made-up data sets.")] = 2000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write this file.")] = None,
) -> None:
    """Time the making, preparing and augmenting of AU data."""
    machine = measure_machine("cpu", torch.float32)
    rates = []
    with tempfile.TemporaryDirectory() as work:
        for case in track(
            cases(Path(work), rig, frames), "measuring", console=Console(stderr=True)
        ):
            seconds = []
            for _ in range(repeats):
                with tempfile.TemporaryDirectory(dir=work) as out:
                    start = time.perf_counter()
                    case.run(Path(out) / "out")
                    seconds.append(time.perf_counter() - start)
            rates.append(Rate(case.name, case.pictures, seconds))
    table = Table("", title=str(machine))
    for name in ("pictures", "seconds", "pictures/s"):
        table.add_column(name, justify="right")
    for rate in rates:
        median = f"{statistics.median(rate.seconds):.2f}"
        table.add_row(rate.name, f"{rate.pictures}", median, f"{rate.per_second:,.0f}")
    Console().print(table)
    if json_file is not None:
        rows = [{**asdict(rate), "per_second": rate.per_second} for rate in rates]
        report = {"machine": asdict(machine), "rates": rows}
        json_file.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
