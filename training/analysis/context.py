"""What all parts of an analysis work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.analysis.ascent import AscentSettings
from fastcaps.training.analysis.claims.gathering import Activity, evenly_spaced, gather
from fastcaps.training.analysis.claims.intensity import check_same_frames
from fastcaps.training.analysis.claims.probes import capsule_representations
from fastcaps.training.analysis.correlates import strongest_correlates
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.places import MEASURED_REGIONS
from fastcaps.training.analysis.selection import Selected, select
from fastcaps.training.analysis.targets import REGION_TARGETS, Target
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.attributes import (
    Attribute,
    known_attributes,
    picture_attributes,
)
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["Context", "Progress", "places_of", "silently", "spread"]

MOST_FRAMES = 2000
"""That claims are measured on, spread evenly over the test frames."""

Progress = Callable[[int, int], object]
"""Is told how much of a part is done, and how much there is."""


def silently(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Context:
    """A trained fold, a baseline to compare it with, and how to look into them.

    Attributes:
        fold: the fold.
        baseline: the same fold of a run without capsules, or None.
        ascent: how images are changed.
        targets: and what to make more active.
        resamples: of the subjects, for intervals.
        seed: of what is drawn at random.

    Raises:
        InputError: the baseline has capsules, or was tested on other frames, with other labels or
            for other classes.
    """

    fold: OpenedFold
    baseline: OpenedFold | None = None
    ascent: AscentSettings = field(default_factory=AscentSettings)
    targets: tuple[Target, ...] = REGION_TARGETS
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.baseline is None:
            return
        if isinstance(self.baseline.network, CapsuleNetwork):
            raise InputError(
                "baseline: expected a network without capsules, got "
                f"{self.baseline.settings.network} in {self.baseline.run}"
            )
        check_same_frames(self.fold.tested, self.baseline.tested)

    @property
    def baseline_name(self) -> str:
        """What reports call the baseline; empty where there is none."""
        return "" if self.baseline is None else self.baseline.name

    @cached_property
    def sample(self) -> NDArray[np.int64]:
        """The places of the test frames that claims are measured on."""
        return evenly_spaced(len(self.fold.rows), MOST_FRAMES)

    @cached_property
    def activity(self) -> Activity:
        """What the network makes of :attr:`sample`."""
        return gather(self.fold, self.sample, MEASURED_REGIONS)

    @cached_property
    def baseline_activity(self) -> Activity | None:
        """What the baseline makes of :attr:`sample`; None where there is none to be measured."""
        if self.baseline is None or self.baseline_missing:
            return None
        return gather(self.baseline, self.sample, MEASURED_REGIONS)

    @cached_property
    def baseline_missing(self) -> tuple[str, ...]:
        """Why the baseline's units cannot be measured, if so."""
        try:
            if self.baseline is not None:
                unit_map(self.baseline.network)
        except InputError as error:
            return (f"{self.baseline_name}: {error}",)
        return ()

    @cached_property
    def attributes(self) -> tuple[Attribute, ...]:
        """What is known of :attr:`sample`, see :func:`known_attributes`.

        Raises:
            InputError: the truth of synthetic faces cannot be read, or is of other data.
        """
        rows = self.fold.rows[self.sample]
        return known_attributes(self.fold.prepared, rows, self.activity.thumbnails)

    @cached_property
    def dimension_names(self) -> tuple[tuple[str, ...], ...]:
        """What the D dimensions of each class capsule go with, "" for nothing, see
        :func:`strongest_correlates`: with attributes of the pictures and with the other classes,
        among the frames of :attr:`sample` that show the class.
        """
        tested, activity = self.fold.tested, self.activity
        labels = tested.labels[self.sample].astype(np.float64)
        labels[labels == UNKNOWN] = np.nan
        try:
            known = self.attributes
        except InputError:  # Told by the part that measures what the truth says.
            known = picture_attributes(activity.thumbnails)
        attributes = [*known, *map(Attribute, tested.classes, tested.classes, labels.T)]
        directions = capsule_representations(activity.features)["directions"]
        directions = directions.reshape(activity.features.shape)
        named = []
        for place in range(len(tested.classes)):
            shown = labels[:, place] == 1
            of_shown = [replace(one, values=one.values[shown]) for one in attributes]
            subjects = tested.subjects[self.sample][shown]
            found = strongest_correlates(directions[shown, place], of_shown, subjects)
            named.append(tuple("" if one is None else one.text for one in found))
        return tuple(named)

    @cached_property
    def selected(self) -> tuple[Selected, ...]:
        """Frames that are right in every class, see :func:`select`."""
        return select(self.fold.tested)


def places_of(selected: Sequence[Selected]) -> NDArray[np.int64]:
    """The places of selected frames among the test frames."""
    return np.array([one.place for one in selected], dtype=np.int64)


def spread(selected: Sequence[Selected], count: int) -> tuple[Selected, ...]:
    """Some of the selected frames, spread over classes and people.

    Classes take turns; of each, the frame with the highest score comes first whose person has been
    shown least. No frame comes twice.
    """
    by_class: dict[int, list[Selected]] = {}
    for one in sorted(selected, key=lambda one: -one.score):
        by_class.setdefault(one.class_index, []).append(one)
    shown: list[Selected] = []
    while any(by_class.values()) and len(shown) < count:
        for index in sorted(by_class):
            frames, people = {one.place for one in shown}, [one.subject for one in shown]
            left = [one for one in by_class[index] if one.place not in frames]
            if left:
                shown.append(min(left, key=lambda one: people.count(one.subject)))
            by_class[index] = [one for one in left if one is not shown[-1]]
    return tuple(shown[:count])
