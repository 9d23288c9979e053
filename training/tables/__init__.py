"""The paper's tables with runs beside what it prints, in a terminal, Markdown, HTML and LaTeX."""

from __future__ import annotations

from fastcaps.training.tables.files import write_tables
from fastcaps.training.tables.model import Table
from fastcaps.training.tables.paper import make_tables
from fastcaps.training.tables.terminal import to_terminal

__all__ = ["Table", "make_tables", "to_terminal", "write_tables"]
