"""The benchmark of training networks for action units: what it times, and what it tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("torchvision", reason="needs the extra au")
pytest.importorskip("typer", reason="needs the extra au")

import typer

from benchmarks import au_training
from benchmarks.au_steps import CLASSES, PARTS, PRECISIONS, TrainedNetwork
from benchmarks.au_training_report import (
    CAPSULES,
    REFERENCE,
    STEP,
    Timing,
    TrainingReport,
    read,
    tables,
    write,
)
from benchmarks.readme import au_training_part
from benchmarks.results import Machine
from fastcaps.training.batches import Batch

MACHINE = Machine("cpu", "Some CPU", "AVX2", 2, "Linux", {"torch": "2.10"}, 1e11, 1e10)


def _report() -> TrainingReport:
    races = [
        Timing(work, "AUCapsNet", "32-true", 128, [seconds, 9.0, seconds], backend)
        for work, backend, seconds in (
            (STEP, None, 0.5),
            (STEP, REFERENCE, 1.0),
            (CAPSULES, None, 0.05),
            (CAPSULES, REFERENCE, 0.6),
        )
    ]
    parts = [
        Timing(work, "AUCapsNet", "32-true", 128, [seconds], workers=workers)
        for workers in (0, 1)
        for work, seconds in (("read", 0.002 - 0.001 * workers), ("augment", 0.006))
    ]
    networks = [
        Timing(work, network, "bf16-mixed", batch, [0.25])
        for network in ("AUCapsNet", "VGG")
        for work, batch in ((STEP, 32), ("scores, one image", 1), ("scores", 128))
    ]
    return TrainingReport(MACHINE, races, parts, networks)


def test_command_times_all_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(au_training, "measure_machine", lambda *_: MACHINE)
    path = tmp_path / "folder" / "report.json"
    au_training.main(device="cpu", quick=True, json_file=path)
    report = read(path)
    assert report.machine == MACHINE
    assert [(t.work, t.precision, t.backend, t.batch) for t in report.races] == [
        (work, precision, backend, 4)
        for precision in PRECISIONS
        for backend in (None, REFERENCE)
        for work in (STEP, CAPSULES)
    ]
    assert [(t.workers, t.precision, t.work) for t in report.parts] == [
        (workers, precision, part)
        for workers in (0, 1)
        for precision in PRECISIONS
        for part in PARTS
    ]
    assert [(t.network, t.precision, t.work, t.batch) for t in report.networks] == [
        (network, precision, work, batch)
        for network in ("AUCapsNet", "ConvNet")
        for precision in PRECISIONS
        for work, batch in ((STEP, 2), ("scores, one image", 1), ("scores", 4))
    ]
    timings = [*report.races, *report.parts, *report.networks]
    assert all(len(t.seconds) == 1 and t.median > 0 for t in timings)
    assert "Some CPU" in capsys.readouterr().out


def test_parts_are_a_training_step() -> None:
    rng = np.random.default_rng(0)
    batch = Batch(
        torch.from_numpy(rng.integers(0, 256, (3, 110, 110), dtype=np.uint8)),
        torch.from_numpy(rng.integers(0, 2, (3, CLASSES), dtype=np.int8)),
        torch.arange(3),
    )
    trained = TrainedNetwork("AUCapsNet", "cpu")
    before = [parameter.detach().clone() for parameter in trained.objective.parameters()]
    seconds = trained.parts(iter([batch, batch]), "32-true")
    assert len(seconds) == len(PARTS)
    assert min(seconds) > 0
    changed = [
        not torch.equal(old, new)
        for old, new in zip(before, trained.objective.parameters(), strict=True)
    ]
    assert all(changed)
    # No hook stays behind, to mark the next step twice.
    assert len(trained.parts(iter([batch]), "bf16-mixed")) == len(PARTS)


def test_backends_are_trained_alike() -> None:
    ours, theirs = (TrainedNetwork("AUCapsNet", "cpu", backend) for backend in (None, REFERENCE))
    images, labels = ours.random_batch(2)
    torch.testing.assert_close(ours.scores(images, "32-true"), theirs.scores(images, "32-true"))
    grads = []
    for trained in (ours, theirs):
        torch.manual_seed(1)
        grads.append(trained.capsule_part(images, "32-true")())
        trained.step(images, labels, "32-true")
    for mine, other in zip(*grads, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_report_survives_json(tmp_path: Path) -> None:
    write(_report(), tmp_path / "report.json")
    assert read(tmp_path / "report.json") == _report()


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"machine": {}})])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json: expected a report of au_training"):
        read(path)


def test_tables_hold_medians_ratios_and_shares() -> None:
    races, parts, networks = tables(_report())
    assert races.rows == [
        ["training step, 32-true", "500 ms", "100%", "1000 ms", "100%", "2.00", "2.50"],
        ["capsule part, 32-true", "50 ms", "10%", "600 ms", "60%", "12.00", ""],
    ]
    assert parts.columns == ["", "32-true, 0 workers", "32-true, 1 worker"]
    assert parts.rows == [
        ["read", "2 ms, 25.0%", "1 ms, 14.3%"],
        ["augment", "6 ms, 75.0%", "6 ms, 85.7%"],
        ["together", "8 ms", "7 ms"],
    ]
    assert networks.columns == [
        "",
        "training step, 32 images",
        "scores, one image",
        "scores, 128 images",
    ]
    assert networks.rows[1] == ["VGG, bf16-mixed", "128 images/s", "250 ms", "512 images/s"]


def test_readme_part_names_the_hardware_and_shows_each_table() -> None:
    part = au_training_part(_report())
    assert part.startswith("Measured on Some CPU (2 threads, AVX2), PyTorch 2.10, matrix products")
    assert "| VGG, bf16-mixed | 128 images/s | 250 ms | 512 images/s |\n" in part
    assert part.count("| --- | ---: |") == len(tables(_report()))


def test_bad_devices_are_told() -> None:
    with pytest.raises(typer.BadParameter, match="expected one of auto, cpu, cuda"):
        au_training.main(device="tpu")
