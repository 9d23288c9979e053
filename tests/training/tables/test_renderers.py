"""The four renderers: one small table as each writes it, and texts that need escaping."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fastcaps.training.errors import InputError
from fastcaps.training.tables import to_terminal, write_tables
from fastcaps.training.tables.html import to_html
from fastcaps.training.tables.latex import to_latex
from fastcaps.training.tables.markdown import to_markdown
from fastcaps.training.tables.model import Cell, Heading, Row, Table, transposed
from tests.training.html_page import HtmlPage
from tests.training.tables.made import DASH

SMALL = Table(
    title="F1 of all_AUs",
    corner="AU",
    columns=(Heading("Old", (1,)), Heading("New & own", (2,), own=True)),
    rows=(
        Row(Heading("1"), (Cell("40.0"), Cell("50.0", best=True))),
        Row(Heading("Average"), (Cell(DASH, notes=(3,)), Cell("50.0", "-1 to 9")), ruled=True),
    ),
    notes=("A. Author: 100% <sure>", "own", "undefined"),
)
NASTY = r"""a|b*_`[x](y)<i>&#~$^%{\}"''' --"""


def one_cell(text: str) -> Table:
    cell = Cell(text, detail=text, best=True, notes=(1,))
    return Table(text, text, (Heading(text, own=True),), (Row(Heading(text), (cell,)),), (text,))


def printed(table: Table, width: int = 80) -> str:
    console = Console(width=width, color_system=None, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(to_terminal(table))
    return capture.get()


def test_markdown_of_a_small_table() -> None:
    assert to_markdown(SMALL) == (
        "## F1 of all\\_AUs\n"
        "\n"
        "| AU | Old [1] | *New \\& own* [2] |\n"
        "| --- | ---: | ---: |\n"
        "| 1 | 40.0 | **50.0** |\n"
        f"| Average | {DASH} [3] | 50.0 (-1 to 9) |\n"
        "\n"
        "1. A. Author: 100% \\<sure\\>\n"
        "2. own\n"
        "3. undefined\n"
    )


def test_latex_of_a_small_table() -> None:
    assert to_latex([SMALL], "A title").splitlines() == [
        r"\documentclass{article}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
        r"\begin{document}",
        r"\section*{A title}",
        "",
        r"\begin{center}",
        r"\textbf{F1 of all\_AUs}\par\nopagebreak\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"AU & Old\textsuperscript{1} & \textit{New \& own}\textsuperscript{2} \\",
        r"\midrule",
        r"1 & 40.0 & \textbf{50.0} \\",
        r"\midrule",
        r"Average & --\textsuperscript{3} & 50.0 \\",
        r" &  & {\scriptsize -1 to 9} \\",
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{center}",
        r"{\footnotesize",
        r"\begin{enumerate}",
        r"\item A. Author: 100\% $<$sure$>$",
        r"\item own",
        r"\item undefined",
        r"\end{enumerate}}",
        r"\end{document}",
    ]


def test_the_terminal_shows_a_small_table() -> None:
    lines = [line.split() for line in printed(SMALL).splitlines() if line.strip(" ─")]
    assert lines == [
        ["F1", "of", "all_AUs"],
        ["AU", "Old", "[1]", "New", "&", "own", "[2]"],
        ["1", "40.0", "50.0"],
        ["Average", DASH, "[3]", "50.0"],
        ["-1", "to", "9"],
        ["[1]", "A.", "Author:", "100%", "<sure>"],
        ["[2]", "own"],
        ["[3]", "undefined"],
    ]


def test_the_terminal_takes_no_text_for_markup() -> None:
    assert "[bold]not[/bold]" in printed(one_cell("[bold]not[/bold]"))


def test_html_of_a_small_table() -> None:
    page = HtmlPage(to_html([SMALL, SMALL], "A title"))
    assert page.of("h1") == ["A title"]
    assert page.of("h2") == ["F1 of all_AUs"] * 2
    assert page.of("th")[:3] == ["AU", "Old", "New & own"]
    assert page.of("td")[:2] == ["40.0", DASH]
    assert page.of("b") == ["50.0"] * 2
    assert page.of("small") == ["-1 to 9"] * 2
    assert page.of("li")[:3] == ["A. Author: 100% <sure>", "own", "undefined"]


def test_a_page_is_alone_and_fits_small_and_dark_screens() -> None:
    text = to_html([SMALL], "A title")
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "overflow-x: auto" in text
    page = HtmlPage(text)
    assert not {"link", "script", "img"} & set(page.tags)
    assert "http" not in text


def test_notes_are_linked_and_ids_are_unique() -> None:
    page = HtmlPage(to_html([SMALL, SMALL], "A title"))
    assert len(set(page.ids)) == len(page.ids)
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_html_marks_own_columns_and_own_rows() -> None:
    assert to_html([SMALL], "").count('class="own"') == 3
    assert to_html([transposed(SMALL, "Method")], "").count('class="own"') == 3


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20))
def test_html_shows_any_text_as_it_is(text: str) -> None:
    page = HtmlPage(to_html([one_cell(text)], text))
    for tag in ("h1", "h2", "li", "small", "b"):
        assert page.of(tag) == ([text] if text.strip() else [])


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from(NASTY), max_size=20))
def test_markdown_keeps_the_form_of_a_table(text: str) -> None:
    lines = to_markdown(one_cell(text)).splitlines()[2:5]
    # A bar that is not escaped ends a cell.
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines] == [3, 3, 3]


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(NASTY), max_size=20))
def test_latex_keeps_the_form_of_a_table(text: str) -> None:
    document = to_latex([one_cell(text)], text)
    bare = re.sub(r"\$([<>|-]|\\backslash)\$|\\[~^]\{\}|\\[{}$&#_%]", "", document)
    assert bare.count("{") == bare.count("}")
    rows = bare[bare.index(r"\toprule") : bare.index(r"\bottomrule")]
    ends = [line.count("&") for line in rows.splitlines() if line.endswith(r"\\")]
    assert ends == [1] * (3 if text else 2)
    # Comments, mathematics, scripts and ties.
    assert not re.search(r"[$#^~]|%(?!$)", bare, re.MULTILINE)
    assert "_" not in bare


@pytest.mark.skipif(which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    write_tables(tmp_path, [SMALL, one_cell(NASTY), transposed(SMALL, "[")])
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("start", ["[", "*"])
def test_latex_takes_no_start_of_a_row_for_an_option(start: str) -> None:
    document = to_latex([one_cell(f"{start}1")], "")
    assert not re.search(rf"\\\\\s*{re.escape(start)}", document)
    assert f"{{{start}}}1" in document


def test_a_table_without_notes_has_no_empty_list() -> None:
    table = Table("t", "c", (Heading("a"),), (Row(Heading("r"), (Cell("1"),)),))
    assert "enumerate" not in to_latex([table], "t")
    assert "<ol>" not in to_html([table], "t")


def test_files_hold_all_tables(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_tables(folder, [SMALL, transposed(SMALL, "Method")], title="Both")
    assert sorted(path.name for path in folder.iterdir()) == [
        "tables.html",
        "tables.md",
        "tables.tex",
    ]
    assert (folder / "tables.md").read_text("utf-8").count("## F1 of") == 2
    assert (folder / "tables.tex").read_text("utf-8").count(r"\begin{tabular}") == 2
    assert HtmlPage((folder / "tables.html").read_text("utf-8")).tags.count("table") == 2


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: .*file cannot be written"):
        write_tables(tmp_path / "file", [SMALL])


def test_a_transposed_table_twice_is_the_table() -> None:
    again = transposed(transposed(SMALL, "Method"), "AU")
    assert again.columns == SMALL.columns
    assert [row.cells for row in again.rows] == [row.cells for row in SMALL.rows]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row(Heading("r"), ()), "expected 1 cells, got 0"),
        (Row(Heading("r"), (Cell("1", notes=(2,)),)), r"expected 1 \.\. 1, got \[2\]"),
    ],
)
def test_tables_out_of_shape_are_refused(row: Row, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Table("t", "c", (Heading("a"),), (row,), ("a note",))
