"""What the dimensions of a class capsule go with: names for what they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from fastcaps.training.analysis.claims.measuring import numbered, sums_by_person
from fastcaps.training.analysis.claims.significance import LEAST_PEOPLE, significant
from fastcaps.training.attributes import Attribute, in_words
from fastcaps.training.evaluation.bootstrap import CONFIDENCE

__all__ = ["LEAST", "Correlate", "strongest_correlates"]

LEAST = 0.3
"""Size of a correlation that gives a dimension a name."""

LARGEST = 1 - 1e-9

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Correlate:
    """What goes with a dimension.

    Attributes:
        name: of an attribute.
        rho: Spearman's correlation with it, -1 .. 1.
    """

    name: str
    rho: float

    @property
    def text(self) -> str:
        """As in ``yaw +0.52``."""
        return f"{in_words(self.name)} {self.rho:+.2f}"


def strongest_correlates(
    directions: NDArray[np.floating], attributes: Sequence[Attribute], subjects: NDArray[np.object_]
) -> tuple[Correlate | None, ...]:
    """For each dimension the attribute that it goes with most.

    None where that is below :data:`LEAST`, or where it might be chance. Of all dimensions and
    attributes, 5% of those that count as going together are expected not to (Benjamini and
    Hochberg, 1995), as far as people of whom each is left out once (the jackknife; Efron and
    Tibshirani, 1993, chapter 11) tell how surely it holds of others. Where some people have many
    more frames than others, they count as fewer: as Kish's effective number, (sum of frames)^2 /
    sum of (frames^2), of which there have to be six, too.

    Args:
        directions: of a class capsule in M frames, [M, D].
        attributes: of these frames, at least one; NaN where one is not known.
        subjects: whose frames they are, texts [M].
    """
    found, chances = [], []
    for one in attributes:
        known = ~np.isnan(one.values)
        rho, chance = _correlation(directions[known], one.values[known], subjects[known])
        found.append(rho)
        chances.append(chance)
    asked = np.stack(chances)
    everything = asked.reshape(-1, 1)
    sure = significant(everything, np.ones(everything.shape, dtype=bool), 1 - CONFIDENCE)
    rhos = np.where(sure.reshape(asked.shape), np.stack(found), 0.0)
    strongest = np.abs(rhos).argmax(axis=0)
    return tuple(
        Correlate(attributes[place].name, float(rhos[place, dimension]))
        if abs(rhos[place, dimension]) >= LEAST
        else None
        for dimension, place in enumerate(strongest)
    )


def _correlation(
    directions: NDArray[np.floating], values: Numbers, subjects: NDArray[np.object_]
) -> tuple[Numbers, Numbers]:
    """Spearman's correlation with each dimension, and the probability that it is chance, [D]."""
    people, owner = numbered(subjects)
    frames = np.bincount(owner, minlength=people)
    alike = frames.sum() ** 2 / max((frames**2).sum(), 1)
    if alike < LEAST_PEOPLE:
        return np.zeros(directions.shape[1]), np.ones(directions.shape[1])
    x, y = _ranks(directions), _ranks(values[:, None])
    moments = np.broadcast_arrays(np.ones_like(x), x, y, x * x, x * y, y * y)
    of_people = sums_by_person(np.stack(moments, axis=1), owner, people)  # [S, 6, D]
    everyone = of_people.sum(axis=0, keepdims=True)
    rho = _correlations(everyone)[0]
    without = np.arctanh(_correlations(everyone - of_people))
    variance = (people - 1) * without.var(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sureness = np.abs(np.arctanh(rho)) / np.sqrt(variance)
    # Two degrees of freedom less than a mean has, as for a correlation of so many people.
    return rho, np.nan_to_num(2 * student.sf(sureness, alike - 3), nan=1.0)


def _ranks(values: NDArray[np.floating]) -> Numbers:
    """Of each column [M, K], less their mean."""
    ranks = rankdata(values, axis=0)
    return np.asarray(ranks - ranks.mean(axis=0))


def _correlations(moments: Numbers) -> Numbers:
    """From the sums of 1, x, y, x x, x y and y y, [..., 6, D]; 0 where x or y is constant."""
    count, x, y, xx, xy, yy = np.moveaxis(moments, -2, 0)
    variances = (count * xx - x * x) * (count * yy - y * y)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (count * xy - x * y) / np.sqrt(variances.clip(0))
    return np.where(variances > 0, np.clip(found, -LARGEST, LARGEST), 0.0)
