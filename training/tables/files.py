"""Tables written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.tables.html import to_html
from fastcaps.training.tables.latex import to_latex
from fastcaps.training.tables.markdown import to_markdown
from fastcaps.training.tables.model import Table

__all__ = ["write_tables"]


def write_tables(
    folder: Path,
    tables: Sequence[Table],
    *,
    name: str = "tables",
    title: str = "Facial action unit detection",
) -> None:
    """Write all tables as Markdown, HTML and LaTeX: NAME.md, NAME.html and NAME.tex.

    Args:
        folder: made if it is missing.
        tables: in order.
        name: of the files.
        title: over the tables.

    Raises:
        InputError: the folder cannot be written.
    """
    contents = {
        "md": "\n".join(map(to_markdown, tables)),
        "html": to_html(tables, title),
        "tex": to_latex(tables, title),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, text in contents.items():
            _write(folder / f"{name}.{kind}", text)
    except OSError as error:
        raise InputError(
            f"out: {folder} cannot be written: {error.strerror}; choose another folder"
        ) from error


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
