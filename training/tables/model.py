"""A table as all renderers take it: texts, which of them are the best, and numbered notes."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Cell", "Heading", "Row", "Table", "transposed"]


@dataclass(frozen=True)
class Cell:
    """What a table says in one place.

    Attributes:
        text: empty where it says nothing.
        detail: a second, smaller line, such as a confidence interval.
        best: whether to print it in bold.
        notes: numbers, from 1, of the table's notes on it.
    """

    text: str = ""
    detail: str = ""
    best: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heading:
    """Over a column or before a row.

    Attributes:
        text: of it.
        notes: numbers, from 1, of the table's notes on it.
        own: whether it is a run of the user's, beside published numbers.
    """

    text: str
    notes: tuple[int, ...] = ()
    own: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        heading: before it.
        cells: one for each column.
        ruled: whether a line is above it.
    """

    heading: Heading
    cells: tuple[Cell, ...]
    ruled: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a heading for each column and each row.

    Attributes:
        title: of the table.
        corner: heading of the row headings.
        columns: headings of the others.
        rows: in order, each with as many cells as there are columns.
        notes: number 1 first.

    Raises:
        ValueError: a row has another number of cells, or a note's number is of none.
    """

    title: str
    corner: str
    columns: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"row {row.heading.text}: expected {len(self.columns)} cells, "
                    f"got {len(row.cells)}"
                )
        noted = [*self.columns, *(row.heading for row in self.rows)]
        numbers = {number for item in noted for number in item.notes}
        numbers |= {n for row in self.rows for cell in row.cells for n in cell.notes}
        if strange := sorted(numbers - set(range(1, len(self.notes) + 1))):
            raise ValueError(f"notes: expected 1 .. {len(self.notes)}, got {strange}")


def transposed(table: Table, corner: str) -> Table:
    """The same table with a row for each column; lines above rows are lost.

    Args:
        table: the table.
        corner: heading of the new row headings.
    """
    rows = tuple(
        Row(heading, tuple(row.cells[place] for row in table.rows))
        for place, heading in enumerate(table.columns)
    )
    columns = tuple(row.heading for row in table.rows)
    return replace(table, corner=corner, columns=columns, rows=rows)
