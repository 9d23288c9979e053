"""Which deformations images show, as far as labels tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import column
from fastcaps.training.analysis.claims.facial_parts import PART_UNITS
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.targets import Target

__all__ = ["fitting_classes", "shown_labels"]


def fitting_classes(fold: OpenedFold, target: Target) -> tuple[str, ...]:
    """The network's classes that change what is seen at a target.

    Emotions change all parts of the face; and which action units change a place that is given by
    its row and column is not known, so all count.
    """
    classes = fold.tested.classes
    if not isinstance(target.where, str) or fold.tested.exclusive:
        return classes
    of_part = set(map(column, PART_UNITS[target.where]))
    return tuple(name for name in classes if name in of_part)


def shown_labels(fold: OpenedFold, target: Target) -> NDArray[np.int8]:
    """What the test frames show at a target, learned by the network or not.

    Returns:
        int8 [M, A]: 1 present, 0 absent, -1 unknown.
    """
    tested, prepared = fold.tested, fold.prepared
    learned = [tested.classes.index(name) for name in fitting_classes(fold, target)]
    labels = tested.labels[:, learned]
    if tested.exclusive:
        return labels
    units = prepared.action_units
    if isinstance(target.where, str):
        units = tuple(unit for unit in units if unit in PART_UNITS[target.where])
    others = [
        prepared.action_units.index(unit) for unit in units if column(unit) not in tested.classes
    ]
    return np.concatenate([labels, prepared.labels[fold.rows][:, others]], axis=1)
