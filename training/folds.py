"""Who is trained on and who is tested on: cross-validation by subject.

No subject is ever on both sides, and every subject is tested exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastcaps.training.errors import InputError

__all__ = [
    "COMMUNITY_FOLDS",
    "FOLD_COUNTS",
    "Fold",
    "Scheme",
    "absent_subjects",
    "check_folds",
    "make_folds",
    "rows_of",
]

Scheme = Literal["community", "sorted"]

FOLD_COUNTS: Mapping[str, int] = {"bp4d": 3, "disfa": 3, "ckplus": 10}
"""How many folds the literature makes of each data set."""

COMMUNITY_FOLDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "bp4d": tuple(
        tuple(subjects.split())
        for subjects in (
            "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
            "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
            "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
        )
    ),
    "disfa": tuple(
        tuple(subjects.split())
        for subjects in (
            "SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032",
            "SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031",
            "SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029",
        )
    ),
}
"""The subjects that each fold tests, as used by JAA-Net, ME-GraphAU and FMAE-IAT.

Those number the folds from the other end: what they call fold 1 tests the last list.
"""


@dataclass(frozen=True)
class Fold:
    """The subjects on either side of one fold.

    Raises:
        InputError: a side is empty, names a subject twice, or shares one with the other.
    """

    train_subjects: tuple[str, ...]
    test_subjects: tuple[str, ...]

    def __post_init__(self) -> None:
        for side, subjects in (("train", self.train_subjects), ("test", self.test_subjects)):
            if not subjects:
                raise InputError(f"{side}_subjects: expected at least one subject, got none")
            _check_once(f"{side}_subjects", subjects)
        both = set(self.train_subjects) & set(self.test_subjects)
        if both:
            raise InputError(
                f"test_subjects: expected none of train_subjects, got {_listed(both)} in both"
            )


def make_folds(
    subjects: Iterable[str], scheme: Scheme, dataset: str, count: int | None = None
) -> tuple[Fold, ...]:
    """The folds of a data set, made of the subjects that are there.

    ``community``: the lists of :data:`COMMUNITY_FOLDS`. ``sorted``: fold i tests every
    count-th of the sorted subjects from the i-th on, as the paper's authors do, also on CK+.

    Args:
        subjects: those in the data, each once or more.
        scheme: see above.
        dataset: "bp4d", "disfa", "ckplus" or any other name.
        count: how many folds; None for that of :data:`FOLD_COUNTS`, or else 3.

    Raises:
        InputError: an unknown scheme, a data set or count for which there are no community folds,
            a subject that they do not list, or too few subjects for so many folds.
    """
    present = sorted(set(subjects))
    count = FOLD_COUNTS.get(dataset, 3) if count is None else count
    if scheme == "community":
        tested = _community(present, dataset, count)
    elif scheme == "sorted":
        tested = _every_nth(present, count)
    else:
        raise InputError(f"scheme: expected community or sorted, got {scheme}")
    folds = tuple(
        Fold(tuple(s for s in present if s not in tests), tuple(tests)) for tests in tested
    )
    check_folds(folds, present)
    return folds


def check_folds(folds: Iterable[Fold], subjects: Iterable[str]) -> None:
    """See that each fold knows each subject, and that each subject is tested exactly once.

    Raises:
        InputError: one is lost, unknown, or tested more than once.
    """
    folds, expected = tuple(folds), set(subjects)
    _check_once("folds", (subject for fold in folds for subject in fold.test_subjects))
    tested = {subject for fold in folds for subject in fold.test_subjects}
    known = [{*fold.train_subjects, *fold.test_subjects} for fold in folds]
    for found in (tested, *known):
        if found != expected:
            raise InputError(
                f"folds: expected each subject in each fold and tested in one, "
                f"got it otherwise with {_listed(found ^ expected)}"
            )


def absent_subjects(subjects: Iterable[str], dataset: str) -> tuple[str, ...]:
    """The subjects that the community folds of ``dataset`` list and the data lack, sorted.

    Raises:
        InputError: there are no community folds of this data set.
    """
    listed = {subject for part in _community_lists(dataset) for subject in part}
    return tuple(sorted(listed - set(subjects)))


def rows_of(fold: Fold, index: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of a data set's index on either side of a fold.

    Args:
        fold: must know all subjects of the index.
        index: with a column ``subject``; counted by place, whatever its labels.

    Returns:
        int64 [N_train] and int64 [N_test], ascending; together all rows, each once.

    Raises:
        InputError: there is no such column, a subject is on neither side, or a side has no row.
    """
    if "subject" not in index:
        raise InputError(
            f"index: expected a column subject, got {', '.join(map(str, index.columns)) or 'none'}"
        )
    subject = index["subject"]
    train = subject.isin(fold.train_subjects).to_numpy()
    test = subject.isin(fold.test_subjects).to_numpy()
    lost = subject[~(train | test)]
    if len(lost):
        raise InputError(
            f"index: expected subjects of the fold only, got {_listed(set(lost.map(str)))}"
        )
    for side, chosen in (("train", train), ("test", test)):
        if not chosen.any():
            raise InputError(f"index: expected at least one row of {side}_subjects, got none")
    return np.flatnonzero(train).astype(np.int64), np.flatnonzero(test).astype(np.int64)


def _community(present: list[str], dataset: str, count: int) -> list[list[str]]:
    lists = _community_lists(dataset)
    if count != len(lists):
        raise InputError(
            f"count: expected {len(lists)}, as many as {dataset}'s community folds, got {count}; "
            "or choose the scheme sorted"
        )
    unknown = set(present).difference(*lists)
    if unknown:
        raise InputError(
            f"subjects: expected those of {dataset}'s community folds, got {_listed(unknown)}; "
            "leave them out or choose the scheme sorted"
        )
    tested = [[subject for subject in part if subject in present] for part in lists]
    for number, (part, found) in enumerate(zip(lists, tested, strict=True), start=1):
        if not found:
            raise InputError(
                f"subjects: expected at least one of {dataset}'s community fold {number}, "
                f"{part[0]} .. {part[-1]}, got none; choose the scheme sorted"
            )
    return tested


def _community_lists(dataset: str) -> tuple[tuple[str, ...], ...]:
    if dataset not in COMMUNITY_FOLDS:
        raise InputError(
            f"dataset: expected one that has community folds, {' or '.join(COMMUNITY_FOLDS)}, "
            f"got {dataset}; choose the scheme sorted"
        )
    return COMMUNITY_FOLDS[dataset]


def _every_nth(present: list[str], count: int) -> list[list[str]]:
    if not 2 <= count <= len(present):
        raise InputError(
            f"count: expected 2 .. {len(present)}, the number of subjects, got {count}"
            if len(present) >= 2
            else f"subjects: expected at least two, got {_listed(present) or 'none'}"
        )
    return [present[first::count] for first in range(count)]


def _check_once(name: str, subjects: Iterable[str]) -> None:
    repeated = [subject for subject, times in Counter(subjects).items() if times > 1]
    if repeated:
        raise InputError(f"{name}: expected each subject once, got {_listed(repeated)} again")


def _listed(subjects: Iterable[str]) -> str:
    return ", ".join(sorted(subjects))
