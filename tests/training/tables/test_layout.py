"""Which values are the best of their row, how numbers are shown, how notes are numbered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcaps.training.tables.layout import AVERAGE, Column, Notes, Value, arrange, rounded, span

PERCENT = st.floats(0, 100, allow_nan=False)
VALUES = st.builds(Value, st.none() | PERCENT, competes=st.booleans())
ROW = st.lists(st.none() | VALUES, min_size=1, max_size=12)


@given(ROW)
def test_bold_are_exactly_the_largest_shown_numbers(row: list[Value | None]) -> None:
    columns = [
        Column(str(place), {} if value is None else {"r": value}) for place, value in enumerate(row)
    ]
    cells = arrange("", "", {"r": "r"}, columns).rows[0].cells
    numbers = [None if v is None or v.percent is None else float(f"{v.percent:.1f}") for v in row]
    compared = [n for n, v in zip(numbers, row, strict=True) if n is not None and v.competes]
    largest = max(compared) if len(compared) > 1 else None
    assert [cell.best for cell in cells] == [
        number is not None and number == largest and value.competes
        for number, value in zip(numbers, row, strict=True)
    ]


def test_numbers_that_look_the_same_are_both_the_best() -> None:
    columns = [Column(str(v), {"r": Value(v)}) for v in (64.96, 65.04, 64.94)]
    cells = arrange("", "", {"r": "r"}, columns).rows[0].cells
    assert [(cell.text, cell.best) for cell in cells] == [
        ("65.0", True),
        ("65.0", True),
        ("64.9", False),
    ]


def test_undefined_is_a_dash_and_missing_is_blank() -> None:
    columns = [Column("a", {"r": Value(None, notes=("why",))}), Column("b", {})]
    table = arrange("", "", {"r": "r"}, columns)
    assert [(cell.text, cell.notes) for cell in table.rows[0].cells] == [
        ("\N{EN DASH}", (1,)),
        ("", ()),
    ]
    assert table.notes == ("why",)


def test_only_the_row_of_averages_has_a_line_above_it() -> None:
    table = arrange("", "", {"AU01": "1", AVERAGE: "Average"}, [Column("a", {})])
    assert [(row.heading.text, row.ruled) for row in table.rows] == [
        ("1", False),
        ("Average", True),
    ]


def test_own_columns_are_marked_beside_others_only() -> None:
    own, other = Column("own", {}, own=True), Column("other", {})
    assert [heading.own for heading in arrange("", "", {}, [own, other]).columns] == [True, False]
    assert [heading.own for heading in arrange("", "", {}, [own, own]).columns] == [False, False]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), max_size=8))
def test_notes_are_numbered_as_they_come(groups: list[list[str]]) -> None:
    notes = Notes()
    numbers = [notes.numbers(group) for group in groups]
    assert len(set(notes.texts)) == len(notes.texts)
    assert list(notes.texts) == list(dict.fromkeys(note for group in groups for note in group))
    for group, given_numbers in zip(groups, numbers, strict=True):
        assert {notes.texts[number - 1] for number in given_numbers} == set(group)
        assert list(given_numbers) == sorted(given_numbers)


@pytest.mark.parametrize(
    ("number", "sign", "text"),
    [
        (57.449, False, "57.4"),
        (0.0, True, "0.0"),
        (-0.04, True, "0.0"),
        (0.04, True, "0.0"),
        (-1.25, False, "\N{MINUS SIGN}1.2"),
        (3.1, True, "+3.1"),
    ],
)
def test_numbers_with_one_decimal(number: float, sign: bool, text: str) -> None:
    assert rounded(number, sign=sign) == text


def test_intervals_in_words() -> None:
    assert span(1, 2.25) == "1.0 to 2.2"
    assert span(-1, 2, sign=True) == "\N{MINUS SIGN}1.0 to +2.0"
