"""The commands of ``fastcaps-au`` that train networks and look at what they have learned.

Lightning and scikit-learn take seconds to import, so each command imports what it needs.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from fastcaps.training.console import (
    one_line_errors,
    parse_numbers,
    progress_bar,
    table_console,
)
from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Device

__all__ = ["run_app"]

run_app = typer.Typer()

Run = Annotated[Path, typer.Argument(help="Folder of a run.")]
Runs = Annotated[list[Path], typer.Argument(help="Folders of runs, evaluated.")]
Folds = Annotated[str, typer.Option(help="Numbers from 1, as 1,3, or all.")]
OnDevice = Annotated[Device, typer.Option(help="GPUs where there are any, or CPUs.")]


@run_app.command()
def train(
    preset: Annotated[str, typer.Argument(help="A row of the paper's tables, or a YAML file.")],
    data: Annotated[Path, typer.Argument(help="Folder of a prepared data set.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.  [runs/PRESET(-NETWORK)(-PROTOCOL)]")
    ] = None,
    fold: Folds = "all",
    protocol: Annotated[str, typer.Option(help="paper, author or community.")] = "paper",
    initial: Annotated[
        Path | None,
        typer.Option(help="Where the convolutions start: VGG's weights, or a run's last.ckpt."),
    ] = None,
    network: Annotated[str | None, typer.Option(help="In place of the preset's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="In place of the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the preset's.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed or 64-true.")
    ] = None,
    compile: Annotated[bool | None, typer.Option(help="Run through torch.compile.")] = None,
    set: Annotated[
        list[str] | None, typer.Option(help="Any other setting, as lr=3e-4; may be repeated.")
    ] = None,
    device: OnDevice = "auto",
    devices: Annotated[
        int | None, typer.Option(help="GPUs, or processes, of a node.  [1; as torchrun started]")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="[1; as torchrun or SLURM started]")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read ahead.  [2 for a GPU, else 0]")
    ] = None,
    save_seconds: Annotated[float, typer.Option(help="Between two checkpoints.")] = 60.0,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Train a network on each fold of a data set, or go on where that was stopped."""
    given = {
        "network": network,
        "epochs": epochs,
        "seed": seed,
        "precision": precision,
        "compile": compile,
    }
    with one_line_errors():
        from fastcaps.training.au_run import train_run
        from fastcaps.training.devices import Resources
        from fastcaps.training.prepared import open_prepared
        from fastcaps.training.presets import PAPER, load_preset, parse_changes

        _quiet_libraries()
        changes: dict[str, Any] = dict(parse_changes(set or []))
        options = {name: value for name, value in given.items() if value is not None}
        if twice := sorted(changes.keys() & options.keys()):
            raise InputError(f"set: expected {twice[0]} once, got it in an option as well")
        changes |= options
        settings = load_preset(preset, protocol, changes)
        names = (Path(preset).stem, network, None if protocol == PAPER else protocol)
        out = out or Path("runs") / "-".join(filter(None, names))
        train_run(
            open_prepared(data),
            settings,
            out,
            folds=_parse_folds(fold),
            resources=Resources(device, devices, nodes, workers, save_seconds, progress),
            initial=initial,
            report=typer.echo,
        )


@run_app.command()
def evaluate(
    run: Run,
    fold: Annotated[str, typer.Option(help="Numbers from 1, as 1,3.  [all that ended]")] = "all",
    resamples: Annotated[int, typer.Option(help="Of subjects, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
) -> None:
    """Measure F1, AUC and accuracy of a run's predictions, with confidence intervals."""
    with one_line_errors():
        from fastcaps.training.evaluation.evaluation import evaluate_run
        from fastcaps.training.tables.evaluation import evaluation_tables
        from fastcaps.training.tables.terminal import to_terminal

        for table in evaluation_tables(evaluate_run(run, _parse_folds(fold), resamples, seed)):
            table_console().print(to_terminal(table))


@run_app.command()
def tables(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of runs, evaluated.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write tables.md, .html and .tex there.")
    ] = None,
    intervals: Annotated[bool, typer.Option(help="Show those of single classes, too.")] = False,
) -> None:
    """Show the paper's tables, with runs beside its rows."""
    with one_line_errors():
        from fastcaps.training.evaluation.report import run_evaluation
        from fastcaps.training.tables.files import write_tables
        from fastcaps.training.tables.paper import make_tables
        from fastcaps.training.tables.terminal import to_terminal

        labels = _labels(runs or [])
        labelled = [
            (label, run_evaluation(run)) for label, run in zip(labels, runs or [], strict=True)
        ]
        made = make_tables(labelled, class_intervals=intervals)
        for table in made:
            table_console().print(to_terminal(table))
        if out is not None:
            write_tables(out, made)
            typer.echo(f"tables.md, tables.html and tables.tex are in {out}")


@run_app.command()
def compare(
    runs: Runs,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write comparison.md, .html, .tex and .json there."),
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(help="The runs' synthetic data set: compare by pose, light ... as well."),
    ] = None,
    latency: Annotated[bool, typer.Option(help="Time the networks on this machine.")] = True,
    resamples: Annotated[int, typer.Option(help="Of subjects, for the intervals.")] = 1000,
    device: OnDevice = "auto",
) -> None:
    """Set runs on the same folds beside each other; the others against the first."""
    with one_line_errors():
        from fastcaps.training.comparison import compare as compare_runs
        from fastcaps.training.comparison import comparison_tables, write_comparison
        from fastcaps.training.devices import Resources
        from fastcaps.training.latency import measure_latency
        from fastcaps.training.prepared import open_prepared
        from fastcaps.training.tables.terminal import to_terminal

        resources = Resources(device)
        compared = compare_runs(
            runs,
            measure_latency=(lambda run: measure_latency(run, resources)) if latency else None,
            data=None if conditions is None else open_prepared(conditions),
            resamples=resamples,
        )
        for table in comparison_tables(compared):
            table_console().print(to_terminal(table))
        if out is not None:
            write_comparison(out, compared)
            typer.echo(f"comparison.md, .html, .tex and .json are in {out}")


@run_app.command()
def analyze(
    run: Run,
    data: Annotated[Path, typer.Argument(help="The data set that it was trained on.")],
    fold: Annotated[int, typer.Option(help="Which fold, from 1.")] = 1,
    baseline: Annotated[
        Path | None, typer.Option(help="A run without capsules on the same folds.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report.  [RUN/fold-N/analysis]")
    ] = None,
    ascent: Annotated[
        list[str] | None,
        typer.Option(help="Of gradient ascent, as steps=200 or blur=[1,0.3]; may be repeated."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Where ascent climbs: mouth, nose ..., or ROW,COLUMN of the primary capsules' "
            "map; may be repeated.  [brows, eyes, mouth]"
        ),
    ] = None,
    unit: Annotated[
        int | None,
        typer.Option(help="Which primary capsule ascent climbs.  [most telling of the classes]"),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Of subjects, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    device: OnDevice = "auto",
) -> None:
    """Look inside a trained network: figures, claims as numbers, and a page to play with."""
    with one_line_errors():
        import torch

        from fastcaps.training.analysis.analyze import analyze as make_report
        from fastcaps.training.analysis.ascent import parse_ascent
        from fastcaps.training.analysis.context import Context
        from fastcaps.training.analysis.opened_fold import open_fold
        from fastcaps.training.analysis.report import REPORT
        from fastcaps.training.analysis.targets import parse_targets
        from fastcaps.training.faces.detectors import choose_device
        from fastcaps.training.prepared import open_prepared
        from fastcaps.training.run_files import fold_folder

        settings, targets = parse_ascent(ascent or [], seed), parse_targets(at or [], unit)
        prepared, place = open_prepared(data), torch.device(choose_device(device))
        context = Context(
            open_fold(run, prepared, fold, place),
            None if baseline is None else open_fold(baseline, prepared, fold, place),
            ascent=settings,
            targets=targets,
            resamples=resamples,
            seed=seed,
        )
        out = out or fold_folder(run, fold) / "analysis"
        sections = make_report(context, out, progress=progress_bar)
        for title, section in sections.items():
            for reason in section.missing:
                typer.echo(f"{title}: {reason}")
        typer.echo(f"the report is {out / REPORT}")


@run_app.command()
def export(
    run: Run,
    model: Annotated[Path, typer.Argument(help="The file to write.")],
    fold: Annotated[int, typer.Option(help="Whose network, from 1.")] = 1,
    decoder: Annotated[bool, typer.Option(help="Keep the decoder, too.")] = False,
    half: Annotated[bool, typer.Option(help="Store weights in half precision.")] = True,
) -> None:
    """Write a run's network to one file, for predict and for other programs."""
    with one_line_errors():
        from fastcaps.training.predictor import save_model
        from fastcaps.training.prepared import Shape
        from fastcaps.training.run_network import load_network, read_run

        settings, found = read_run(run)
        shape = Shape(found["input_side"], found["colour"])
        network = load_network(run, fold)
        try:
            save_model(
                model,
                network,
                settings.network,
                found["classes"],
                shape,
                half=half,
                decoder=decoder,
            )
        except OSError as error:
            raise InputError(f"model: {model} cannot be written: {error.strerror}") from error
    typer.echo(f"the network is in {model}")


@run_app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A file written by export.")],
    faces: Annotated[
        Path, typer.Argument(help="An npy or npz file with faces uint8 [N, height, width(, 3)].")
    ],
    out: Annotated[Path, typer.Argument(help="The table to write, a csv file.")],
    device: OnDevice = "auto",
) -> None:
    """Score cropped faces: 0 .. 1 for each class; an AU is present above 0.5."""
    with one_line_errors():
        import pandas as pd

        from fastcaps.training.face_arrays import read_faces
        from fastcaps.training.predictor import Predictor

        if not out.parent.is_dir():
            raise InputError(f"out: there is no folder {out.parent}")
        predictor = Predictor.load(model, device)
        scores = predictor.predict(read_faces(faces).faces)
        table = pd.DataFrame(scores, columns=list(predictor.classes))
        try:
            table.to_csv(out, index_label="face")
        except OSError as error:
            raise InputError(f"out: {out} cannot be written: {error.strerror}") from error
    typer.echo(f"{len(scores)} faces: {out}")


@run_app.command()
def faces(
    file: Annotated[
        Path, typer.Argument(help="An npz file: images uint8 [N, height, width(, 3)], labels.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the result, made if it is missing.")],
    action_units: Annotated[str, typer.Option(help="Of the labels' columns, as 6,12.")] = "12",
    size: Annotated[int, typer.Option(help="Of a network's input: 96 or 224 pixels.")] = 96,
    colour: Annotated[bool, typer.Option(help="RGB or gray frames.")] = False,
) -> None:
    """Make a prepared data set of faces that are cropped already."""
    with one_line_errors():
        from fastcaps.training.face_arrays import prepare_faces, read_faces

        read = read_faces(file)
        units = parse_numbers("action_units", action_units)
        made = prepare_faces(
            read.faces, read.labels, out, read.subjects, size, colour, tuple(units)
        )
    typer.echo(f"{len(made.frames)} frames are in {out}")


def _parse_folds(text: str) -> list[int] | None:
    return None if text == "all" else parse_numbers("fold", text)


def _labels(runs: list[Path]) -> list[str]:
    """Names of the runs' folders, or where several have the same, what was given."""
    names = [run.resolve().name for run in runs]
    return [
        str(run) if names.count(name) > 1 else name for run, name in zip(runs, names, strict=True)
    ]


def _quiet_libraries() -> None:
    """Lightning's advice is not for users of this command."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
