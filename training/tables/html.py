"""Tables as a web page that needs no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from fastcaps.training.tables.model import Cell, Heading, Table

__all__ = ["page_style", "table_section", "to_html"]


def to_html(tables: Sequence[Table], title: str) -> str:
    """A page that is readable on small screens and in the dark.

    Args:
        tables: in order.
        title: of the page.
    """
    sections = (
        table_section(table, f"table{number}") for number, table in enumerate(tables, start=1)
    )
    return _lines(
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{page_style()}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        *sections,
        "</body>",
        "</html>\n",
    )


def page_style() -> str:
    """CSS of a page with tables."""
    return files(__package__).joinpath("page.css").read_text("utf-8")


def table_section(table: Table, name: str, level: int = 2) -> str:
    """A table with its title and notes, as part of a page.

    Args:
        table: the table.
        name: what the ids in it begin with; another one for each table of a page.
        level: of the heading, 1 .. 6.
    """
    heads = "".join(_heading(heading, "col", name) for heading in table.columns)
    notes = (
        f'<li id="{name}-note{number}">{escape(note)}</li>'
        for number, note in enumerate(table.notes, start=1)
    )
    return _lines(
        "<section>",
        f'<h{level} id="{name}">{escape(table.title)}</h{level}>',
        f'<div class="scroll" role="region" aria-labelledby="{name}" tabindex="0">',
        "<table>",
        f'<thead><tr><th scope="col">{escape(table.corner)}</th>{heads}</tr></thead>',
        "<tbody>",
        *_rows(table, name),
        "</tbody>",
        "</table>",
        "</div>",
        *(["<ol>", *notes, "</ol>"] if table.notes else []),
        "</section>",
    )


def _rows(table: Table, name: str) -> Iterable[str]:
    for row in table.rows:
        cells = (
            _cell(cell, row.heading.own or column.own, name)
            for column, cell in zip(table.columns, row.cells, strict=True)
        )
        ruled = ' class="ruled"' if row.ruled else ""
        yield f"<tr{ruled}>{_heading(row.heading, 'row', name)}{''.join(cells)}</tr>"


def _heading(heading: Heading, scope: str, name: str) -> str:
    own = ' class="own"' if heading.own else ""
    return f'<th scope="{scope}"{own}>{escape(heading.text)}{_marks(heading.notes, name)}</th>'


def _cell(cell: Cell, is_own: bool, name: str) -> str:
    text = f"<b>{escape(cell.text)}</b>" if cell.best else escape(cell.text)
    detail = f"<small>{escape(cell.detail)}</small>" if cell.detail else ""
    own = ' class="own"' if is_own else ""
    return f"<td{own}>{text}{_marks(cell.notes, name)}{detail}</td>"


def _marks(notes: tuple[int, ...], name: str) -> str:
    links = (f'<a href="#{name}-note{number}">{number}</a>' for number in notes)
    return f"<sup>{', '.join(links)}</sup>" if notes else ""


def _lines(*lines: str) -> str:
    return "\n".join(lines)
