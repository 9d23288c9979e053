"""The report as a page."""

from __future__ import annotations

import base64
from pathlib import Path

from fastcaps.training.analysis.report import CLAIMS, REPORT, write_report
from fastcaps.training.analysis.section import Picture, Section
from fastcaps.training.tables.model import Cell, Heading, Row, Table
from tests.training.html_page import HtmlPage

PNG = b"\x89PNG not quite"


def test_a_page_holds_everything_and_escapes_words(tmp_path: Path) -> None:
    table = Table("Numbers", "Class", (Heading("rho"),), (Row(Heading("<AU>"), (Cell("0.5"),)),))
    sections = {
        "First part": Section(
            text=("a < b",), pictures=(Picture("one", "caption & more", PNG),), tables=(table,)
        ),
        "Folded": Section(pictures=(Picture("two", "folded away", PNG, folded=True),)),
        "Second": Section(missing=("no <image>",), fragment="<p id='own'>own</p>"),
        "Third": Section(text=("see",), verdicts=("It *holds*.",), missing=("half of it",)),
        "Fourth": Section(missing=("all of it",)),
    }
    write_report(tmp_path, "Title <x>", ["about"], sections)
    assert (tmp_path / "one.png").read_bytes() == PNG
    page = HtmlPage((tmp_path / REPORT).read_text())
    for words in (
        "Title <x>",
        "about",
        "a < b",
        "caption & more",
        "no <image>",
        "<AU>",
        "own",
        "*holds*",
    ):
        assert words in "".join(page.words)
    (alt, address), (folded, _) = page.pictures
    assert (alt, folded) == ("caption & more", "folded away")
    assert page.tags.count("details") == 1
    assert page.words.count("folded away") == 1
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == PNG
    assert page.links[:3] == ["#first-part", "#folded", "#second"]
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert (tmp_path / CLAIMS).read_text() == (
        "# Title \\<x\\>\n\nabout\n\n## First part\n\na \\< b\n\n"
        "### Numbers\n\n| Class | rho |\n| --- | ---: |\n| \\<AU\\> | 0.5 |\n\n"
        "## Third\n\nsee\n\n- It \\*holds\\*.\n- half of it\n\n"
        "## Fourth\n\n- all of it\n"
    )
    # It needs nothing from elsewhere.
    assert "http" not in (tmp_path / REPORT).read_text()
