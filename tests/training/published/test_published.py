"""The paper's numbers: whole, in agreement with themselves, and cited."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastcaps.training.action_units import BP4D_ACTION_UNITS, DISFA_ACTION_UNITS, column
from fastcaps.training.published import Method, PublishedTable, published_tables

ROUNDING = 0.1
"""Both an average and the values that it is of are rounded to one decimal."""

CLASSES = {
    "bp4d": tuple(map(column, BP4D_ACTION_UNITS)),
    "disfa": tuple(map(column, DISFA_ACTION_UNITS)),
}


def of(place: str) -> PublishedTable:
    (table,) = (table for table in published_tables() if table.place == place)
    return table


def value(place: str, method: str, row: str) -> float | None:
    table = of(place)
    (column,) = (each for each in table.methods if each.name == method)
    return column.values[table.rows.index(row)]


def with_averages() -> Iterator[tuple[str, Method]]:
    for table in published_tables():
        for method in table.methods:
            if method.average is not None:
                yield f"{table.place} {method.name}", method


def test_all_tables_are_there_with_all_methods() -> None:
    assert [(table.place, len(table.methods)) for table in published_tables()] == [
        ("Table 1 (left)", 8),
        ("Table 1 (right)", 4),
        ("Table 2 (left)", 9),
        ("Table 2 (right)", 8),
        ("Table 3 (left)", 5),
        ("Table 3 (right)", 3),
        ("Table 4 (left)", 8),
        ("Table 4 (right)", 3),
    ]


def test_each_method_has_a_value_for_each_row() -> None:
    for table in published_tables():
        if table.data_set in CLASSES:
            assert table.rows == CLASSES[table.data_set]
        for method in table.methods:
            assert len(method.values) == len(table.rows)
            assert all(v is None or 0 < v < 100 for v in method.values)


@pytest.mark.parametrize(("name", "method"), list(with_averages()))
def test_averages_are_those_of_the_values(name: str, method: Method) -> None:
    known = [value for value in method.values if value is not None]
    assert method.average is not None
    agrees = abs(sum(known) / len(known) - method.average) <= ROUNDING + 1e-9
    assert agrees == (method.disagrees is None)


def test_the_mean_that_a_disagreement_tells_is_right() -> None:
    told = {name: method for name, method in with_averages() if method.disagrees}
    assert len(told) == 7
    for method in told.values():
        known = [value for value in method.values if value is not None]
        assert float(str(method.disagrees).split()[-1]) == pytest.approx(
            sum(known) / len(known), abs=0.05 + 1e-9
        )


def test_the_sum_of_all_values_is_that_of_the_paper() -> None:
    # Sums over the numbers in the paper's text: a slip in any one number changes them.
    sums = {
        table.place: round(sum(v for m in table.methods for v in m.values if v is not None), 2)
        for table in published_tables()
    }
    assert sums == {
        "Table 1 (left)": 4649.6,
        "Table 1 (right)": 2671.0,
        "Table 2 (left)": 5880.3,
        "Table 2 (right)": 3279.6,
        "Table 3 (left)": 1373.5,
        "Table 3 (right)": 1147.97,
        "Table 4 (left)": 763.58,
        "Table 4 (right)": 346.5,
    }


def test_some_values_as_printed() -> None:
    assert value("Table 1 (left)", "FERA", "AU24") is None
    assert value("Table 1 (right)", "Ours-VGGF", "AU15") == 49.2
    assert value("Table 2 (right)", "LSVM", "AU25") == 3.4
    assert value("Table 3 (right)", "FVGG", "AU09") == 1.67
    assert value("Table 4 (left)", "DeRF", "accuracy") == 97.3
    assert value("Table 4 (right)", "JAA-Net", "disfa") == 56


def test_external_data_as_the_tables_mark_it() -> None:
    def marked(place: str) -> set[str]:
        return {method.name for method in of(place).methods if method.external_data}

    assert marked("Table 1 (left)") == set()
    assert marked("Table 1 (right)") == {"FVGG", "ROI", "Ours-VGG", "Ours-VGGF"}
    assert marked("Table 2 (left)") == {"Ours-VGG", "Ours-VGGF"}
    assert marked("Table 4 (left)") == {"GCNet", "DeRF", "FN2EN"}


def test_only_the_best_epoch_is_optimistic() -> None:
    optimistic = [m.name for table in published_tables() for m in table.methods if m.optimistic]
    assert optimistic == ["Ours-Max"]


def test_every_source_is_told_in_one_line() -> None:
    for table in published_tables():
        for method in table.methods:
            citation = str(method.source)
            assert "\n" not in citation
            assert method.source.title in citation
            assert (method.source.year is None) == method.name.startswith("Ours")
