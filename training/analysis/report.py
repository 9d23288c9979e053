"""The sections of an analysis as one page that needs no other file, and as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fastcaps.training.analysis.section import Section
from fastcaps.training.analysis.templates import png_address, read_text, render
from fastcaps.training.folders import write_atomically
from fastcaps.training.tables.html import page_style, table_section
from fastcaps.training.tables.markdown import escape_markdown, to_markdown

__all__ = ["CLAIMS", "REPORT", "write_report"]

REPORT = "report.html"
CLAIMS = "claims.md"


def write_report(
    out: Path, title: str, about: Sequence[str], sections: Mapping[str, Section]
) -> None:
    """Write ``report.html``, a PNG file for each figure, and ``claims.md`` with what is measured.

    Args:
        out: the folder, which is there.
        title: of the page.
        about: paragraphs below it: which run, which data.
        sections: by title, in order.

    Raises:
        OSError: a file cannot be written.
    """
    for section in sections.values():
        for picture in section.pictures:
            content = picture.png
            write_atomically(out / f"{picture.name}.png", lambda file, c=content: file.write(c))
    page = render(
        "report.html",
        title=title,
        about=about,
        sections=[
            {
                "name": _name(title),
                "title": title,
                "section": section,
                "pictures": [(picture, png_address(picture.png)) for picture in section.pictures],
                "tables": [
                    table_section(table, f"{_name(title)}-table{number}", level=3)
                    for number, table in enumerate(section.tables, start=1)
                ],
            }
            for title, section in sections.items()
        ],
        style=page_style() + read_text("report.css"),
    )
    write_atomically(out / REPORT, lambda file: file.write(page.encode()))
    claims = _claims(title, about, sections)
    write_atomically(out / CLAIMS, lambda file: file.write(claims.encode()))


def _claims(title: str, about: Sequence[str], sections: Mapping[str, Section]) -> str:
    """Words, verdicts, tables and what is missing in Markdown, without parts to look at alone."""
    parts = [f"# {escape_markdown(title)}", *map(escape_markdown, about)]
    for name, section in sections.items():
        is_absent = section.missing and not (section.pictures or section.fragment)
        if section.tables or section.verdicts or is_absent:
            parts += [f"## {escape_markdown(name)}", *map(escape_markdown, section.text)]
            lines = (f"- {escape_markdown(line)}" for line in (*section.verdicts, *section.missing))
            parts.append("\n".join(lines))
            parts += (to_markdown(table, level=3).strip() for table in section.tables)
    return "\n\n".join(part for part in parts if part) + "\n"


def _name(title: str) -> str:
    return title.lower().replace(" ", "-")
