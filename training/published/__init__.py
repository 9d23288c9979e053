"""What the paper's Tables 1 to 4 print, from the data file beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

__all__ = ["Method", "PublishedTable", "Source", "TableMeasure", "published_tables"]

TableMeasure = Literal["f1", "auc", "accuracy"]


@dataclass(frozen=True)
class Source:
    """Where numbers come from: an entry of the paper's reference list, or the paper itself.

    Attributes:
        authors: initials and names, separated by commas.
        title: of the publication.
        year: None where the paper does not tell.
    """

    authors: str
    title: str
    year: int | None

    def __str__(self) -> str:
        """The citation in one line."""
        year = "" if self.year is None else f", {self.year}"
        return f"{self.authors}: {self.title}{year}"


@dataclass(frozen=True)
class Method:
    """A method's numbers in one table.

    Attributes:
        name: as printed.
        source: who published the numbers.
        values: in percent, one for each row of the table; None where it prints a dash.
        average: in percent, as printed; None where the table has none.
        external_data: whether the table counts it as trained with data besides its own.
        optimistic: whether the test frames had a part in the choice of what is reported.
        disagrees: how the printed average differs from the mean of the values; None where it
            does not.
        renamed: what the table prints instead of the name, and why; None where it prints that.
    """

    name: str
    source: Source
    values: tuple[float | None, ...]
    average: float | None = None
    external_data: bool = False
    optimistic: bool = False
    disagrees: str | None = None
    renamed: str | None = None


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper, or one side of it.

    Attributes:
        place: in the paper, as "Table 1 (left)".
        data_set: "bp4d", "disfa" or "ckplus"; None where each row is of another.
        measure: what is printed.
        rows: names of classes ("AU01"), data sets, or "accuracy".
        methods: the columns, in order.
        external_data: whether the whole table is of methods with external data, or without; None
            where it has both.
    """

    place: str
    data_set: str | None
    measure: TableMeasure
    rows: tuple[str, ...]
    methods: tuple[Method, ...]
    external_data: bool | None = None


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """The paper's tables, in their order."""
    content = yaml.safe_load(files(__package__).joinpath("published.yaml").read_text("utf-8"))
    sources = {key: Source(**source) for key, source in content["sources"].items()}
    return tuple(_table(table, sources) for table in content["tables"])


def _table(table: Mapping[str, Any], sources: Mapping[str, Source]) -> PublishedTable:
    methods = tuple(
        Method(
            **{
                "external_data": bool(table.get("external_data")),
                **method,
                "source": sources[method["source"]],
                "values": tuple(method["values"]),
            }
        )
        for method in table["methods"]
    )
    return PublishedTable(**{**table, "rows": tuple(table["rows"]), "methods": methods})
