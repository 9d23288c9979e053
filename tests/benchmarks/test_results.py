"""Reports as JSON, and what is derived from results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.formats import COLUMNS, byte_count, cells, milliseconds, remarks, row_note
from benchmarks.race import with_speedups
from benchmarks.results import SCHEMA, Machine, Report, Result, Row, ScalingPoint, read, write
from benchmarks.shapes import Size

SIZE = Size(2, 3, 4, 5, 6)


def _result(name: str, median: float, *, detached: bool = False, repeats: int = 7) -> Result:
    return Result(
        name,
        name.startswith("fastcaps"),
        detached,
        seconds=[median] * repeats,
        median=median,
        quartiles=(median, median),
        errors={"v": 1e-7, "grad u": 2e-7, "grad weight": 3e-7},
    )


def _report() -> Report:
    machine = Machine("cpu", "Some CPU", "AVX2", 2, "Linux", {"torch": "2.10"}, 1e11, 1e10)
    results = [
        _result("fastcaps", 0.01),
        _result("einsum", 0.1, repeats=3),
        Result("broadcast", False, False, skipped="too large"),
    ]
    row = Row("au96", "forward", SIZE, 3, "outputs", "float32", 720, results=results)
    points = [ScalingPoint("batch", "forward", SIZE, 0.5)]
    return Report(machine, [row], points, {"batch forward": 1.0}, 3.0)


def test_report_survives_json(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "report.json"
    write(_report(), path)
    assert read(path) == _report()


def test_json_has_the_documented_names(tmp_path: Path) -> None:
    write(_report(), tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["schema"] == SCHEMA == 1
    assert set(data) == {"machine", "rows", "scaling", "exponents", "elapsed", "schema"}
    assert data["rows"][0]["results"][0]["errors"]["grad weight"] == 3e-7
    assert data["rows"][0]["size"] == {
        "batch": 2,
        "inputs": 3,
        "in_dim": 4,
        "outputs": 5,
        "out_dim": 6,
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 99}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json: expected"):
        read(path)


def test_speedups_compare_like_with_like() -> None:
    results = with_speedups(
        [
            _result("fastcaps", 1.0),
            _result("fastcaps detached", 0.5, detached=True),
            _result("einsum", 8.0),
            _result("broadcast", 4.0),
            _result("detached", 1.5, detached=True),
            Result("other", False, False, skipped="no room"),
        ]
    )
    assert [result.speedup for result in results] == [4.0, 3.0, 0.5, 1.0, 1.0, None]


def test_without_alternative_there_is_no_speedup() -> None:
    assert with_speedups([_result("fastcaps", 1.0)])[0].speedup is None


def test_best_is_exact_and_timed() -> None:
    row = _report().rows[0]
    ours, theirs = row.best(fastcaps=True), row.best(fastcaps=False)
    assert ours is not None
    assert theirs is not None
    assert (ours.contestant, theirs.contestant) == ("fastcaps", "einsum")


def test_tables_say_who_was_skipped_and_who_stopped() -> None:
    row = _report().rows[0]
    assert all(len(cells(result)) == len(COLUMNS) for result in row.results)
    assert remarks(row) == [
        "broadcast skipped: too large",
        "stopped before 7 repeats, far from the lead: einsum (3)",
    ]
    assert row_note(row) == "u_hat takes 720 B"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3"), (1.5, "1500"), (0.1, "100"), (2e-6, "0.002")]
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (950, "950 B"), (999.7, "1 kB"), (14.2e6, "14 MB"), (4.83e9, "4.8 GB")],
)
def test_byte_count(count: float, text: str) -> None:
    assert byte_count(count) == text
