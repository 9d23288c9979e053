"""Two processes that share each batch learn what one process does, also if they are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastcaps.training.batches import Shuffled
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_files import LAST, RESULT
from fastcaps.training.run_folder import load_checkpoint
from fastcaps.training.run_network import network_weights
from tests.training.au_runs import final_state, small_data, some_labels, train

SETTINGS: dict[str, Any] = {
    "network": "AUCapsNet",
    "epochs": 1,
    "batch_size": 4,
    "dropout": 0.0,
    # Adam enlarges rounding where a gradient is nearly 0.
    "precision": "64-true",
}

PROGRAM = """
import os
import signal
import sys

from fastcaps.training import run_folder
from fastcaps.training.cli import app

dies_in = sys.argv.pop(1)
run_folder.STEPS_BETWEEN_CLOCKS = 1
save = run_folder.SaveCheckpoints.on_train_batch_end

def save_and_die(self, trainer, *args):
    save(self, trainer, *args)
    if self.folder.name == dies_in:
        trainer.strategy.barrier()
        os.kill(os.getpid(), signal.SIGKILL)

run_folder.SaveCheckpoints.on_train_batch_end = save_and_die
app()
"""
"""The command line, which saves after every step; killed after the first one of a fold."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Of half the subjects' frames hardly anything is known."""
    labels = some_labels(24, 2, seed=1)
    labels[::4, 1] = -1
    labels[1::8] = np.where(labels[1::8] == 1, 1, -1)
    return small_data(tmp_path_factory.mktemp("data") / "data", labels)


def known_of_each(data: Prepared) -> list[list[int]]:
    """How many labels each of two devices knows of each batch."""
    of_fold = data.index["subject"].isin(["s1", "s3"]) & (data.labels != -1).any(1)
    rows = np.flatnonzero(of_fold)
    shares = [Shuffled(rows, SETTINGS["batch_size"], 0, (number, 2)) for number in (0, 1)]
    return [[int((data.labels[rows] != -1).sum()) for rows in share] for share in shares]


def train_by_two(preset: Path, data: Prepared, out: Path, dies_in: str) -> int:
    """Train all folds, with two processes; torchrun's exit code."""
    program = out.parent / "program.py"
    program.write_text(PROGRAM)
    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(program), dies_in, "train", str(preset), str(data.folder), "--fold", "all"),
        *("--out", str(out), "--device", "cpu", "--no-progress", "--save-seconds", "0"),
    ]
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


def test_two_processes_equal_one_with_the_same_batches(data: Prepared, tmp_path: Path) -> None:
    first, second = known_of_each(data)
    assert len(first) >= 2
    assert any(one != other for one, other in zip(first, second, strict=True))

    train(data, tmp_path / "one", folds=(1, 2), **SETTINGS)
    settings = json.loads((tmp_path / "one" / "settings.json").read_text())
    changes = {name: value for name, value in settings.items() if name not in ("data", "initial")}
    preset = tmp_path / "own.yaml"
    preset.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in changes.items()))
    assert train_by_two(preset, data, tmp_path / "two", dies_in="fold-2") != 0
    assert (tmp_path / "two" / "fold-1" / RESULT).exists()
    left = load_checkpoint(tmp_path / "two" / "fold-2" / LAST)
    assert left["global_step"] == 1
    assert train_by_two(preset, data, tmp_path / "two", dies_in="no fold") == 0

    for fold in ("fold-1", "fold-2"):
        one, two = (network_weights(tmp_path / name / fold / LAST) for name in ("one", "two"))
        torch.testing.assert_close(two, one, rtol=0, atol=1e-8)
        alone, together = (final_state(tmp_path / name / fold) for name in ("one", "two"))
        assert together["result"] == pytest.approx(alone["result"])
        assert together["global_step"] == alone["global_step"] >= len(first)
        for line, expected in zip(together["log"], alone["log"], strict=True):
            assert line == pytest.approx(expected, rel=1e-6)
        for name, (scores, labels) in alone["predictions"].items():
            torch.testing.assert_close(together["predictions"][name][0], scores, rtol=0, atol=1e-5)
            assert torch.equal(together["predictions"][name][1], labels)
    found = json.loads((tmp_path / "two" / "settings.json").read_text())
    assert found == settings
