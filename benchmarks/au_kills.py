"""Whether training of action units ends the same however often it is killed.

    python benchmarks/au_kills.py OUT

Trains AUCapsNet on made-up pictures once from beginning to end, and once killed by SIGKILL at
random moments and started again each time; then compares weights, optimiser and scores bit by bit.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer

from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.run_files import LAST, PREDICTIONS, TRAINING_PREDICTIONS, fold_folder
from fastcaps.training.run_folder import load_checkpoint

FACES, SIDE, PEOPLE = 320, 64, 8
SETTINGS = ("fold_count=2", "batch_size=8", "augmentation={}", "epochs=60")
COMMAND = (sys.executable, "-m", "fastcaps.training.cli", "train", "smiles")
OPTIONS = ("--fold=1", "--save-seconds=1", "--device=cpu", "--no-progress")


def main(
    out: Annotated[Path, typer.Argument(help="An empty folder, made if it is missing.")],
    kills: Annotated[int, typer.Option(help="How many.")] = 10,
    longest: Annotated[float, typer.Option(help="Most seconds from a start to a kill.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Kill a run, and compare its end with that of one that was left alone."""
    data = _data(out / "data")
    if _train(data, out / "whole").wait():
        raise typer.Exit(1)
    moments = random.Random(seed)
    done = 0
    while done < kills:
        process = _train(data, out / "killed")
        time.sleep(moments.uniform(longest / 3, longest))
        if process.poll() is not None:
            typer.echo("the run ended before it was killed; give a smaller --longest")
            raise typer.Exit(1)
        process.kill()
        process.wait()
        done += 1
        typer.echo(f"killed after {_steps(out / 'killed')} steps")
    if _train(data, out / "killed").wait():
        raise typer.Exit(1)
    same = _end(out / "whole") == _end(out / "killed")
    typer.echo(f"{done} kills, {'the same' if same else 'NOT the same'} in every bit")
    raise typer.Exit(0 if same else 1)


def _data(folder: Path) -> Path:
    numbers = np.random.default_rng(0)
    faces = numbers.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    labels = numbers.integers(0, 2, (FACES, 2)).astype(np.int8)
    people = [f"s{place % PEOPLE}" for place in range(FACES)]
    return prepare_faces(faces, labels, folder, people, action_units=(6, 12)).folder


def _train(data: Path, out: Path) -> subprocess.Popen[bytes]:
    changes = [f"--set={change}" for change in SETTINGS]
    return subprocess.Popen([*COMMAND, str(data), f"--out={out}", *OPTIONS, *changes])


def _steps(run: Path) -> int:
    path = fold_folder(run, 1) / LAST
    return int(load_checkpoint(path)["global_step"]) if path.exists() else 0


def _end(run: Path) -> list[Any]:
    """All that a run leaves but times, as bytes."""
    fold = fold_folder(run, 1)
    checkpoint = load_checkpoint(fold / LAST)
    tensors = [*checkpoint["state_dict"].items(), *_moments(checkpoint)]
    tables = [pd.read_parquet(fold / name) for name in (PREDICTIONS, TRAINING_PREDICTIONS)]
    return [
        *((name, tensor.numpy().tobytes()) for name, tensor in tensors),
        *(table.to_csv() for table in tables),
    ]


def _moments(checkpoint: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """Adam's."""
    return [
        (f"{number} {name}", value)
        for optimizer in checkpoint["optimizer_states"]
        for number, state in optimizer["state"].items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    ]


if __name__ == "__main__":
    typer.run(main)
