"""What can be read from capsules by linear probes, besides the action units.

Rashid and Lee, abstract and section 4.3: "capsule pose captures varied attributes such as face
size, lighting, pose, and skin color". If so, a linear function of the class capsules tells these of
people that it was not learned from; and one of the capsules' directions alone, too, since their
lengths are there for the action units. That many numbers tell much is no merit of capsules, so a
baseline's hidden units, and the picture itself made small, should be probed beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.held_out import (
    LEAST_FOLDS,
    NO_FOLD,
    people_folds,
    recording_folds,
    ridge_predictions,
)
from fastcaps.training.analysis.claims.measuring import (
    against_first,
    measured,
    numbered,
    sums_by_person,
)
from fastcaps.training.attributes import Attribute
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.measures import undefined
from fastcaps.training.evaluation.report import Measure

__all__ = ["Probe", "Probes", "capsule_representations", "probes"]

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Representations = Mapping[str, NDArray[np.floating]]
"""Names, and features of M frames, [M, F]."""

ROUNDING = 1e-9
"""Values that vary less than by this part of what all frames do are the same."""


@dataclass(frozen=True)
class Probe:
    """How well something is read from each representation of the frames.

    Attributes:
        name: of what is read.
        about: what it is.
        frames, subjects: that it is measured on.
        chance: what is reached without looking at the picture.
        values: by representation.
        differences: how much larger the first representation's value is, by each other one.
    """

    name: str
    about: str
    frames: int
    subjects: int
    chance: float
    values: Mapping[str, Measure]
    differences: Mapping[str, Measure]


@dataclass(frozen=True)
class Probes:
    """Of all attributes.

    Attributes:
        dimensions: of the representations.
        attributes: the coefficient of determination R^2 on people that the probe was not learned
            from: 1 where all is told, 0 for telling each frame the mean of all, less for worse.
        identity: how often the person is recognised, out of those in the data, in recordings that
            the probe was not learned from, 0 .. 1.
    """

    dimensions: Mapping[str, int]
    attributes: tuple[Probe, ...]
    identity: Probe


def capsule_representations(v: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What is probed of class capsules [M, N, D].

    Returns:
        ``directions``, the numbers of capsules scaled to length 1, [M, N D]; ``capsules``, their
        own; and ``lengths``, [M, N].
    """
    lengths = np.linalg.norm(v, axis=2)
    directions = v / np.maximum(lengths, np.finfo(v.dtype).tiny)[:, :, None]
    frames = len(v)
    return {
        "directions": directions.reshape(frames, -1),
        "capsules": v.reshape(frames, -1),
        "lengths": lengths,
    }


def probes(
    representations: Representations,
    attributes: Sequence[Attribute],
    subjects: NDArray[Any],
    sequences: NDArray[Any],
    *,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Probes:
    """Learn to read attributes and identity from each representation.

    Args:
        representations: of M frames; at least one.
        attributes: known of these frames.
        subjects, sequences: whose they are and of which recordings, texts [M].
        resamples: of the subjects.
        seed: of these.
        progress: is told how many representations are done, and how many there are.

    Raises:
        InputError: there is no representation, one is of another number of frames, or a number is
            out of range.
    """
    if not representations:
        raise InputError("representations: expected at least one, got none")
    for name, features in representations.items():
        if features.ndim != 2 or len(features) != len(subjects):
            raise InputError(
                f"representations: expected [{len(subjects)}, ...], got {list(features.shape)} "
                f"for {name}"
            )
    owner = numbered(subjects)[1]
    recordings = recording_folds(owner, sequences)
    told = recordings != NO_FOLD
    read, recognised = [], []
    for done, features in enumerate(representations.values(), start=1):
        read.append(_attribute_errors(features, attributes, owner))
        recognised.append(_identity_errors(features[told], owner[told], recordings[told]))
        if progress is not None:
            progress(done, len(representations))
    measure = partial(_probe, names=tuple(representations), resamples=resamples, seed=seed)
    errors = np.stack(read, axis=2)
    return Probes(
        dimensions={name: features.shape[1] for name, features in representations.items()},
        attributes=tuple(
            measure(_attribute_question(each, owner), errors[:, place])
            for place, each in enumerate(attributes)
        ),
        identity=measure(_identity_question(owner[told]), np.stack(recognised, axis=1)),
    )


@dataclass(frozen=True)
class _Question:
    """What is probed for.

    Attributes:
        name, about, chance: see :class:`Probe`.
        owner: whose the frames are, int64 [M].
        most: the error of knowing nothing, for choices of people [R, S]: [R]; NaN where there is
            nothing to know.
        reason: why nothing can be said, if so.
    """

    name: str
    about: str
    chance: float
    owner: Places
    most: Callable[[Places], Numbers]
    reason: str


def _attribute_question(attribute: Attribute, owner: Places) -> _Question:
    values = attribute.values - attribute.values.mean()
    people = owner.max(initial=-1) + 1
    powers = np.stack([values**n for n in range(3)], axis=1)
    frames, sums, squares = sums_by_person(powers, owner, people).T
    least = ROUNDING * values.var()

    def variation(chosen: Places) -> Numbers:
        """Sum of squared deviations from the mean."""
        count = chosen @ frames
        variance = chosen @ squares / count - (chosen @ sums / count) ** 2
        return np.where(variance > least, count * variance, np.nan)

    is_constant = np.ptp(attribute.values) == 0
    reason = "the same in all frames" if is_constant else f"fewer than {LEAST_FOLDS} people"
    return _Question(attribute.name, attribute.about, 0.0, owner, variation, reason)


def _identity_question(owner: Places) -> _Question:
    people, person = np.unique(owner, return_inverse=True)
    frames = np.bincount(person)
    return _Question(
        "identity",
        f"which of {len(people)} people it is",
        float(frames.max(initial=0) / max(len(owner), 1)),
        person,
        lambda chosen: (chosen @ frames).astype(np.float64),
        f"fewer than two people with {LEAST_FOLDS} recordings",
    )


def _probe(
    question: _Question, errors: Numbers, names: Sequence[str], resamples: int, seed: int
) -> Probe:
    """From the errors of K representations in each frame, [M, K]."""
    people = len(np.unique(question.owner))
    of_people = sums_by_person(errors, question.owner, people)

    def statistic(chosen: Places) -> Numbers:
        values = 1 - chosen @ of_people / question.most(chosen)[:, None]
        return against_first(values)

    count = len(names)
    reasons = [question.reason] * (2 * count - 1)
    if people < 2:
        found = [undefined(reason) for reason in reasons]
    else:
        found = measured(statistic, [people] * len(reasons), people, reasons, resamples, seed)
    return Probe(
        name=question.name,
        about=question.about,
        frames=len(question.owner),
        subjects=people,
        chance=question.chance,
        values=dict(zip(names, found[:count], strict=True)),
        differences=dict(zip(names[1:], found[count:], strict=True)),
    )


def _attribute_errors(
    features: NDArray[np.floating], attributes: Sequence[Attribute], owner: Places
) -> Numbers:
    """Squared, in people that were not learned from, [M, T]; NaN of too few people."""
    values = np.array([each.values for each in attributes]).reshape(-1, len(owner)).T
    if len(np.unique(owner)) < LEAST_FOLDS:
        return np.full(values.shape, np.nan)
    return (ridge_predictions(features, values, people_folds(owner)) - values) ** 2


def _identity_errors(features: NDArray[np.floating], owner: Places, recordings: Places) -> Numbers:
    """1 where a frame is taken for another person's, else 0, [M]; NaN of too few people."""
    people, person = np.unique(owner, return_inverse=True)
    if len(people) < 2:
        return np.full(len(owner), np.nan)
    shown = np.eye(len(people))[person]
    found = ridge_predictions(features, shown, recordings, one_strength=True)
    return (found.argmax(axis=1) != person).astype(np.float64)
