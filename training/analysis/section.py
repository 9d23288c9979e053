"""What one part of an analysis tells: words, figures, tables."""

from __future__ import annotations

from dataclasses import dataclass

from fastcaps.training.tables.model import Table

__all__ = ["Picture", "Section"]


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: of its file, without ending.
        caption: what it shows.
        png: the file's content.
        folded: whether a page shows its caption only, until it is asked for.
    """

    name: str
    caption: str
    png: bytes
    folded: bool = False

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png


@dataclass(frozen=True)
class Section:
    """What a part of the report holds.

    Attributes:
        text: paragraphs.
        verdicts: what it says of claims, a sentence each.
        pictures: figures, in order.
        tables: below them.
        fragment: HTML of its own, below these; trusted.
        missing: why there is nothing of it, or of some of it.
    """

    text: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    fragment: str = ""
    missing: tuple[str, ...] = ()
