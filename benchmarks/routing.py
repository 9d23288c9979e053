"""Race fastcaps against the usual formulations of capsule routing.

``python benchmarks/routing.py`` measures this machine, then every contestant on several
shapes, and prints time, memory and accuracy; ``--help`` lists the options.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
import typer
from rich.console import Console

from benchmarks.contestants import CONTESTANTS
from benchmarks.inputs import BadDigitsError
from benchmarks.options import (
    DTYPES,
    SOFTMAX_OVER,
    Settings,
    choose_device,
    parse_choice,
    parse_modes,
    parse_names,
)
from benchmarks.plot import draw
from benchmarks.report import RichObserver, print_report, print_summary
from benchmarks.results import Report, read, write
from benchmarks.run import run
from benchmarks.shapes import DEFAULT_SHAPES, SHAPES
from benchmarks.timing import MINIMUM_REPEATS
from fastcaps.backends import BACKENDS, BackendError

RESULTS = Path(__file__).resolve().parent / "results"
Choice = TypeVar("Choice", bound=str)
Given = TypeVar("Given")
Value = TypeVar("Value")

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command(
    epilog="\n\n".join(
        f"{shape.name}: {shape.size}, B={shape.size.batch}; {shape.about}"
        for shape in SHAPES.values()
    )
)
def main(
    shapes: Annotated[
        str, typer.Option(help=f"Some of {', '.join(SHAPES)}, separated by commas; or all.")
    ] = ",".join(DEFAULT_SHAPES),
    contestants: Annotated[
        str, typer.Option(help=f"Some of {', '.join(CONTESTANTS)}; or all.")
    ] = "all",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Batch size, instead of each shape's own.")
    ] = None,
    mode: Annotated[str, typer.Option(help="forward, forward+backward or both.")] = "both",
    dtype: Annotated[str, typer.Option(help=f"One of {', '.join(DTYPES)}.")] = "float32",
    backend: Annotated[
        str | None,
        typer.Option(help=f"What fastcaps uses: {', '.join(BACKENDS)}; else its own choice."),
    ] = None,
    softmax_over: Annotated[
        str, typer.Option(help="outputs, as Sabour et al., or inputs.")
    ] = "outputs",
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of routing.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tf32: Annotated[bool, typer.Option("--tf32", help="Allow TF32 products of float32.")] = False,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="On a GPU: time CUDA graphs, without launch costs.")
    ] = False,
    repeats: Annotated[
        int,
        typer.Option(min=MINIMUM_REPEATS, help="Timed repeats; slow contestants may stop earlier."),
    ] = Settings.repeats,
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds after which slow contestants stop; more shows more."),
    ] = Settings.patience,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads, instead of PyTorch's choice.")
    ] = None,
    mnist: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="mnist.npz for the shape real."),
    ] = None,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Instead: how cost grows with each size.")
    ] = False,
    json: Annotated[
        Path,
        typer.Option(
            help="Where to write the results.", show_default="benchmarks/results/latest.json"
        ),
    ] = RESULTS / "latest.json",
    plot: Annotated[
        Path, typer.Option(help="Where to draw them.", show_default="benchmarks/results/latest.png")
    ] = RESULTS / "latest.png",
    from_json: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Measure nothing: print and draw this."),
    ] = None,
) -> None:
    """Race fastcaps against the usual formulations of capsule routing, in about two minutes."""
    console = Console()
    if from_json is not None:
        report = _check("--from-json", read, from_json)
        print_report(report, console)
    else:
        chosen = Settings(
            shapes=_check(
                "--shapes", lambda text: parse_names(text, SHAPES, default=DEFAULT_SHAPES), shapes
            ),
            contestants=_check(
                "--contestants", lambda text: parse_names(text, CONTESTANTS), contestants
            ),
            modes=_check("--mode", parse_modes, mode),
            batch=batch,
            dtype=_one_of("--dtype", dtype, DTYPES),
            backend=None if backend is None else _one_of("--backend", backend, BACKENDS),
            softmax_over=_one_of("--softmax-over", softmax_over, SOFTMAX_OVER),
            iterations=iterations,
            repeats=repeats,
            patience=patience,
            device=_check("--device", choose_device, device),
            mnist=mnist,
            tf32=tf32,
            graphs=graphs,
        )
        report = _measure(chosen, threads, scaling, console)
        write(report, json)
        console.print(f"[dim]wrote {json}[/dim]", highlight=False)
    if report.rows:
        draw(report, plot)
        console.print(f"[dim]drew {plot}[/dim]", highlight=False)


def _measure(settings: Settings, threads: int | None, scaling: bool, console: Console) -> Report:
    if threads is not None:
        torch.set_num_threads(threads)
    # The compiler warns where there is a CUDA toolkit and no GPU, in the middle of the tables.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    observer = RichObserver(console)
    try:
        with observer.bar:
            report = run(settings, observer, scaling=scaling)
    except (BackendError, BadDigitsError) as error:
        raise typer.BadParameter(str(error)) from error
    print_summary(report, console)
    return report


def _one_of(option: str, value: str, known: Iterable[Choice]) -> Choice:
    return _check(option, lambda text: parse_choice(text, known), value)


def _check(option: str, parse: Callable[[Given], Value], value: Given) -> Value:
    """Parse the value of an option; what is wrong with it becomes the error of the option."""
    try:
        return parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


if __name__ == "__main__":
    app()
