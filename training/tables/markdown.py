"""Tables in Markdown, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastcaps.training.tables.model import Cell, Heading, Table

__all__ = ["escape_markdown", "to_markdown"]

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|&#~$])")


def to_markdown(table: Table, level: int = 2) -> str:
    """A heading, the table and a numbered list of its notes; own runs are in italics.

    Args:
        table: the table.
        level: of the heading, 1 .. 6.
    """
    lines = [
        f"{'#' * level} {escape_markdown(table.title)}",
        "",
        _line([escape_markdown(table.corner), *map(_heading, table.columns)]),
        _line(["---", *("---:" for _ in table.columns)]),
        *(_line([_heading(row.heading), *map(_cell, row.cells)]) for row in table.rows),
        "",
    ]
    if table.notes:
        numbered = enumerate(table.notes, start=1)
        lines += [*(f"{number}. {escape_markdown(note)}" for number, note in numbered), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(heading: Heading) -> str:
    return _marked(heading.text, "*" if heading.own else "", heading.notes)


def _cell(cell: Cell) -> str:
    text = _marked(cell.text, "**" if cell.best else "", cell.notes)
    return f"{text} ({escape_markdown(cell.detail)})" if cell.detail else text


def _marked(text: str, mark: str, notes: tuple[int, ...]) -> str:
    noted = f" [{', '.join(map(str, notes))}]" if notes else ""
    return f"{mark}{escape_markdown(text)}{mark}{noted}"


def escape_markdown(text: str) -> str:
    """Words in one line, in which no character means more than itself."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
