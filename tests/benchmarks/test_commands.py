"""The commands, on shapes too small to take time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import read

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--shapes", "latency", "--repeats", "3")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
        env={"PATH": "", "COLUMNS": "120", "HOME": str(Path.home())},
        timeout=300,
        check=False,
    )


def test_routing_prints_writes_draws_and_draws_again(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    pytest.importorskip("matplotlib")
    json, plot, again = tmp_path / "a.json", tmp_path / "a.png", tmp_path / "b.png"
    done = run(
        "routing.py",
        *TINY,
        "--contestants=fastcaps,einsum",
        f"--json={json}",
        f"--plot={plot}",
    )
    assert done.returncode == 0, done.stderr
    assert "times" in done.stdout
    assert "einsum" in done.stdout
    report = read(json)
    assert [row.shape for row in report.rows] == ["latency"]
    assert plot.stat().st_size > 0
    redone = run("routing.py", f"--from-json={json}", f"--plot={again}")
    assert redone.returncode == 0, redone.stderr
    assert again.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shapes", "au95"), "expected all, or some of latency"),
        (("--mode", "backward"), "expected one of both"),
        (("--dtype", "int8"), "expected one of float32"),
        (("--softmax-over", "both"), "expected one of outputs, inputs"),
        (("--backend", "metal"), "expected one of cuda"),
        (("--contestants", "me"), "expected all, or some of fastcaps"),
        (("--repeats", "2"), "Invalid value for '--repeats'"),
        (("--from-json", str(ROOT / "benchmarks" / "routing.py")), "expected a report"),
    ],
)
def test_bad_options_are_told(arguments: tuple[str, ...], message: str) -> None:
    testing = pytest.importorskip("typer.testing")
    from benchmarks.routing import app

    outcome = testing.CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert outcome.exit_code == 2
    # Words alone: the frame around the message is as wide as the terminal of the test.
    assert message in " ".join(outcome.output.replace("│", " ").split())


def test_measure_needs_no_front(tmp_path: Path) -> None:
    json = tmp_path / "a.json"
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in ("rich", "typer", "matplotlib"))
    program = (
        f"import sys; sys.path.append({str(ROOT)!r}); {blocked}; "
        "from benchmarks.measure import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--json", str(json), *TINY, "--scaling", "--mode=forward"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "power" in done.stdout
    assert len(read(json).scaling) == 12


def test_measure_tells_bad_options() -> None:
    done = run("measure.py", "--json", "x.json", "--shapes", "au95")
    assert done.returncode == 2
    assert "expected all, or some of latency" in done.stderr
