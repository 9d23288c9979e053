"""The benchmark in the terminal: tables, and below them a progress bar."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.formats import (
    COLUMNS,
    LEGEND,
    byte_count,
    cells,
    milliseconds,
    rates,
    remarks,
    row_note,
    row_title,
)
from benchmarks.results import Machine, Report, Result, Row, ScalingPoint

__all__ = ["RichObserver", "print_report"]


class RichObserver:
    """Prints each table when it is complete, below them a progress bar."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("[bold]{task.percentage:>3.0f}%"),
            BarColumn(bar_width=32),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task("starting", total=1.0)

    def progress(self, doing: str, fraction: float) -> None:
        """Move the bar."""
        self.bar.update(self.task, description=doing, completed=fraction)

    def machine(self, machine: Machine) -> None:
        """The machine, its rates, and what the columns mean."""
        self.console.print(f"[bold]{machine}[/bold]\n{rates(machine)}", highlight=False)
        for column, meaning in LEGEND.items():
            self.console.print(f"[dim]{column:>6}  {meaning}[/dim]", highlight=False)

    def row(self, row: Row) -> None:
        """A row as a table."""
        self.console.print()
        self.console.print(f"[bold cyan]{row_title(row)}[/bold cyan]", highlight=False)
        self.console.print(f"[dim]{row_note(row)}[/dim]", highlight=False)
        if row.results:
            self.console.print(_row_table(row))
        for remark in remarks(row):
            self.console.print(f"[dim]{remark}[/dim]", highlight=False)

    def scaling(self, points: list[ScalingPoint], exponents: dict[str, float]) -> None:
        """Cost against each number that was doubled, with the exponents."""
        self.console.print(_scaling_table(points, exponents))


def print_report(report: Report, console: Console) -> None:
    """Everything in a report, as it was printed while it was measured."""
    observer = RichObserver(console)
    observer.machine(report.machine)
    for row in report.rows:
        observer.row(row)
    if report.scaling:
        observer.scaling(report.scaling, report.exponents)
    print_summary(report, console)


def print_summary(report: Report, console: Console) -> None:
    """fastcaps against the best alternative, one line for each row."""
    table = Table(
        title="fastcaps and the best alternative",
        title_style="bold",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    table.add_column("shape", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    for heading in ("fastcaps\nms", "best\nms", "times\nfaster", "floor", "extra", "best's\nextra"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("best alternative")
    for row in report.rows:
        ours = row.best(fastcaps=True)
        theirs = row.best(fastcaps=False)
        if ours is not None:
            table.add_row(row.shape, row.mode, *_summary_cells(ours, theirs))
    if table.row_count:
        console.print(table)
    console.print(f"[dim]{report.elapsed:.0f} s in all[/dim]", highlight=False)


def _summary_cells(ours: Result, theirs: Result | None) -> list[str]:
    def time(result: Result | None) -> str:
        return milliseconds(result.median) if result and result.median else "-"

    def memory(result: Result | None) -> str:
        return (
            "-" if result is None or result.extra_bytes is None else byte_count(result.extra_bytes)
        )

    return [
        time(ours),
        time(theirs),
        f"[bold green]{ours.speedup:.1f}[/bold green]" if ours.speedup else "-",
        f"{ours.roofline:.0%}" if ours.roofline else "-",
        memory(ours),
        memory(theirs),
        theirs.contestant if theirs else "none ran",
    ]


def _row_table(row: Row) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for column in COLUMNS:
        justify: JustifyMethod = "left" if column == COLUMNS[0] else "right"
        table.add_column(column.replace(" ", "\n"), justify=justify, no_wrap=True)
    for result in row.results:
        if result.median is not None:
            table.add_row(*cells(result), style="green" if result.is_fastcaps else "")
    return table


def _scaling_table(points: list[ScalingPoint], exponents: dict[str, float]) -> Table:
    table = Table(title="cost of fastcaps in ms", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("doubled")
    table.add_column("mode")
    series: dict[tuple[str, str], list[ScalingPoint]] = {}
    for point in points:
        series.setdefault((point.varied, point.mode), []).append(point)
    for column in range(max(map(len, series.values()), default=0)):
        table.add_column(f"x{1 << column}", justify="right")
    table.add_column("exponent", justify="right")
    for (varied, mode), line in series.items():
        first, last = (getattr(point.size, varied) for point in (line[0], line[-1]))
        table.add_row(
            f"{varied} {first}-{last}",
            mode,
            *(milliseconds(point.seconds) for point in line),
            f"{exponents[f'{varied} {mode}']:.2f}",
        )
    return table
