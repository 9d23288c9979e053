"""Numbers as people read them, and the cells of a row that every kind of table shares."""

from __future__ import annotations

from benchmarks.results import Machine, Result, Row

__all__ = [
    "COLUMNS",
    "LEGEND",
    "byte_count",
    "cells",
    "milliseconds",
    "rates",
    "remarks",
    "row_note",
    "row_title",
]

COLUMNS = (
    "contestant",
    "ms",
    "IQR",
    "speed",
    "floor",
    "saved",
    "extra",
    "err. v",
    "err. grad",
)

LEGEND = {
    "ms": "median, IQR the range between its quartiles",
    "speed": "the best alternative's median over this one; detached ones, which return another "
    "gradient, among themselves",
    "floor": "the least possible time, from the rates above, over the median",
    "saved": "kept for the backward pass beyond the inputs",
    "extra": "peak memory beyond inputs, outputs and gradients",
    "err.": "relative Frobenius error against float64; of the gradients the largest",
}
"""What the columns mean."""
MISSING = "-"


def milliseconds(seconds: float) -> str:
    """Three significant digits, without exponent: 0.0123 s is "12.3"."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def byte_count(count: float) -> str:
    """Decimal units, two or three digits: "950 B", "4.8 GB", "14 MB"."""
    units = ["B", "kB", "MB", "GB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.2g} {units[0]}" if count < 9.95 else f"{count:.0f} {units[0]}"


def rates(machine: Machine) -> str:
    """The measured rates of a machine, in a sentence."""
    return (
        f"matrix products {machine.flops_per_second / 1e9:.0f} GFLOP/s, "
        f"copies {machine.bytes_per_second / 1e9:.1f} GB/s"
    )


def row_title(row: Row) -> str:
    """What a row races."""
    return (
        f"{row.shape} {row.mode}: {row.source}, B={row.size.batch}, {row.size}, "
        f"{row.iterations} iterations, softmax over {row.softmax_over}, {row.dtype}"
        f"{' as TF32' if row.tf32 else ''}{', CUDA graphs' if row.graphs else ''}"
    )


def row_note(row: Row) -> str:
    """The scale that the numbers of a row are to be read on."""
    if row.skipped is not None:
        return f"skipped: {row.skipped}"
    parts = [f"u_hat takes {byte_count(row.u_hat_bytes)}"]
    if row.floor is not None:
        parts.append(f"floor {milliseconds(row.floor)} ms, set by {row.floor_set_by}")
    if row.read_weight is not None:
        parts.append(f"reading the weight once {milliseconds(row.read_weight)} ms")
        ours = row.best(fastcaps=True)
        if ours is not None and ours.median is not None and row.floor_set_by == "memory":
            parts[-1] += f" (fastcaps {ours.median / row.read_weight:.1f} times that)"
    backends = dict.fromkeys(result.backend for result in row.results if result.backend)
    if backends:
        parts.append(f"fastcaps runs on its backend {', '.join(backends)}")
    return "; ".join(parts)


def _spread(value: float) -> str:
    """Two significant digits, without exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def cells(result: Result) -> list[str]:
    """One cell for each of :data:`COLUMNS`; blanks after the name of a contestant not timed."""
    if result.median is None or result.quartiles is None:
        return [result.contestant, *[""] * (len(COLUMNS) - 1)]
    low, high = result.quartiles
    gradients = [error for key, error in result.errors.items() if key != "v"]
    return [
        result.contestant,
        milliseconds(result.median),
        _spread(1e3 * (high - low)),
        MISSING if result.speedup is None else f"{result.speedup:.2f}x",
        MISSING if result.roofline is None else f"{result.roofline:.0%}",
        MISSING if result.saved_bytes is None else byte_count(result.saved_bytes),
        MISSING if result.extra_bytes is None else byte_count(result.extra_bytes),
        f"{result.errors['v']:.0e}" if "v" in result.errors else MISSING,
        f"{max(gradients):.0e}" if gradients else MISSING,
    ]


def remarks(row: Row) -> list[str]:
    """What the cells do not say: who was skipped and why, who stopped early."""
    skipped = [
        f"{result.contestant} skipped: {result.skipped}" for result in row.results if result.skipped
    ]
    most = max((len(result.seconds) for result in row.results), default=0)
    stopped = [
        f"{result.contestant} ({len(result.seconds)})"
        for result in row.results
        if 0 < len(result.seconds) < most
    ]
    if stopped:
        skipped.append(f"stopped before {most} repeats, far from the lead: {', '.join(stopped)}")
    return skipped
