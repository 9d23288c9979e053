"""The paper's tables: which runs are in which, beside what, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.evaluation.report import Evaluation
from fastcaps.training.published import published_tables
from fastcaps.training.tables import Table, make_tables
from fastcaps.training.tables.html import to_html
from fastcaps.training.tables.latex import to_latex
from fastcaps.training.tables.markdown import to_markdown
from tests.training.tables.made import BP4D, DASH, DISFA, evaluation

FRACTION = st.none() | st.floats(0, 1, allow_nan=False)


def places(tables: list[Table]) -> list[str]:
    return [table.title.split(":")[0] for table in tables]


def only(tables: list[Table], place: str) -> Table:
    (table,) = (table for table in tables if table.title.startswith(place))
    return table


def texts_of(table: Table, name: str) -> dict[str, str]:
    """A column, by row."""
    place = [heading.text for heading in table.columns].index(name)
    return {row.heading.text: row.cells[place].text for row in table.rows}


def notes_of(table: Table, name: str) -> list[str]:
    (heading,) = (heading for heading in table.columns if heading.text == name)
    return [table.notes[number - 1] for number in heading.notes]


def test_without_runs_there_are_the_papers_tables() -> None:
    tables = make_tables([])
    assert places(tables) == [published.place for published in published_tables()]
    assert not any(heading.own for table in tables for heading in table.columns)
    first = tables[0]
    assert texts_of(first, "OFS-CNN")["24"] == DASH
    assert texts_of(first, "Ours")["Average"] == "57.4"
    assert notes_of(first, "DRML") == [
        "K. Zhao, W.-S. Chu, H. Zhang: Deep region and multilabel learning for facial action unit "
        "detection, 2016"
    ]


def test_a_printed_average_that_is_no_mean_says_so() -> None:
    table = make_tables([])[0]
    (average,) = (row for row in table.rows if row.heading.text == "Average")
    drml = average.cells[2]
    assert drml.text == "48.3"
    assert [table.notes[n - 1] for n in drml.notes] == ["the mean of the printed values is 48.0"]


@pytest.mark.parametrize(
    ("data_set", "classes", "chosen", "expected"),
    [
        ("bp4d", BP4D, {}, ["1 (left)", "2 (left)", "4 (right)"]),
        ("bp4d", BP4D, {"weights": "vggface"}, ["1 (right)", "2 (left)", "4 (right)"]),
        ("bp4d", BP4D, {"weights": "imagenet"}, ["1 (right)", "2 (left)", "4 (right)"]),
        ("disfa", DISFA, {}, ["2 (right)", "3 (left)", "4 (right)"]),
        ("disfa", DISFA, {"weights": "run"}, ["2 (right)", "3 (left)", "4 (right)"]),
        (
            "disfa",
            DISFA,
            {"weights": "run", "network": "VGGCapsNet"},
            ["2 (right)", "3 (right)", "4 (right)"],
        ),
    ],
)
def test_a_run_is_in_the_tables_of_its_data(
    data_set: str, classes: tuple[str, ...], chosen: dict[str, Any], expected: list[str]
) -> None:
    tables = make_tables([("mine", evaluation(classes, data_set=data_set, **chosen))])
    own = [table for table in tables if any(heading.own for heading in table.columns)]
    assert places(own) == [f"Table {place}" for place in expected]
    # The other side of Table 1 or 3 is shown, too.
    assert len(tables) == 4


def test_own_values_are_in_percent_with_intervals_of_the_average() -> None:
    values = {name: 0.4 + 0.01 * place for place, name in enumerate(BP4D)}
    run = ("mine", evaluation(values, data_set="bp4d", half_width=0.02))
    table = only(make_tables([run]), "Table 1 (left)")
    column = texts_of(table, "mine")
    assert column["1"] == "40.0"
    assert column["24"] == "51.0"
    assert column["Average"] == "45.5"
    details = [row.cells[-1].detail for row in table.rows]
    assert details == [""] * 12 + ["43.5 to 47.5"]
    with_all = only(make_tables([run], class_intervals=True), "Table 1 (left)")
    assert with_all.rows[0].cells[-1].detail == "38.0 to 42.0"
    assert with_all.rows[0].cells[0].detail == ""


def test_auc_is_not_f1() -> None:
    run = ("mine", evaluation(DISFA, data_set="disfa"))
    tables = make_tables([run])
    assert texts_of(only(tables, "Table 3 (left)"), "mine")["26"] == "50.0"
    assert texts_of(only(tables, "Table 2 (right)"), "mine")["26"] == "25.0"


def test_own_runs_compete_with_published_ones() -> None:
    table = only(
        make_tables([("mine", evaluation(dict.fromkeys(BP4D, 0.65), data_set="bp4d"))]),
        "Table 1 (left)",
    )
    best = {
        row.heading.text: [
            heading.text
            for heading, cell in zip(table.columns, row.cells, strict=True)
            if cell.best
        ]
        for row in table.rows
    }
    assert best["1"] == ["mine"]
    assert best["14"] == ["FERA"]
    assert best["12"] == ["Ours"]
    assert best["Average"] == ["mine"]


def test_undefined_is_a_dash_with_its_reason() -> None:
    values = {**dict.fromkeys(BP4D, 0.9), "AU15": None}
    table = only(make_tables([("mine", evaluation(values, data_set="bp4d"))]), "Table 1 (left)")
    column = texts_of(table, "mine")
    assert (column["15"], column["Average"], column["17"]) == (DASH, DASH, "90.0")
    for row in (table.rows[8], table.rows[12]):
        cell = row.cells[-1]
        assert not cell.best
        assert [table.notes[number - 1] for number in cell.notes] == ["undefined: a reason"]


def test_what_limits_a_run_is_told() -> None:
    run = evaluation(BP4D, data_set="bp4d", folds=1, drop_inactive=True)
    assert notes_of(only(make_tables([("mine", run)]), "Table 1 (left)"), "mine") == [
        "trained with this program; with 95% confidence intervals from 1,000 resamples of the "
        "subjects",
        "tested on 1,234 frames of 41 subjects",
        "incomplete: 1 of 3 folds; not compared",
        "tested without frames that show no action unit",
    ]


@pytest.mark.parametrize(
    ("changed", "data", "told"),
    [
        ({"folds": "community"}, {}, "on the folds of later work"),
        ({"positive_from": 1}, {}, "an action unit is present from intensity 1 on"),
        ({}, {"positive_from": 2}, "an action unit is present from intensity 2 on"),
        ({"softmax_over": "inputs"}, {}, "softmax over inputs"),
    ],
)
def test_what_other_rows_may_have_otherwise_is_told(
    changed: dict[str, Any], data: dict[str, Any], told: str
) -> None:
    run = evaluation(DISFA, data_set="disfa", data=data)
    run["settings"].update(changed)
    table = only(make_tables([("mine", run)]), "Table 2 (right)")
    assert notes_of(table, "mine")[2:] == [told]


def test_a_method_that_the_paper_prints_by_another_name_has_a_note() -> None:
    table = only(make_tables([]), "Table 2 (right)")
    assert any(note.startswith('printed as "Ours-VGG"') for note in notes_of(table, "Ours-VGGF"))


def test_a_run_that_lacks_folds_does_not_compete() -> None:
    for folds in (2, 3):
        run = evaluation(dict.fromkeys(BP4D, 0.99), data_set="bp4d", folds=folds)
        table = only(make_tables([("mine", run)]), "Table 1 (left)")
        assert {row.cells[-1].best for row in table.rows} == {folds == 3}


def test_an_average_over_other_classes_does_not_compete() -> None:
    run = evaluation(dict.fromkeys(("AU01", "AU26"), 0.99), data_set="bp4d")
    tables = make_tables([("mine", run)])
    table = only(tables, "Table 1 (left)")
    column = texts_of(table, "mine")
    assert list(column)[-2:] == ["26", "Average"]
    assert (column["1"], column["2"], column["26"], column["Average"]) == (
        "99.0",
        "",
        "99.0",
        "99.0",
    )
    assert [cell.best for cell in table.rows[-1].cells] == [False] * 7 + [True, False]
    assert "its average is over AU01, AU26; not compared" in notes_of(table, "mine")
    concurrent = only(tables, "Table 4 (right)")
    assert texts_of(concurrent, "mine")["BP4D"] == "99.0"
    assert [cell.best for cell in concurrent.rows[0].cells] == [False, False, True, False]
    assert "its average is over AU01, AU26; not compared" in notes_of(concurrent, "mine")


def test_concurrent_work_has_a_row_for_each_data_set() -> None:
    runs = [
        ("one", evaluation(dict.fromkeys(BP4D, 0.61), data_set="bp4d")),
        ("two", evaluation(dict.fromkeys(DISFA, 0.52), data_set="disfa")),
    ]
    tables = make_tables(runs)
    assert len(tables) == 7
    table = only(tables, "Table 4 (right)")
    assert texts_of(table, "one") == {"BP4D": "61.0", "DISFA": ""}
    assert texts_of(table, "two") == {"BP4D": "", "DISFA": "52.0"}
    assert texts_of(table, "DSIN") == {"BP4D": "58.9", "DISFA": "53.6"}


def test_emotions_have_a_row_for_each_method() -> None:
    run = evaluation(["neutral", "anger"], data_set="ckplus", accuracies=(0.93, 0.975, 0.99))
    (table,) = make_tables([("mine", run)])
    assert table.title == "Table 4 (left): Accuracy in percent, CK+"
    assert [heading.text for heading in table.columns] == ["mean over folds", "all frames together"]
    by_name = {row.heading.text: row for row in table.rows}
    assert [cell.text for cell in by_name["mine"].cells] == ["97.5", "93.0"]
    assert by_name["mine"].cells[1].detail == "92.0 to 94.0"
    assert [cell.text for cell in by_name["DeRF"].cells] == ["97.3", ""]
    assert by_name["mine"].heading.own
    bold = [name for name, row in by_name.items() if row.cells[0].best]
    assert bold == ["mine"]


def test_best_epochs_are_called_optimistic_and_not_compared() -> None:
    run = evaluation(["neutral", "anger"], data_set="ckplus", accuracies=(0.9, 0.9, 0.999))
    (table,) = make_tables([("mine", run)])
    for name in ("Ours-Max", "mine, best epoch"):
        (row,) = (row for row in table.rows if row.heading.text == name)
        assert any(table.notes[n - 1].startswith("optimistic") for n in row.heading.notes)
        assert not row.cells[0].best
    assert [row.heading.text for row in table.rows if row.cells[0].best] == ["GCNet", "DeRF"]


def test_other_data_has_tables_of_its_own() -> None:
    runs = [
        ("a", evaluation(("AU01", "AU12"), data_set="synthetic")),
        ("b", evaluation(("AU01", "AU12"), data_set="synthetic")),
        ("c", evaluation(("AU01", "AU12"), data_set="synthetic", data={"sha256": "other"})),
        ("d", evaluation(("neutral", "fear"), data_set="drawn", accuracies=(0.5, 0.6, 0.7))),
        ("e", evaluation(("AU12",), data_set="ckplus")),
    ]
    tables = make_tables(runs)
    assert [table.title for table in tables] == [
        "F1-frame in percent, synthetic (1)",
        "AUC in percent, synthetic (1)",
        "F1-frame in percent, synthetic (2)",
        "AUC in percent, synthetic (2)",
        "Accuracy in percent, drawn",
        "F1-frame in percent, CK+",
        "AUC in percent, CK+",
    ]
    assert [heading.text for heading in tables[0].columns] == ["a", "b"]
    assert [row.heading.text for row in tables[0].rows] == ["1", "12", "Average"]
    assert [row.heading.text for row in tables[4].rows] == ["d", "d, best epoch"]


def test_a_label_twice_is_two_columns() -> None:
    run = evaluation(("AU01",), data_set="synthetic")
    assert len(make_tables([("same", run), ("same", run)])[0].columns) == 2


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, Evaluation]:
    data_set, classes = draw(
        st.sampled_from(
            [("bp4d", BP4D), ("disfa", DISFA), ("made", ("AU01", "AU06")), ("ckplus", ())]
        )
    )
    label = draw(st.text("ab|_%[*<&{\\", max_size=6))
    half_width = draw(st.none() | st.just(0.02))
    folds = draw(st.integers(1, 3))
    if not classes:
        accuracies = draw(st.lists(FRACTION, min_size=3, max_size=3))
        made = evaluation(
            ("neutral", "fear"),
            folds=folds,
            half_width=half_width,
            accuracies=accuracies,
            data_set=data_set,
        )
        return label, made
    values = draw(st.lists(FRACTION, min_size=len(classes), max_size=len(classes)))
    weights = draw(st.sampled_from(["random", "imagenet", "vggface", "run"]))
    return label, evaluation(
        dict(zip(classes, values, strict=True)),
        folds=folds,
        half_width=half_width,
        data_set=data_set,
        weights=weights,
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(runs(), min_size=1, max_size=5))
def test_any_runs_make_tables_that_can_be_written(made: list[tuple[str, Evaluation]]) -> None:
    tables = make_tables(made, class_intervals=True)
    text = "".join((to_html(tables, "t"), to_latex(tables, "t"), *map(to_markdown, tables)))
    assert "nan" not in text.lower().replace("nantic", "")
    assert "None" not in text
    for table in tables:
        for row in table.rows:
            for heading, cell in zip(table.columns, row.cells, strict=True):
                own = heading.own or row.heading.own
                assert not (own and cell.text == DASH) or cell.notes
