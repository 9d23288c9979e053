"""Tables in LaTeX, with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["to_latex"]

# A bracket or star at the start of a row would be taken for an argument of the line's end before.
ESCAPES = str.maketrans(
    {
        "\\": r"$\backslash$",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "_": r"\_",
        "%": r"\%",
        "^": r"\^{}",
        "~": r"\~{}",
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
        '"': "''",
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        "\N{EN DASH}": "--",
        "\N{MINUS SIGN}": "$-$",
    }
)


def to_latex(tables: Sequence[Table], title: str) -> str:
    """A document, each table in a ``center`` environment that can be copied.

    Besides booktabs it takes graphicx, which makes tables as narrow as the page. Own runs are in
    italics. Where a text is in another script than Latin, it takes LuaLaTeX.

    Args:
        tables: in order.
        title: of the document.
    """
    lines = [
        r"\documentclass{article}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
        r"\begin{document}",
        rf"\section*{{{_escape(title)}}}",
        *(line for table in tables for line in _table(table)),
        r"\end{document}",
        "",
    ]
    return "\n".join(lines)


def _table(table: Table) -> list[str]:
    lines = [
        "",
        r"\begin{center}",
        rf"\textbf{{{_escape(table.title)}}}\par\nopagebreak\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _line([_escape(table.corner), *map(_heading, table.columns)]),
        r"\midrule",
        *(line for row in table.rows for line in _row(row)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{center}",
    ]
    if table.notes:
        items = (rf"\item {_escape(note)}" for note in table.notes)
        lines += [r"{\footnotesize", r"\begin{enumerate}", *items, r"\end{enumerate}}"]
    return lines


def _row(row: Row) -> list[str]:
    lines = [r"\midrule"] if row.ruled else []
    lines.append(_line([_heading(row.heading), *map(_cell, row.cells)]))
    details = [cell.detail for cell in row.cells]
    if any(details):
        small = (rf"{{\scriptsize {_escape(text)}}}" if text else "" for text in details)
        lines.append(_line(["", *small]))
    return lines


def _line(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _heading(heading: Heading) -> str:
    text = _escape(heading.text)
    return (rf"\textit{{{text}}}" if heading.own else text) + _marks(heading.notes)


def _cell(cell: Cell) -> str:
    text = _escape(cell.text)
    return (rf"\textbf{{{text}}}" if cell.best else text) + _marks(cell.notes)


def _marks(notes: tuple[int, ...]) -> str:
    return rf"\textsuperscript{{{', '.join(map(str, notes))}}}" if notes else ""


def _escape(text: str) -> str:
    return " ".join(text.split()).translate(ESCAPES)
