"""What is learned from a prepared data set: which frames, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import EMOTIONS, LARGEST_INTENSITY, UNKNOWN, column
from fastcaps.training.errors import InputError
from fastcaps.training.folds import Fold, rows_of
from fastcaps.training.prepared import Prepared
from fastcaps.training.run_settings import RunSettings

__all__ = ["Targets", "make_targets"]


@dataclass(frozen=True)
class Targets:
    """Labels of a data set's frames, and which of the frames count.

    Attributes:
        classes: names of the N classes: action units as "AU06", or emotions.
        exclusive: whether exactly one class is present in each frame.
        labels: int8 [F, N] of all F frames: 1 present, 0 absent, -1 unknown.
        rows: int64 [M], ascending: the frames that are trained or tested on.
    """

    classes: tuple[str, ...]
    exclusive: bool
    labels: NDArray[np.int8]
    rows: NDArray[np.int64]

    def rows_of(
        self, fold: Fold, prepared: Prepared
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The frames that count on either side of a fold: int64 [N_train] and int64 [N_test].

        Raises:
            InputError: a side has none.
        """
        train, test = rows_of(fold, prepared.index.iloc[self.rows])
        return self.rows[train], self.rows[test]


def make_targets(prepared: Prepared, settings: RunSettings) -> Targets:
    """The labels that ``settings`` ask for.

    Action units: all of the data set. Frames of which nothing is known are left out, and with
    ``drop_inactive`` those in which no action unit is present. Emotions: those of
    :data:`EMOTIONS`; frames without one are left out.

    Raises:
        InputError: the data has no such labels, or no frame is left.
    """
    targets = (
        _emotions(prepared) if settings.target == "emotions" else _action_units(prepared, settings)
    )
    if not len(targets.rows):
        raise InputError(
            f"data: no frame of {prepared.folder} has {settings.target.replace('_', ' ')} to learn"
        )
    return targets


def _emotions(prepared: Prepared) -> Targets:
    emotion = prepared.index["emotion"].to_numpy(dtype=np.int64)
    labels = np.full((len(emotion), len(EMOTIONS)), UNKNOWN, dtype=np.int8)
    rows = np.flatnonzero(emotion != UNKNOWN)
    labels[rows] = np.eye(len(EMOTIONS), dtype=np.int8)[emotion[rows]]
    return Targets(EMOTIONS, True, labels, rows)


def _action_units(prepared: Prepared, settings: RunSettings) -> Targets:
    units = settings.action_units or prepared.action_units
    if missing := sorted(set(units) - set(prepared.action_units)):
        raise InputError(
            f"action_units: expected some of {', '.join(map(str, prepared.action_units))}, "
            f"those of {prepared.folder}, got {', '.join(map(str, missing))}"
        )
    chosen = [prepared.action_units.index(unit) for unit in units]
    positive_from = settings.positive_from
    known = prepared.labels if positive_from is None else _from(positive_from, prepared)
    labels = np.ascontiguousarray(known[:, chosen])
    counts = (labels == 1).any(1) if settings.drop_inactive else (labels != UNKNOWN).any(1)
    return Targets(tuple(map(column, units)), False, labels, np.flatnonzero(counts))


def _from(positive_from: int, prepared: Prepared) -> NDArray[np.int8]:
    if not 1 <= positive_from <= LARGEST_INTENSITY:
        raise InputError(f"positive_from: expected 1 .. {LARGEST_INTENSITY}, got {positive_from}")
    intensities = prepared.intensities
    if (intensities == UNKNOWN).all():
        raise InputError(
            f"positive_from: expected intensities, {prepared.folder} has none; leave it out"
        )
    present = (intensities >= positive_from).astype(np.int8)
    # CK+ tells of some action units that they are there, but not how intense.
    else_known = prepared.labels if positive_from == 1 else np.int8(UNKNOWN)
    return np.where(intensities == UNKNOWN, else_known, present)
