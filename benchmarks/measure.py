"""The benchmark without its front: needs PyTorch and NumPy only, prints plain text, writes JSON.

``python benchmarks/measure.py --json results.json``. For people there is ``routing.py``,
which has every option.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.contestants import CONTESTANTS
from benchmarks.formats import COLUMNS, cells, milliseconds, rates, remarks, row_note, row_title
from benchmarks.options import (
    DTYPES,
    SOFTMAX_OVER,
    Settings,
    choose_device,
    parse_modes,
    parse_names,
)
from benchmarks.results import Machine, Row, ScalingPoint, write
from benchmarks.run import run
from benchmarks.shapes import DEFAULT_SHAPES, SHAPES

__all__ = ["PlainObserver", "main"]

Value = TypeVar("Value")


class PlainObserver:
    """Prints tables of plain text."""

    def progress(self, doing: str, fraction: float) -> None:
        """Nothing: the tables follow each other soon enough."""

    def machine(self, machine: Machine) -> None:
        """The machine and its rates."""
        print(f"{machine}\n{rates(machine)}", flush=True)

    def row(self, row: Row) -> None:
        """A row as a table with columns as wide as their cells."""
        timed = [result for result in row.results if result.median is not None]
        table = [list(COLUMNS), *map(cells, timed)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        print(f"\n{row_title(row)}\n{row_note(row)}")
        for line in table:
            print("  ".join(map(str.ljust, line, widths)).rstrip())
        print(*remarks(row), sep="\n", flush=True)

    def scaling(self, points: list[ScalingPoint], exponents: dict[str, float]) -> None:
        """Every point, then every exponent."""
        for point in points:
            number = getattr(point.size, point.varied)
            print(f"{point.mode}  {point.varied}={number}  {milliseconds(point.seconds)} ms")
        for name, exponent in exponents.items():
            print(f"time grows with {name} to the power {exponent:.2f}")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, required=True, help="where to write the report")
    parser.add_argument(
        "--shapes", type=_option(_shapes), default=DEFAULT_SHAPES, help="as of routing.py"
    )
    parser.add_argument("--contestants", type=_option(_contestants), default=Settings.contestants)
    parser.add_argument("--mode", type=_option(parse_modes), default=parse_modes("both"))
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 products of float32")
    parser.add_argument("--graphs", action="store_true", help="time CUDA graphs on a GPU")
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--backend", default=None)
    parser.add_argument("--softmax-over", choices=SOFTMAX_OVER, default="outputs")
    parser.add_argument("--device", type=_option(choose_device), default=choose_device("auto"))
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    parser.add_argument("--patience", type=float, default=Settings.patience)
    parser.add_argument("--scaling", action="store_true")
    options = parser.parse_args(arguments)
    settings = replace(
        Settings(),
        shapes=options.shapes,
        contestants=options.contestants,
        modes=options.mode,
        dtype=options.dtype,
        batch=options.batch,
        backend=options.backend,
        softmax_over=options.softmax_over,
        device=options.device,
        repeats=options.repeats,
        patience=options.patience,
        tf32=options.tf32,
        graphs=options.graphs,
    )
    write(run(settings, PlainObserver(), scaling=options.scaling), options.json)


def _shapes(text: str) -> tuple[str, ...]:
    return parse_names(text, SHAPES, default=DEFAULT_SHAPES)


def _contestants(text: str) -> tuple[str, ...]:
    return parse_names(text, CONTESTANTS)


def _option(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same parser, with its messages where argparse shows them."""

    def parse_or_tell(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_or_tell


if __name__ == "__main__":
    main()
