"""The benchmark as a picture: speed and memory against the best alternative."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.formats import byte_count, milliseconds, rates
from benchmarks.results import Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

FASTCAPS = {"forward": "#3d9970", "forward+backward": "#1c5d99"}
ALTERNATIVE = "#b9bec5"
U_HAT = "#c0392b"
HEIGHT = 0.4
"""Of one of two bars, where rows are 1 apart."""

SMALLEST_BAR = 1e4
"""Bytes; the logarithmic axis starts near here at the lowest."""


def draw(report: Report, path: Path) -> None:
    """Draw a report's rows into an image file; its kind follows from the name.

    Raises:
        ValueError: fastcaps was timed in no row, or the kind of image is unknown.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report.rows if row.best(fastcaps=True) is not None]
    if not rows:
        raise ValueError("expected a report with at least one row in which fastcaps was timed")
    rows.reverse()  # bars are drawn from the bottom up
    figure, (speed, memory) = pyplot.subplots(
        1, 2, figsize=(13, 2.2 + 0.5 * len(rows)), sharey=True, layout="constrained"
    )
    _draw_speed(speed, rows)
    _draw_memory(memory, rows)
    figure.suptitle(_title(rows[0]), fontsize=13, fontweight="bold")
    figure.legend(
        handles=_legend(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        title=f"{report.machine}; {rates(report.machine)}",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _title(row: Row) -> str:
    return (
        f"Capsule routing: fastcaps and the best alternative\n"
        f"{row.iterations} iterations, softmax over {row.softmax_over}, {row.dtype}"
    )


def _draw_speed(axes: Axes, rows: list[Row]) -> None:
    widest = 1.5
    for position, row in enumerate(rows):
        ours, theirs = row.best(fastcaps=True), row.best(fastcaps=False)
        if ours is None or ours.median is None:
            continue
        times = f"{milliseconds(ours.median)} ms; "
        if theirs is None or theirs.median is None or ours.speedup is None:
            _annotate(axes, 1, position, f"{times}no alternative ran", size=9)
            continue
        widest = max(widest, ours.speedup)
        axes.barh(position, ours.speedup, 2 * HEIGHT, color=FASTCAPS[row.mode])
        times += f"{theirs.contestant} {milliseconds(theirs.median)} ms"
        factor = f"$\\bf{{{ours.speedup:.1f}x}}$"
        _annotate(axes, ours.speedup, position, f"{factor}   {times}", size=9)
    axes.axvline(1, color="#333333", linewidth=1)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_xlim(0, 2.2 * widest)
    axes.set_title("Times faster than the best alternative", fontsize=11)
    _tidy(axes)


def _draw_memory(axes: Axes, rows: list[Row]) -> None:
    for position, row in enumerate(rows):
        bars = (
            (row.best(fastcaps=True), FASTCAPS[row.mode], position + HEIGHT / 2),
            (row.best(fastcaps=False), ALTERNATIVE, position - HEIGHT / 2),
        )
        for result, color, y in bars:
            if result is not None and result.extra_bytes is not None:
                width = max(result.extra_bytes, SMALLEST_BAR)
                axes.barh(y, width, HEIGHT, color=color)
                _annotate(axes, width, y, byte_count(result.extra_bytes), size=8)
        span = [position - HEIGHT, position + HEIGHT]
        axes.plot([row.u_hat_bytes] * 2, span, color=U_HAT, linewidth=1.5)
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * 4)  # room for the numbers beside the longest bars
    axes.xaxis.set_major_formatter(lambda count, _: byte_count(count))
    axes.set_title("Peak memory beyond inputs, outputs and gradients", fontsize=11)
    _tidy(axes)


def _annotate(axes: Axes, x: float, y: float, text: str, *, size: int) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=size)


def _legend() -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        *(Patch(color=color, label=f"fastcaps {mode}") for mode, color in FASTCAPS.items()),
        Patch(color=ALTERNATIVE, label="best alternative"),
        Line2D([], [], color=U_HAT, label="size of the prediction vectors"),
    ]


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)


def _label(row: Row) -> str:
    source = f" ({row.source})" if row.source != "random capsules" else ""
    return f"{row.shape}, {row.mode}\nB={row.size.batch}, {row.size}{source}"
