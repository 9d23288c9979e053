"""Whether ascent makes the directions of a unit more orthogonal.

Rashid and Lee, section 4.4: for two images of one person that show different things, "capsule
activations become more orthogonal (closer to zero) when part deformations after gradient ascent are
visually different from each other". So how near the cosine of the angle between what a unit gives
for two images is to 0 is compared before and after, for three kinds of pairs. Only if directions of
different deformations part, and those of the same one in different people do not, is it deformation
that ascent makes plain. Labels tell deformations: classes of which images were chosen do not, as
action units come together, so that two images may stand for two of them and show both.

A convolution unit gives one number, of which the cosine is always 1 or -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.analysis.claims.facial_parts import alike, differing
from fastcaps.training.analysis.claims.measuring import measured, numbered
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.measures import undefined
from fastcaps.training.evaluation.report import Measure

__all__ = [
    "SAME_DEFORMATION",
    "SAME_PERSON",
    "Orthogonality",
    "OrthogonalityClaim",
    "orthogonality_claim",
]

Numbers = NDArray[np.float64]

SAME_PERSON = "same person, different deformation"
"""The pairs of which the paper says that they become more orthogonal."""

SAME_DEFORMATION = "different person, same deformation"
"""Those that do not show different deformations."""

KINDS = (SAME_PERSON, SAME_DEFORMATION, "different person, different deformation")


@dataclass(frozen=True)
class Orthogonality:
    """Means over pairs of images of the absolute cosine, 0 .. 1; of pairs of one person, over the
    means of people, so that one with many images counts as much as one with two.

    Attributes:
        pairs: how many.
        subjects: whose images they are of.
        people: on whom it rests: the fewest without whose images there would be no pair.
        before, after: ascent.
        change: after less before; below 0 where directions become more orthogonal.
    """

    pairs: int
    subjects: int
    people: int
    before: Measure
    after: Measure
    change: Measure


@dataclass(frozen=True)
class OrthogonalityClaim:
    """Of one unit at one place.

    Attributes:
        images: how many are compared.
        off: others, for which the unit gives 0 before or after ascent.
        subjects: whose the images compared are.
        kinds: "same person, different deformation", "different person, same deformation", and
            "different person, different deformation".
    """

    images: int
    off: int
    subjects: int
    kinds: Mapping[str, Orthogonality]


def orthogonality_claim(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    subjects: NDArray[Any],
    shown: NDArray[np.int8],
    places: NDArray[np.int64],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> OrthogonalityClaim:
    """Compare the directions of all pairs of different images.

    Args:
        before, after: what a unit gives for B images, [B, D].
        subjects: whose they are, texts [B].
        shown: labels of the deformations that they may show, int8 [B, A]: 1 present, 0 absent, -1
            unknown.
        places: which frames they are, int64 [B]; a frame is no pair with itself.
        resamples: of the subjects.
        seed: of these.

    Raises:
        InputError: shapes do not fit, or a number is out of range.
    """
    images = len(subjects)
    if before.shape != after.shape or len(before) != images:
        raise InputError(
            f"after: expected vectors of {images} images as before, [{images}, ...], got "
            f"{list(before.shape)} and {list(after.shape)}"
        )
    vectors = [each.astype(np.float64) for each in (before, after)]
    lengths = [np.linalg.norm(each, axis=1) for each in vectors]
    on = (lengths[0] > 0) & (lengths[1] > 0)
    directions = [
        each[on] / length[on, None] for each, length in zip(vectors, lengths, strict=True)
    ]
    cosines = [np.abs(each @ each.T) for each in directions]
    people, owner = numbered(subjects[on])
    different_labels, same_labels = differing(shown[on]), alike(shown[on])
    same_person = np.equal.outer(owner, owner)
    different = np.triu(np.not_equal.outer(places[on], places[on]))
    kinds = (
        same_person & different_labels,
        ~same_person & same_labels,
        ~same_person & different_labels,
    )
    return OrthogonalityClaim(
        images=int(on.sum()),
        off=int((~on).sum()),
        subjects=people,
        kinds={
            kind: _of_kind(kind, pairs & different, cosines, owner, resamples, seed)
            for kind, pairs in zip(KINDS, kinds, strict=True)
        },
    )


def _of_kind(
    kind: str,
    pairs: NDArray[np.bool_],
    cosines: Sequence[Numbers],
    owner: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> Orthogonality:
    """Of pairs of images, bool [B, B]."""
    count = int(pairs.sum())
    if not count:
        return Orthogonality(0, 0, 0, *[undefined(f"no two images: {kind}")] * 3)
    people = np.unique(owner[np.concatenate(np.nonzero(pairs))])
    is_owner = (owner == people[:, None]).astype(np.float64)
    by_people = [is_owner @ (pairs * each) @ is_owner.T for each in (*cosines, np.ones(1))]
    if kind == SAME_PERSON:
        by_people = [np.diag(np.diag(sums) / np.diag(by_people[2])) for sums in by_people]

    def statistic(chosen: NDArray[np.int64]) -> Numbers:
        # A person who is drawn twice counts as two, but they are not different people.
        totals = [
            chosen @ np.diag(sums) + ((chosen @ (sums - np.diag(np.diag(sums)))) * chosen).sum(1)
            for sums in by_people
        ]
        with np.errstate(invalid="ignore"):
            before, after = totals[0] / totals[2], totals[1] / totals[2]
        return np.stack([before, after, after - before], axis=1)

    subjects, behind = len(people), _fewest(by_people[2] > 0)
    found = measured(statistic, [behind] * 3, subjects, ["no pair"] * 3, resamples, seed)
    return Orthogonality(count, subjects, behind, *found)


def _fewest(linked: NDArray[np.bool_]) -> int:
    """How many people have to go for no pair to be left, those with most others first.

    Args:
        linked: whose images are in pairs, bool [S, S].
    """
    linked = linked | linked.T
    count = 0
    while linked.any():
        most = linked.sum(axis=0).argmax()
        linked[most] = linked[:, most] = False
        count += 1
    return count
