"""Training on digits: data checks, augmentation, learning, continuing after a stop, the command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_lightning", reason="needs the extra dependencies of training")
pytest.importorskip("typer", reason="needs the extra dependencies of training")

from typer.testing import CliRunner

from fastcaps.training.errors import InputError
from fastcaps.training.mnist import Settings, app, evaluate, train
from fastcaps.training.mnist_data import (
    BUNDLED,
    Batches,
    Digits,
    Images,
    InOrder,
    load_digits,
    shift,
)
from fastcaps.training.run_files import BEST, LAST
from fastcaps.training.run_folder import load_checkpoint
from tests.training.stopping import Stop, StopAt

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"
SETTINGS = Settings(network="small", batch_size=16, lr=3e-3, validation_fraction=0.25)
STEPS_PER_EPOCH = 3


def arrays(train: int = 64, test: int = 20) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "train_images": generator.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        "train_labels": np.arange(train) % 10,
        "test_images": generator.integers(0, 256, (test, 28, 28), dtype=np.uint8),
        "test_labels": np.arange(test) % 10,
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.npz"
    np.savez_compressed(path, **arrays())
    return path


@pytest.fixture
def tiny(archive: Path) -> Digits:
    return load_digits(str(archive), SETTINGS.validation_fraction)


def run(digits: Digits, out: Path, epochs: int = 2, **options: Any) -> Any:
    settings = options.pop("settings", SETTINGS)
    return train(digits, settings, out, epochs, device="cpu", progress=False, **options)


def sizes(digits: Digits) -> list[int]:
    return [len(part) for part in (digits.train, digits.validation, digits.test)]


def test_a_file_is_loaded_and_split(tiny: Digits) -> None:
    assert sizes(tiny) == [48, 16, 20]
    both = torch.cat([tiny.train.images, tiny.validation.images]).flatten(1)
    assert set(map(tuple, both.tolist())) == {
        tuple(image.flatten().tolist()) for image in arrays()["train_images"]
    }


def test_scikit_learns_digits_are_drawn_like_mnists() -> None:
    pytest.importorskip("sklearn")
    digits = load_digits(BUNDLED, 0.1)
    assert sizes(digits) == [
        1350,
        150,
        297,
    ]
    assert digits.test.images.shape == (297, 28, 28)
    assert digits.test.images.amax() > 200
    assert not digits.test.images[:, :4].any()


@pytest.mark.skipif(not MNIST.exists(), reason=f"needs {MNIST.name} in ../shared/data")
def test_mnist_is_loaded() -> None:
    digits = load_digits(str(MNIST), 0.05)
    assert sizes(digits) == [
        57000,
        3000,
        10000,
    ]
    assert digits.train.labels.bincount().amin() > 5000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_labels": None}, r"has no array test_labels, expected .* it has train_images"),
        ({"train_images": np.zeros((64, 28, 28))}, "train_images: expected uint8 .* got float64"),
        ({"train_images": np.zeros((64, 784), np.uint8)}, r"train_images: .* uint8 \[64, 784\]"),
        ({"test_images": np.zeros((0, 28, 28), np.uint8)}, "test_images: .* at least one image"),
        ({"train_labels": np.zeros(63, int)}, r"train_labels: .*\[64\].* got int64 \[63\]"),
        ({"train_labels": np.zeros(64)}, "train_labels: expected integers .* got float64"),
        ({"train_labels": np.full(64, 10)}, r"train_labels: expected 0 \.\. 9, got 10 \.\. 10"),
        ({"test_labels": np.full(20, -1)}, r"test_labels: expected 0 \.\. 9, got -1 \.\. -1"),
        ({"test_labels": np.array([None] * 20)}, "cannot be read"),
    ],
)
def test_a_bad_array_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    contents = {k: v for k, v in {**arrays(), **changed}.items() if v is not None}
    np.savez(tmp_path / "bad.npz", **contents)
    with pytest.raises(InputError, match=f"^data: .*{message}"):
        load_digits(str(tmp_path / "bad.npz"), 0.25)


@pytest.mark.parametrize("kept", [0, 10, 1000, 30_000])
def test_a_file_cut_off_anywhere_is_refused(archive: Path, kept: int) -> None:
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"^data: .*tiny.npz cannot be read, perhaps it is cut"):
        load_digits(str(archive), 0.25)


def test_a_damaged_file_is_refused(archive: Path) -> None:
    contents = bytearray(archive.read_bytes())
    contents[20_000:20_100] = bytes(100)
    archive.write_bytes(contents)
    with pytest.raises(InputError, match=r"^data: .*tiny.npz cannot be read"):
        load_digits(str(archive), 0.25)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data: expected an npz file with .*there is no file"):
        load_digits(str(tmp_path / "none.npz"), 0.25)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"^data: expected an npz file with train_images"):
        load_digits(str(tmp_path / "one.npy"), 0.25)


def test_nothing_left_to_train_on_is_refused(archive: Path) -> None:
    with pytest.raises(InputError, match=r"^validation_fraction: expected less than all 64"):
        load_digits(str(archive), 0.999)


def test_shift_moves_and_fills_with_zeros() -> None:
    images = torch.randint(1, 256, (25, 28, 28), dtype=torch.uint8)
    by = torch.cartesian_prod(torch.arange(-2, 3), torch.arange(-2, 3))
    for image, (down, right), moved in zip(images, by.tolist(), shift(images, by), strict=True):
        expected = image.roll((down, right), (0, 1))
        rows, columns = torch.arange(28) - down, torch.arange(28) - right
        expected[(rows < 0) | (rows > 27)] = 0
        expected[:, (columns < 0) | (columns > 27)] = 0
        assert torch.equal(moved, expected)


def numbered(count: int) -> Images:
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    return Images(images, torch.arange(count))


def test_batches_hold_every_image_once_in_an_order_of_their_own() -> None:
    batches = Batches(numbered(10), batch_size=4, seed=0)
    epochs = [[labels.tolist() for _, labels in batches] for _ in range(2)]
    for epoch in epochs:
        assert [len(labels) for labels in epoch] == [4, 4, 2]
        assert sorted(label for labels in epoch for label in labels) == list(range(10))
    assert epochs[0] != epochs[1]
    other = Batches(numbered(10), batch_size=4, seed=1)
    assert [labels.tolist() for _, labels in other] != epochs[0]


@pytest.mark.parametrize("batch", [0, 1, 2, 3])
def test_batches_can_be_taken_up_anywhere(tiny: Digits, batch: int) -> None:
    def collect(batches: Batches, epochs: int) -> list[torch.Tensor]:
        return [images for _ in range(epochs) for images, _ in batches]

    expected = collect(Batches(tiny.train, 20, seed=5), 3)
    continued = Batches(tiny.train, 20, seed=5)
    continued.start_at(epoch=1, batch=batch)
    actual = collect(continued, 2 if batch < 3 else 1)
    for a, b in zip(actual, expected[3 + batch :], strict=True):
        assert torch.equal(a, b)


def test_in_order_batches_hold_everything() -> None:
    batches = InOrder(numbered(10), 4)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3


def test_it_learns_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    digits = load_digits(BUNDLED, 0.1)
    result = run(digits, tmp_path, settings=replace(SETTINGS, lr_decay=0.7, batch_size=64))
    assert result.test_error < 0.4
    assert result.median_step_ms > 0
    assert json.loads((tmp_path / "result.json").read_text()) == asdict(result)
    assert evaluate(tmp_path / BEST, digits, device="cpu") == result.test_error


def final_state(out: Path) -> dict[str, Any]:
    """What two runs must share: all but times."""
    checkpoint = load_checkpoint(out / LAST)
    with open(out / "log.csv") as file:
        rows = [
            {name: float(value) for name, value in row.items() if name != "step_ms"}
            for row in csv.DictReader(file)
        ]
    names = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    best = load_checkpoint(out / BEST)["state_dict"]
    return {name: checkpoint[name] for name in names} | {"rows": rows, "best": best}


@pytest.fixture
def uninterrupted(tiny: Digits, tmp_path: Path) -> dict[str, Any]:
    run(tiny, tmp_path / "whole")
    return final_state(tmp_path / "whole")


def assert_same(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("save_seconds", [0.0, 60.0])
def test_a_stopped_run_ends_as_if_it_had_not_been(
    tiny: Digits, tmp_path: Path, uninterrupted: dict[str, Any], save_seconds: float
) -> None:
    out = tmp_path / "stopped"
    for step in (0, 1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 2):
        with pytest.raises(Stop):
            run(tiny, out, save_seconds=save_seconds, callbacks=(StopAt(step),))
    run(tiny, out, save_seconds=save_seconds)
    assert_same(final_state(out), uninterrupted)


KILLED = """
import os, signal, sys
from pathlib import Path
from fastcaps.training import mnist, run_folder
from fastcaps.training.mnist_data import load_digits

replace, left = os.replace, int(sys.argv[3])

def replace_or_die(*paths):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)

os.replace = replace_or_die
settings = mnist.Settings(network="small", batch_size=16, lr=3e-3, validation_fraction=0.25)
digits = load_digits(sys.argv[1], settings.validation_fraction)
mnist.train(digits, settings, Path(sys.argv[2]), 2, device="cpu", save_seconds=0, progress=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_a_run_killed_while_it_writes_ends_as_if_it_had_not_been(
    archive: Path, tiny: Digits, tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    out = tmp_path / "killed"
    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    # Writes: settings, two steps, log, best, last, then the same of the second epoch.
    for writes in (4, 1):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(archive), str(out), str(writes)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": search},
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
    run(tiny, out)
    assert_same(final_state(out), uninterrupted)


def test_a_finished_run_can_be_made_longer_but_not_shorter(tiny: Digits, tmp_path: Path) -> None:
    run(tiny, tmp_path / "longer", epochs=1)
    assert run(tiny, tmp_path / "longer", epochs=1).epochs == 1
    assert run(tiny, tmp_path / "longer", epochs=2).epochs == 2
    run(tiny, tmp_path / "whole", epochs=2)
    assert_same(final_state(tmp_path / "longer"), final_state(tmp_path / "whole"))
    with pytest.raises(InputError, match=r"^epochs: .* past epoch 2, got 1"):
        run(tiny, tmp_path / "longer", epochs=1)


def test_a_folder_of_another_run_is_refused(tiny: Digits, tmp_path: Path) -> None:
    run(tiny, tmp_path, epochs=1)
    with pytest.raises(InputError, match=r"^out: .* lr is 0.003 there and 0.1 here; seed is"):
        run(tiny, tmp_path, settings=replace(SETTINGS, lr=0.1, seed=3))
    with pytest.raises(InputError, match=r"^out: .* data is '"):
        run(replace(tiny, digest="other"), tmp_path)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(InputError, match=r"^out: .* has last.ckpt, best.ckpt, log.csv, res"):
        run(tiny, tmp_path)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"^out: .*settings.json: cannot be read"):
        run(tiny, tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tiny: Digits, archive: Path) -> None:
    with pytest.raises(InputError, match=r"^out: .* cannot be made a folder"):
        run(tiny, archive)


def test_a_damaged_checkpoint_is_refused(tiny: Digits, tmp_path: Path) -> None:
    run(tiny, tmp_path, epochs=1)
    path = tmp_path / LAST
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"^checkpoint: .*last.ckpt cannot be read"):
        run(tiny, tmp_path)
    with pytest.raises(InputError, match=r"^checkpoint: there is no file"):
        evaluate(tmp_path / "none.ckpt", tiny)
    torch.save({"state_dict": {}, "hyper_parameters": {}}, path)
    with pytest.raises(InputError, match=r"^checkpoint: .*last.ckpt is not of this program"):
        evaluate(path, tiny)
    torch.save([1], path)
    with pytest.raises(InputError, match=r"^checkpoint: .*last.ckpt is not a checkpoint"):
        evaluate(path, tiny)


def test_a_checkpoint_that_would_run_code_is_refused(tiny: Digits, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "code": Path}, tmp_path / "code.ckpt")
    with pytest.raises(InputError, match=r"^checkpoint: .*code.ckpt cannot be read"):
        evaluate(tmp_path / "code.ckpt", tiny)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "huge"}, "^network: expected one of full, small, got huge"),
        ({"backend": "quick"}, "^backend: expected one of cuda, .* got quick"),
        ({"batch_size": 0}, "^batch_size: expected at least 1, got 0"),
        ({"lr": 0}, "^lr: expected a finite number above 0, got 0"),
        ({"lr": float("nan")}, "^lr: .* got nan"),
        ({"lr_decay": 1.5}, r"^lr_decay: expected a number in \(0, 1\], got 1.5"),
        ({"seed": -1}, "^seed: .* got -1"),
        ({"reconstruction_weight": -1}, "^reconstruction_weight: expected at least 0, got -1"),
        ({"validation_fraction": 1}, r"^validation_fraction: expected a number in \(0, 1\), got 1"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**options)


@pytest.mark.parametrize("changes", [{"precision": "bf16-mixed"}, {"precision": "64-true"}])
def test_other_precisions_train(tiny: Digits, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = run(tiny, tmp_path, epochs=1, settings=replace(SETTINGS, **changes))
    assert 0 <= result.test_error <= 1


def test_the_compiled_network_trains_to_the_same_checkpoint(tiny: Digits, tmp_path: Path) -> None:
    run(tiny, tmp_path / "compiled", epochs=1, settings=replace(SETTINGS, compile=True))
    run(tiny, tmp_path / "eager", epochs=1)
    compiled, eager = (final_state(tmp_path / name) for name in ("compiled", "eager"))
    torch.testing.assert_close(compiled["state_dict"], eager["state_dict"], rtol=1e-3, atol=1e-3)


def test_the_command_trains_and_evaluates(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["--data", str(archive), "--device", "cpu", "--no-progress"]
    trained = CliRunner().invoke(
        app, [*common, "--small", "--epochs", "1", "--batch-size", "16", "--out", str(out)]
    )
    assert trained.exit_code == 0, trained.output
    assert "test error" in trained.output
    assert "median step time" in trained.output
    tested = CliRunner().invoke(app, [*common, "--evaluate", str(out / BEST)])
    assert tested.exit_code == 0, tested.output
    assert "test error" in tested.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none.npz"], "error: data: expected an npz file"),
        (["--backend", "cuda", "--data", "TINY"], "error: backend 'cuda' cannot run squash: it"),
        (["--backend", "quick"], "error: backend: expected one of"),
        (["--lr", "nan"], "error: lr: expected"),
    ],
)
def test_the_command_tells_bad_input_in_one_line(
    archive: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = [str(archive) if argument == "TINY" else argument for argument in arguments]
    result = CliRunner().invoke(app, [*given, "--device", "cpu", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
