"""Numbers in columns become a table: rounded, compared within each row, with their notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = [
    "AVERAGE",
    "DASH",
    "Column",
    "Notes",
    "Value",
    "arrange",
    "best_of",
    "cell_of",
    "rounded",
    "span",
]

AVERAGE = "average"
"""The name of the row of averages."""

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Value:
    """A number of a method in one row.

    Attributes:
        percent: None where there is none, shown as a dash.
        interval: its confidence interval, in percent, to be shown.
        notes: on it.
        competes: whether it may be the best of its row.
    """

    percent: float | None
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    competes: bool = True

    @property
    def shown(self) -> str:
        """The number with one decimal, or a dash."""
        return DASH if self.percent is None else rounded(self.percent)


@dataclass(frozen=True)
class Column:
    """A method's numbers.

    Attributes:
        name: over the column.
        values: by row; the column is blank in rows that are not there.
        notes: on the name.
        own: whether it is a run of the user's.
    """

    name: str
    values: Mapping[str, Value]
    notes: tuple[str, ...] = ()
    own: bool = False


class Notes:
    """Notes of a table, numbered in the order in which they come, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, notes: Iterable[str]) -> tuple[int, ...]:
        """The numbers of some notes, which are added where they are new."""
        return tuple(
            sorted({self._numbers.setdefault(note, len(self._numbers) + 1) for note in notes})
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """All notes, number 1 first."""
        return tuple(self._numbers)


def arrange(title: str, corner: str, rows: Mapping[str, str], columns: Sequence[Column]) -> Table:
    """Make a table of some columns, with a line above the row :data:`AVERAGE`.

    The best of a row are the values that are largest as shown, with one decimal, if there is
    another value to compare them with. Where all columns are own runs, none is marked as such.

    Args:
        title: of the table.
        corner: heading of the row headings.
        rows: heading of each row, by the row's name in the columns.
        columns: in order.
    """
    notes = Notes()
    mixed = not all(column.own for column in columns)
    headings = tuple(
        Heading(column.name, notes.numbers(column.notes), own=column.own and mixed)
        for column in columns
    )
    made = []
    for name, text in rows.items():
        values = [column.values.get(name) for column in columns]
        best = best_of(values)
        cells = tuple(cell_of(value, best, notes) for value in values)
        made.append(Row(Heading(text), cells, ruled=name == AVERAGE))
    return Table(title, corner, headings, tuple(made), notes.texts)


def rounded(number: float, decimals: int = 1, *, sign: bool = False) -> str:
    """A number with so many decimals, and with a plus where it is above zero if ``sign``."""
    text = f"{number:{'+' if sign else ''}.{decimals}f}"
    if float(text) == 0:
        return f"{0:.{decimals}f}"
    return text.replace("-", MINUS)


def span(low: float, high: float, decimals: int = 1, *, sign: bool = False) -> str:
    """An interval in words; arguments as of :func:`rounded`."""
    return f"{rounded(low, decimals, sign=sign)} to {rounded(high, decimals, sign=sign)}"


def best_of(values: Iterable[Value | None]) -> str | None:
    """How the largest number is shown, None where there are not two to compare."""
    compared = [v for v in values if v is not None and v.percent is not None and v.competes]
    if len(compared) < 2:
        return None
    return max(compared, key=lambda value: value.percent or 0).shown


def cell_of(value: Value | None, best: str | None, notes: Notes) -> Cell:
    """What a table says of a value.

    Args:
        value: None for nothing.
        best: how the best of its row is shown, see :func:`best_of`.
        notes: of the table, to which the value's are added.
    """
    if value is None:
        return Cell()
    return Cell(
        text=value.shown,
        detail="" if value.interval is None else span(*value.interval),
        best=value.competes and value.shown == best,
        notes=notes.numbers(value.notes),
    )
