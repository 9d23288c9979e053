"""Every network of ``fastcaps-au`` on the same made-up people, on the same folds.

    python benchmarks/au_synthetic.py [OUT] [--rig ict_face_rig.npz]

Makes the people, trains and evaluates each network on three folds by subject, and compares them:
OUT/comparison.md, .html, .tex and .json. What was done before, or stopped, goes on where it was.

That takes many hours on two cores. OUT is ``benchmarks/results/au-synthetic``, where predictions
and logs of the folds that have been trained are committed, without weights: these folds are not
trained again. The people are the same on every machine; where they are not, runs refuse them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

PEOPLE = "people"
RESULTS = Path(__file__).parent / "results" / "au-synthetic"

RUNS: Mapping[str, tuple[str, ...]] = {
    "AUCapsNet": (),
    "AUCapsNet-inputs": (
        "title=AUCapsNet, softmax over inputs",
        "softmax_over=inputs",
        # Weights start 32 times as large there, with 12 classes.
        "lr_factors.classes=10",
    ),
    "ConvNet": ("network=ConvNet",),
    "HOG-SVM": ("network=HOG-SVM",),
    "DRML": ("network=DRML",),
    "AlexNet": ("network=AlexNet", "lr=1e-4", "lr_from_epoch={11: 3.0e-5, 14: 1.0e-5}"),
    # Of pictures this small, and without weights of other pictures to start from.
    "VGG": ("title=VGG, from scratch", "network=VGG"),
    "VGGCapsNet": ("title=VGGCapsNet, from scratch", "network=VGGCapsNet", "dropout=0.5"),
}
"""What each run changes of the preset ``synthetic``; those after the first are compared with it."""

COMMAND = (sys.executable, "-m", "fastcaps.training.cli")


def main(
    out: Annotated[
        Path, typer.Argument(help="Folder of everything, made if it is missing.")
    ] = RESULTS,
    rig: Annotated[Path | None, typer.Option(help="A face rig.  [drawn faces]")] = None,
    subjects: Annotated[int, typer.Option(help="People.")] = 48,
    frames_per_subject: Annotated[int, typer.Option(help="Of each of them.")] = 100,
    epochs: Annotated[int, typer.Option(help="Of each network; slower from the 11th on.")] = 15,
    precision: Annotated[
        str, typer.Option(help="See fastcaps-au train --help; bf16-mixed pays with AMX.")
    ] = "32-true",
    networks: Annotated[str, typer.Option(help="Some of them, as AUCapsNet,ConvNet.")] = "all",
    folds: Annotated[str, typer.Option(help="Some of them, as 1,2.")] = "all",
    latency: Annotated[
        bool, typer.Option(help="Time the networks, of which weights have to be there.")
    ] = True,
) -> None:
    """Compare all networks on made-up people."""
    chosen = list(RUNS) if networks == "all" else networks.split(",")
    if unknown := [name for name in chosen if name not in RUNS]:
        raise typer.BadParameter(f"expected some of {', '.join(RUNS)}, got {', '.join(unknown)}")
    people = out / PEOPLE
    made = [str(people), f"--subjects={subjects}", f"--frames-per-subject={frames_per_subject}"]
    _run("synth", *made, *([f"--rig={rig}"] if rig else []))
    for name in chosen:
        changes = [f"--set={change}" for change in RUNS[name]]
        options = [f"--out={out / name}", f"--epochs={epochs}", f"--precision={precision}"]
        _run("train", "synthetic", str(people), f"--fold={folds}", *options, *changes)
        _run("evaluate", str(out / name))
    if len(chosen) > 1:
        timed = "--latency" if latency else "--no-latency"
        folders = [str(out / name) for name in chosen]
        _run("compare", *folders, f"--out={out}", f"--conditions={people}", timed)


def _run(*arguments: str) -> None:
    typer.echo(f"fastcaps-au {' '.join(arguments)}")
    done = subprocess.run([*COMMAND, *arguments], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


if __name__ == "__main__":
    typer.run(main)
