"""Tables in a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fastcaps.training.tables.model import Cell, Heading, Table

__all__ = ["to_terminal"]

OWN = "cyan"
QUIET = "dim"


def to_terminal(table: Table) -> Group:
    """The table between its title and its notes, for :meth:`rich.console.Console.print`."""
    grid = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column(Text(table.corner))
    for heading in table.columns:
        grid.add_column(_heading(heading), justify="right")
    for row in table.rows:
        if row.ruled:
            grid.add_section()
        grid.add_row(_heading(row.heading), *map(_cell, row.cells))
    notes = [
        Text(f"[{number}] {note}", style=QUIET) for number, note in enumerate(table.notes, start=1)
    ]
    return Group(Text(table.title, style="bold"), grid, *notes, Text())


def _heading(heading: Heading) -> Text:
    return _noted(Text(heading.text, style=OWN if heading.own else ""), heading.notes)


def _cell(cell: Cell) -> Text:
    text = _noted(Text(cell.text, style="bold" if cell.best else ""), cell.notes)
    if cell.detail:
        text.append(f"\n{cell.detail}", style=QUIET)
    return text


def _noted(text: Text, notes: tuple[int, ...]) -> Text:
    marked = Text.assemble(text)
    if notes:
        marked.append(f" [{', '.join(map(str, notes))}]", style=QUIET)
    return marked
