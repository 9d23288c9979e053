"""Folds: the published lists, every n-th subject, what is lost or on both sides, rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.errors import InputError
from fastcaps.training.folds import (
    COMMUNITY_FOLDS,
    Fold,
    absent_subjects,
    check_folds,
    make_folds,
    rows_of,
)

BP4D = [f"F{i:03d}" for i in range(1, 24)] + [f"M{i:03d}" for i in range(1, 19)]
DISFA = [f"SN{i:03d}" for i in range(1, 33) if i not in (14, 15, 19, 20, 22)]
SUBJECTS = st.sets(st.text("abcXYZ012", min_size=1, max_size=4), min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("dataset", "subjects", "sizes"),
    [("bp4d", BP4D, [14, 14, 13]), ("disfa", DISFA, [9, 9, 9])],
)
def test_the_community_lists_hold_every_subject_once(
    dataset: str, subjects: list[str], sizes: list[int]
) -> None:
    lists = COMMUNITY_FOLDS[dataset]
    assert [len(part) for part in lists] == sizes
    assert sorted(subject for part in lists for subject in part) == subjects


def test_the_community_lists_are_the_published_ones() -> None:
    # ME-GraphAU's lists, as sums of the subjects' numbers, women and men apart.
    def sums(part: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(sum(int(s[1:]) for s in part if s[0] == sex) for sex in "FM")

    parts = COMMUNITY_FOLDS["bp4d"]
    assert [sums(part) for part in parts] == [(87, 46), (74, 92), (115, 33)]
    assert [sum(int(s[2:]) for s in part) for part in COMMUNITY_FOLDS["disfa"]] == [153, 164, 121]


def test_community_folds_test_one_list_each() -> None:
    folds = make_folds(reversed(BP4D), "community", "bp4d")
    for fold, part in zip(folds, COMMUNITY_FOLDS["bp4d"], strict=True):
        assert fold.test_subjects == part
        assert fold.train_subjects == tuple(s for s in BP4D if s not in part)


def test_absent_subjects_are_told_and_left_out() -> None:
    present = [s for s in DISFA if s not in ("SN001", "SN031")]
    assert absent_subjects(present, "disfa") == ("SN001", "SN031")
    folds = make_folds(present, "community", "disfa")
    assert [len(fold.test_subjects) for fold in folds] == [8, 8, 9]
    check_folds(folds, present)
    assert absent_subjects(DISFA, "disfa") == ()


def test_sorted_folds_take_every_nth() -> None:
    folds = make_folds(["d", "b", "a", "c", "e", "a"], "sorted", "csv")
    assert [fold.test_subjects for fold in folds] == [("a", "d"), ("b", "e"), ("c",)]
    assert [fold.train_subjects for fold in folds] == [
        ("b", "c", "e"),
        ("a", "c", "d"),
        ("a", "b", "d", "e"),
    ]


def test_ck_plus_has_ten_folds() -> None:
    subjects = [f"S{i:03d}" for i in range(5, 128)]
    folds = make_folds(subjects, "sorted", "ckplus")
    assert [fold.test_subjects for fold in folds] == [tuple(subjects[i::10]) for i in range(10)]


@given(subjects=SUBJECTS, data=st.data())
@settings(deadline=None)
def test_sorted_folds_test_each_subject_once(subjects: set[str], data: st.DataObject) -> None:
    count = data.draw(st.integers(2, len(subjects)))
    folds = make_folds(subjects, "sorted", "csv", count)
    assert len(folds) == count
    assert sorted(s for fold in folds for s in fold.test_subjects) == sorted(subjects)
    for fold in folds:
        assert set(fold.train_subjects) == subjects - set(fold.test_subjects)
        assert abs(len(fold.test_subjects) - len(subjects) / count) < 1


@pytest.mark.parametrize(
    ("subjects", "options", "message"),
    [
        (BP4D, ("community", "ckplus"), "^dataset: .* bp4d or disfa, got ckplus; choose the sch"),
        (BP4D, ("community", "bp4d", 5), "^count: expected 3, as many as bp4d's .* got 5"),
        (
            [*BP4D, "M019", "F099"],
            ("community", "bp4d"),
            "^subjects: expected those of bp4d's community folds, got F099, M019; leave them out",
        ),
        (
            BP4D[:2],
            ("community", "bp4d"),
            r"^subjects: .* community fold 2, F003 \.\. M018, got none",
        ),
        (BP4D, ("sorted", "bp4d", 1), r"^count: expected 2 \.\. 41, the number .* got 1"),
        (BP4D, ("sorted", "bp4d", 42), r"^count: expected 2 \.\. 41, the number .* got 42"),
        (BP4D[:1], ("sorted", "bp4d"), "^subjects: expected at least two, got F001"),
        ([], ("sorted", "bp4d"), "^subjects: expected at least two, got none"),
        (BP4D, ("random", "bp4d"), "^scheme: expected community or sorted, got random"),
    ],
)
def test_bad_choices_are_refused(
    subjects: list[str], options: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_folds(subjects, *options)


def test_absent_subjects_needs_lists() -> None:
    with pytest.raises(InputError, match=r"^dataset: expected one that has community folds"):
        absent_subjects([], "csv")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((), ("a",), "^train_subjects: expected at least one subject, got none"),
        (("a",), (), "^test_subjects: expected at least one subject, got none"),
        (("a", "b", "c"), ("d", "c", "b"), "^test_subjects: .* got b, c in both"),
        (("a", "a"), ("b",), "^train_subjects: expected each subject once, got a again"),
        (("a",), ("b", "b"), "^test_subjects: expected each subject once, got b again"),
    ],
)
def test_bad_folds_are_refused(train: tuple[str, ...], test: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fold(train, test)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([(("b",), ("a",)), (("a",), ("b",))], "otherwise with c"),
        ([(("b", "c"), ("a",)), (("a",), ("b", "c"))], None),
        ([(("b", "c"), ("a",)), (("a", "c"), ("b",))], "otherwise with c"),
        ([(("b", "c"), ("a",)), (("c",), ("a", "b"))], "expected each subject once, got a again"),
        ([(("b",), ("a",)), (("a",), ("b", "c"))], "otherwise with c"),
        ([(("b", "c"), ("a",)), (("a",), ("b", "c", "d"))], "otherwise with d"),
        ([], "otherwise with a, b, c"),
    ],
)
def test_nobody_is_lost(folds: list[Any], message: str | None) -> None:
    built = [Fold(*sides) for sides in folds]
    if message is None:
        check_folds(built, "abc")
        return
    with pytest.raises(InputError, match=rf"^folds: .*{message}"):
        check_folds(built, "abc")


@given(subjects=SUBJECTS, data=st.data())
@settings(deadline=None)
def test_rows_are_split_completely_and_in_order(subjects: set[str], data: st.DataObject) -> None:
    fold = make_folds(subjects, "sorted", "csv", 2)[0]
    extra = data.draw(st.lists(st.sampled_from(sorted(subjects))))
    order = data.draw(st.permutations(sorted(subjects) + extra))
    index = pd.DataFrame({"subject": order, "frame": 1}, index=range(len(order), 0, -1))
    if data.draw(st.booleans()):
        index["subject"] = index["subject"].astype("category")
    train, test = rows_of(fold, index)
    assert train.dtype == test.dtype == np.int64
    assert train.tolist() == [i for i, s in enumerate(order) if s in fold.train_subjects]
    assert test.tolist() == [i for i, s in enumerate(order) if s in fold.test_subjects]
    assert sorted([*train, *test]) == list(range(len(order)))


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (["a", "b", "x", "c", "x", "w"], "^index: expected subjects of the fold only, got w, x"),
        (["a", "b", None], "^index: expected subjects of the fold only, got (nan|None)"),
        (["a", "a"], "^index: expected at least one row of test_subjects, got none"),
        (["b"], "^index: expected at least one row of train_subjects, got none"),
        ([], "^index: expected at least one row of train_subjects, got none"),
    ],
)
def test_rows_of_nobody_are_refused(subjects: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows_of(Fold(("a", "c"), ("b",)), pd.DataFrame({"subject": subjects}))


def test_an_index_without_subjects_is_refused() -> None:
    with pytest.raises(InputError, match=r"^index: expected a column subject, got person, frame"):
        rows_of(Fold(("a",), ("b",)), pd.DataFrame({"person": ["a"], "frame": [1]}))
