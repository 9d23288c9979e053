"""The measured part of the README, and the script that writes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import au_training_report
from benchmarks.readme import (
    AU_DATA,
    AU_DATA_RESULTS,
    AU_TRAINING,
    AU_TRAINING_RESULTS,
    GPU,
    GPU_RESULTS,
    README,
    RESULTS,
    au_data_part,
    au_training_part,
    gpu_part,
    main,
    measured_part,
    replace_measured_part,
)
from benchmarks.results import Machine, Report, Result, Row, read, write
from benchmarks.shapes import Size

TEXT = (
    "above\n<!-- measured -->\nold\n<!-- /measured -->\nbetween\n"
    f"<!-- {GPU} -->\n<!-- /{GPU} -->\n<!-- {AU_DATA} -->\n<!-- /{AU_DATA} -->\n"
    f"<!-- {AU_TRAINING} -->\n<!-- /{AU_TRAINING} -->\nbelow\n"
)
MACHINE = Machine("cpu", "Some CPU", "AVX2", 2, "Linux", {"torch": "2.10"}, 1e11, 1e10)


def _report(*, with_alternative: bool = True) -> Report:
    ours = Result(
        "fastcaps", True, False, median=0.01, speedup=9.5, roofline=0.5, extra_bytes=2_000_000
    )
    theirs = Result("einsum", False, False, median=0.095, speedup=1.0)
    results = [ours, theirs] if with_alternative else [ours]
    size = Size(2, 3, 4, 5, 6)
    row = Row("au96", "forward", size, 3, "outputs", "float32", 720, results=results)
    unmeasured = Row("wide", "forward", size, 3, "outputs", "float32", 720, skipped="no room")
    return Report(MACHINE, [unmeasured, row])


def test_readme_shows_the_committed_results() -> None:
    text = README.read_text(encoding="utf-8")
    expected = replace_measured_part(text, measured_part(read(RESULTS)))
    assert text == with_committed_parts(expected), "run python benchmarks/readme.py"


def with_committed_parts(text: str) -> str:
    """``text`` with the parts that have no results of their own on the command line."""
    text = replace_measured_part(text, gpu_part(map(read, GPU_RESULTS)), GPU)
    au_data = json.loads(AU_DATA_RESULTS.read_text(encoding="utf-8"))
    text = replace_measured_part(text, au_data_part(au_data), AU_DATA)
    au_training = au_training_report.read(AU_TRAINING_RESULTS)
    return replace_measured_part(text, au_training_part(au_training), AU_TRAINING)


def test_part_names_the_hardware_and_every_measured_row() -> None:
    picture, _, hardware, _, *table = measured_part(_report()).splitlines()
    assert picture.startswith("![")
    assert hardware == (
        "Measured on Some CPU (2 threads, AVX2), PyTorch 2.10; matrix products 100 GFLOP/s, "
        "copies 10.0 GB/s. 3 iterations, softmax over outputs, float32. Times are medians."
    )
    assert len({line.count("|") for line in table}) == 1
    assert table[2:] == [
        "| `au96`: B=2, 3x4 -> 5x6 | forward | 10 ms | 95 ms (einsum) | 9.5 | 50% | 2 MB | - "
        "| 720 B |"
    ]


def test_part_without_an_alternative() -> None:
    assert "| 10 ms | none ran |" in measured_part(_report(with_alternative=False))


def test_a_report_without_measurements_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        measured_part(Report(MACHINE))


def test_replacing_keeps_the_rest_and_can_be_repeated() -> None:
    once = replace_measured_part(TEXT, "new\n")
    assert once == TEXT.replace("old", "new")
    assert replace_measured_part(once, "new\n") == once


@pytest.mark.parametrize("text", ["", "<!-- measured -->", "<!-- /measured --><!-- measured -->"])
def test_missing_comments_are_told(text: str) -> None:
    with pytest.raises(ValueError, match="readme: expected one <!-- measured -->"):
        replace_measured_part(text, "new\n")


def test_command_rewrites_the_file(tmp_path: Path) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "routing.json"
    readme.write_text(TEXT, encoding="utf-8")
    write(_report(), results)
    main(["--json", str(results), "--readme", str(readme)])
    expected = with_committed_parts(replace_measured_part(TEXT, measured_part(_report())))
    assert readme.read_text(encoding="utf-8") == expected


def test_au_data_part_names_the_hardware_and_every_rate() -> None:
    rates = [{"name": "synth", "pictures": 20, "seconds": [1.0], "per_second": 1234.5}]
    part = au_data_part({"machine": asdict(MACHINE), "rates": rates})
    hardware, *_, row = part.splitlines()
    assert hardware.startswith("Measured on Some CPU (2 threads, AVX2), PyTorch 2.10;")
    assert row == "| synth | 1,234 |"


def test_command_tells_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "none.json"), "--readme", str(tmp_path / "README.md")])
    assert "none.json" in capsys.readouterr().err
