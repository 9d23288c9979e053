"""Rewrite the measured parts of README.md from results that the benchmark wrote as JSON.

``python benchmarks/readme.py``. Each part lies between two comments and holds the hardware and a
table, that of the CPU the picture too; a test compares them with the committed results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import au_training_report
from benchmarks.au_training_report import TrainingReport
from benchmarks.formats import byte_count, milliseconds, rates
from benchmarks.results import Machine, Report, Result, Row, read

__all__ = [
    "AU_DATA",
    "AU_DATA_RESULTS",
    "AU_TRAINING",
    "AU_TRAINING_RESULTS",
    "GPU",
    "GPU_RESULTS",
    "README",
    "RESULTS",
    "au_data_part",
    "au_training_part",
    "gpu_part",
    "main",
    "measured_part",
    "replace_measured_part",
]

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results" / "routing.json"
PICTURE = "benchmarks/results/routing.png"
"""Beside the results, as seen from the README."""

CPU = "measured"
GPU = "measured on a GPU"
"""What the comments around the parts say."""
GPU_RESULTS = tuple(
    RESULTS.with_name(f"h100-{name}.json") for name in ("32", "128", "512", "128-bfloat16")
)
"""Written by ``make gpu-race``, as ``float32-<batch>.json`` and ``bfloat16-<batch>.json``."""
AU_DATA = "measured on AU data"
AU_DATA_RESULTS = RESULTS.with_name("au-data-cpu.json")
"""Written by ``au_data.py``."""
AU_TRAINING = "measured on AU training"
AU_TRAINING_RESULTS = RESULTS.with_name("au-training-cpu.json")
"""Written by ``au_training.py``."""
MISSING = "-"

COLUMNS = (
    "shape",
    "mode",
    "fastcaps",
    "best alternative",
    "times faster",
    "floor",
    "extra memory",
    "its extra memory",
    "`u_hat`",
)
LEFT_ALIGNED = 2
"""How many of the columns hold words; the others hold numbers."""


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, the results and the README, and write the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=RESULTS, help="results of routing.py")
    parser.add_argument("--readme", type=Path, default=README, help="file to rewrite")
    options = parser.parse_args(arguments)
    try:
        part = measured_part(read(options.json))
        text = replace_measured_part(options.readme.read_text(encoding="utf-8"), part)
        text = replace_measured_part(text, gpu_part(map(read, GPU_RESULTS)), GPU)
        au_data = json.loads(AU_DATA_RESULTS.read_text(encoding="utf-8"))
        text = replace_measured_part(text, au_data_part(au_data), AU_DATA)
        au_training = au_training_report.read(AU_TRAINING_RESULTS)
        text = replace_measured_part(text, au_training_part(au_training), AU_TRAINING)
        options.readme.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.error(str(error))


def replace_measured_part(text: str, part: str, name: str = CPU) -> str:
    """``text`` with ``part`` in place of what lies between the two comments of this name.

    Raises:
        ValueError: the comments are not there once each, in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"readme: expected one {begin} and one {end} after it")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{part}{end}{after}"


def measured_part(report: Report) -> str:
    """Picture, hardware and table of a report, in Markdown.

    Raises:
        ValueError: fastcaps was timed in no row.
    """
    picture = f"![Speed and memory of fastcaps and of the best alternative]({PICTURE})"
    return "\n".join([picture, "", *_hardware_and_table(report)]) + "\n"


def gpu_part(reports: Iterable[Report]) -> str:
    """Hardware and one table of reports of one machine, in Markdown.

    Raises:
        ValueError: fastcaps was timed in no row.
    """
    first, *others = reports
    rows = [*first.rows, *(row for report in others for row in report.rows)]
    return "\n".join(_hardware_and_table(replace(first, rows=rows))) + "\n"


def au_data_part(report: Mapping[str, Any]) -> str:
    """Hardware and the rates of making, preparing and augmenting AU data, in Markdown."""
    lines = [f"Measured on {Machine(**report['machine'])}; medians of whole calls.", ""]
    lines += [_table_line(["", "pictures a second"]), _table_line(["---", "---:"])]
    for rate in report["rates"]:
        lines.append(_table_line([rate["name"], f"{rate['per_second']:,.0f}"]))
    return "\n".join(lines) + "\n"


def au_training_part(report: TrainingReport) -> str:
    """Hardware and the tables of the training of networks for action units, in Markdown."""
    lines = [f"Measured on {report.machine}, {rates(report.machine)}; medians."]
    for table in au_training_report.tables(report):
        separators = ["---", *["---:"] * (len(table.columns) - 1)]
        lines += ["", f"{table.title}:", ""]
        lines += map(_table_line, [table.columns, separators, *table.rows])
    return "\n".join(lines) + "\n"


def _hardware_and_table(report: Report) -> list[str]:
    rows = [row for row in report.rows if row.best(fastcaps=True) is not None]
    if not rows:
        raise ValueError("expected a report with at least one row in which fastcaps was timed")
    first = rows[0]
    separators = ["---" if i < LEFT_ALIGNED else "---:" for i in range(len(COLUMNS))]
    products = " multiplied as TF32, launched as CUDA graphs" if first.graphs else ""
    return [
        f"Measured on {report.machine}; {rates(report.machine)}. {first.iterations} iterations, "
        f"softmax over {first.softmax_over}, {first.dtype}{products}. Times are medians.",
        "",
        *map(_table_line, (list(COLUMNS), separators)),
        *(_table_line(_cells(row, first.dtype)) for row in rows),
    ]


def _cells(row: Row, usual_dtype: str) -> list[str]:
    ours, theirs = row.best(fastcaps=True), row.best(fastcaps=False)
    dtype = f", {row.dtype}" if row.dtype != usual_dtype else ""
    source = f", {row.source}" if row.source != "random capsules" else ""
    best = f"{_time(theirs)} ({theirs.contestant})" if theirs else "none ran"
    return [
        f"`{row.shape}`: B={row.size.batch}, {row.size}{dtype}{source}",
        row.mode,
        _time(ours),
        best,
        MISSING if ours is None or ours.speedup is None else f"{ours.speedup:.1f}",
        MISSING if ours is None or ours.roofline is None else f"{ours.roofline:.0%}",
        _memory(ours),
        _memory(theirs),
        byte_count(row.u_hat_bytes),
    ]


def _time(result: Result | None) -> str:
    if result is None or result.median is None:
        return MISSING
    return f"{milliseconds(result.median)} ms"


def _memory(result: Result | None) -> str:
    if result is None or result.extra_bytes is None:
        return MISSING
    return byte_count(result.extra_bytes)


def _table_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
