"""The command ``fastcaps-au``: facial action units, from a data set's own files to tables.

What works on data is here, what works on runs in :mod:`fastcaps.training.run_commands`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from fastcaps.training.action_units import (
    ACTION_UNITS,
    BP4D_ACTION_UNITS,
    DISFA_ACTION_UNITS,
)
from fastcaps.training.console import (
    one_line_errors,
    parse_numbers,
    progress_bar,
    table_console,
)
from fastcaps.training.contact_sheet import (
    action_unit_sheet,
    augmentation_sheet,
    contact_sheet,
    save_picture,
)
from fastcaps.training.errors import InputError
from fastcaps.training.faces.before_after import BeforeAfter, before_and_after
from fastcaps.training.faces.detectors import DetectorName, Device, choose_device, make_detector
from fastcaps.training.inspection import tables
from fastcaps.training.merging import merge as merge_shards
from fastcaps.training.preparation import Alignment, Options, Resources, Summary
from fastcaps.training.preparation import prepare as prepare_data
from fastcaps.training.prepared import LEFT_OUT, Shape, open_prepared
from fastcaps.training.readers.bp4d import Bp4d
from fastcaps.training.readers.ckplus import CkPlus
from fastcaps.training.readers.disfa import Camera, Disfa
from fastcaps.training.readers.sequences import Reader
from fastcaps.training.readers.table import Table
from fastcaps.training.run_commands import run_app
from fastcaps.training.synthetic.renderers import make_renderer
from fastcaps.training.synthetic.rigged.convert import convert_rig
from fastcaps.training.synthetic.settings import LayoutName, Settings
from fastcaps.training.synthetic.sheet import people_sheet
from fastcaps.training.synthetic.synthesis import synthesize

__all__ = ["app"]

DataSet = Literal["bp4d", "disfa", "ckplus", "csv"]

SHOWN_PROBLEMS = 20
SHEET_SIDE = 192

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Facial action units, from a data set's own files to the tables of a paper.",
)

app.add_typer(run_app)

rig_app = typer.Typer(no_args_is_help=True)
app.add_typer(rig_app, name="rig", help="Face rigs for synth.")

Out = Annotated[Path, typer.Argument(help="Folder of the result, made if it is missing.")]
Rig = Annotated[
    Path | None,
    typer.Option(help="A face rig, see 'rig convert'.  [faces drawn in two dimensions]"),
]
FaceDetector = Annotated[
    str | None,
    typer.Option(help="face-alignment: sfd, blazeface; dlib: hog, cnn.  [the first]"),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes at work.  [one a processor, or one on a GPU]")
]


@app.command()
def prepare(
    data_set: Annotated[DataSet, typer.Argument(help="Whose layout ROOT has.")],
    root: Annotated[Path, typer.Argument(help="The data set's folder, as distributed.")],
    out: Out,
    size: Annotated[int, typer.Option(help="Of a network's input: 96 or 224 pixels.")] = 96,
    colour: Annotated[
        bool | None, typer.Option(help="RGB or gray frames.  [gray for 96, RGB for 224]")
    ] = None,
    align: Annotated[
        Alignment, typer.Option(help="Where landmarks come from; 'given': with the data set.")
    ] = "face-alignment",
    landmarks: Annotated[
        Path | None, typer.Option(help="With --align given: a table of landmarks to use instead.")
    ] = None,
    face_detector: FaceDetector = None,
    device: Annotated[Device, typer.Option(help="Of face-alignment's networks.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Pictures they work on at once.")] = 8,
    action_units: Annotated[
        str | None, typer.Option(help="As 1,2,4,6.  [the data set's usual ones]")
    ] = None,
    camera: Annotated[Camera, typer.Option(help="disfa: whose videos.")] = "left",
    positive_from: Annotated[
        int, typer.Option(help="disfa: intensity from which an action unit is present.")
    ] = 2,
    labels: Annotated[
        Path | None, typer.Option(help="csv: the table of labels.  [ROOT/labels.csv]")
    ] = None,
    shard: Annotated[
        str, typer.Option(help="As i/n: only the i-th, from 0, of n parts; see merge.")
    ] = "0/1",
    workers: Workers = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Exit with 0 even where something was left out.")
    ] = False,
) -> None:
    """Turn a data set into aligned faces and labels, or go on where that was stopped."""
    with one_line_errors():
        units = _parse_action_units(action_units)
        readers: dict[DataSet, Callable[[], tuple[Reader, dict[str, Any]]]] = {
            "bp4d": lambda: (Bp4d(root, units or BP4D_ACTION_UNITS), {}),
            "disfa": lambda: (
                Disfa(root, units or DISFA_ACTION_UNITS, camera, positive_from),
                {"camera": camera, "positive_from": positive_from},
            ),
            "ckplus": lambda: (CkPlus(root, units or tuple(ACTION_UNITS)), {}),
            "csv": lambda: _table(root, labels or root / "labels.csv", units),
        }
        reader, chosen = readers[data_set]()
        options = Options(
            shape=Shape(size, colour=size == 224 if colour is None else colour),
            alignment=align,
            landmarks=landmarks,
            face_detector=face_detector,
            shard=_parse_shard(shard),
        )
        described = {"data_set": data_set, "action_units": reader.action_units, **chosen}
        on_gpu = align == "face-alignment" and choose_device(device) == "cuda"
        resources = Resources(workers or (1 if on_gpu else _processes(None)), device, batch)
        with progress_bar("frames") as progress:
            summary = prepare_data(
                reader, root, out, options, described, resources=resources, progress=progress
            )
    _report(summary, out, allow_missing)


@app.command()
def merge(
    out: Out,
    shards: Annotated[list[Path], typer.Argument(help="Folders of all shards, in any order.")],
) -> None:
    """Join the shards of a data set that were prepared apart."""
    with one_line_errors():
        merged = merge_shards(out, shards)
    typer.echo(f"{len(merged.frames)} frames of {len(shards)} shards are in {out}")


@app.command()
def synth(
    out: Out,
    subjects: Annotated[int, typer.Option(help="How many people.")] = 40,
    frames_per_subject: Annotated[int, typer.Option(help="With labels.")] = 500,
    layout: Annotated[LayoutName, typer.Option(help="Whose files to write.")] = "prepared",
    rig: Rig = None,
    side: Annotated[
        int | None, typer.Option(help="Of the pictures, in pixels.  [192; prepared: twice size]")
    ] = None,
    size: Annotated[int, typer.Option(help="prepared: of a network's input, 96 or 224.")] = 96,
    colour: Annotated[
        bool | None, typer.Option(help="prepared: RGB or gray.  [gray for 96, RGB for 224]")
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    workers: Workers = None,
) -> None:
    """Make up people who show action units, or go on where that was stopped."""
    with one_line_errors():
        settings = Settings(
            layout=layout,
            subjects=subjects,
            frames_per_subject=frames_per_subject,
            side=side,
            seed=seed,
            rig=rig,
            input_side=size,
            colour=size == 224 if colour is None else colour,
        )
        with progress_bar("pictures") as progress:
            made = synthesize(out, settings, workers=_processes(workers), progress=progress)
    typer.echo(
        f"{made.frames} frames of {made.subjects} people in {made.recordings} recordings are "
        f"in {out}"
    )


@app.command()
def show(
    picture: Annotated[Path, typer.Argument(help="The picture: a PNG or JPEG file.")],
    subjects: Annotated[int, typer.Option(min=1, help="How many people.")] = 8,
    rig: Rig = None,
    side: Annotated[int, typer.Option(min=16, help="Of each face, in pixels.")] = 96,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw each action unit alone on several made-up people, those that synth makes."""
    with one_line_errors():
        _save("picture", picture, people_sheet(make_renderer(rig), subjects, side, seed))


@app.command()
def align(
    out: Annotated[Path, typer.Argument(help="The sheet: a PNG or JPEG file.")],
    pictures: Annotated[list[Path], typer.Argument(help="Photographs with faces.")],
    detector: Annotated[DetectorName, typer.Option()] = "face-alignment",
    face_detector: FaceDetector = None,
    device: Annotated[Device, typer.Option(help="Of face-alignment's networks.")] = "auto",
) -> None:
    """Show what alignment makes of the faces in some pictures, before and after."""
    with one_line_errors():
        finder = make_detector(detector, device=device, face_detector=face_detector)
        shown: list[BeforeAfter] = []
        for picture in pictures:
            try:
                shown += before_and_after(picture, finder)
            except InputError as error:
                typer.echo(f"left out: {error}", err=True)
        captions, rows = [caption for caption, _ in shown], [faces for _, faces in shown]
        if not shown:
            raise InputError(f"pictures: no face was found in {len(pictures)} pictures")
        _save("out", out, contact_sheet(rows, captions, SHEET_SIDE))
        for caption in captions:
            typer.echo(caption)


@rig_app.command()
def convert(
    checkout: Annotated[Path, typer.Argument(help="Folder of a checkout of ICT-FaceKit.")],
    out: Annotated[Path, typer.Argument(help="The rig, an npz file.")],
) -> None:
    """Make a face rig of ICT-FaceKit Light (github.com/ICT-VGL/ICT-FaceKit, MIT licence)."""
    with one_line_errors():
        convert_rig(checkout, out)
    typer.echo(f"the rig is in {out}")


@app.command()
def inspect(
    out: Annotated[Path, typer.Argument(help="Folder of a prepared data set.")],
    sheet: Annotated[
        Path | None, typer.Option(help="The contact sheet.  [OUT/contact_sheet.png]")
    ] = None,
    augmented: Annotated[
        Path | None, typer.Option(help="Also write a sheet of frames as training changes them.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Compare all files with their checksums.")] = False,
) -> None:
    """Show counts for each action unit and subject, and write a contact sheet."""
    with one_line_errors():
        prepared = open_prepared(out)
        if not len(prepared.frames):
            raise InputError(f"{out}: has no frames; see {out / LEFT_OUT}")
        if check:
            prepared.check()
        console = table_console()
        for table in tables(prepared):
            console.print(table)
        sheet = sheet or out / "contact_sheet.png"
        _save("sheet", sheet, action_unit_sheet(prepared))
        if augmented is not None:
            _save("augmented", augmented, augmentation_sheet(prepared))
    left_out = prepared.meta["left_out"]
    if left_out:
        typer.echo(f"{left_out} things were left out: {out / LEFT_OUT}")


def _processes(workers: int | None) -> int:
    return workers or len(os.sched_getaffinity(0))


def _table(
    root: Path, labels: Path, units: tuple[int, ...] | None
) -> tuple[Reader, dict[str, Any]]:
    return Table(root, labels, units), {"labels": str(labels.resolve())}


def _parse_action_units(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    return tuple(sorted(parse_numbers("action_units", text)))


def _parse_shard(text: str) -> tuple[int, int]:
    try:
        number, count = map(int, text.split("/"))
    except ValueError as error:
        raise InputError(f"shard: expected i/n, as 0/4, got {text!r}") from error
    return number, count


def _save(option: str, path: Path, picture: NDArray[np.uint8]) -> None:
    try:
        save_picture(path, picture)
    except OSError as error:
        raise InputError(f"{option}: {path} cannot be written: {error.strerror}") from error
    typer.echo(f"contact sheet: {path}")


def _report(summary: Summary, out: Path, allow_missing: bool) -> None:
    for note in summary.notes:
        typer.echo(f"note: {note}")
    problems = summary.problems
    for row in problems.head(SHOWN_PROBLEMS).itertuples():
        frame = "" if row.frame is pd.NA else f" frame {row.frame}"
        typer.echo(f"left out: {row.file}{frame}: {row.reason}", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        typer.echo(f"... and {len(problems) - SHOWN_PROBLEMS} more", err=True)
    typer.echo(
        f"{summary.frames} frames are in {out}; {len(problems)} things were left out", err=True
    )
    if len(problems):
        typer.echo(f"all that was left out: {out / LEFT_OUT}", err=True)
        if not allow_missing:
            raise typer.Exit(1)


if __name__ == "__main__":
    app()
