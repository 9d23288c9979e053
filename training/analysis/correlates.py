"""What the dimensions of a class capsule go with: names for what they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastcaps.training.analysis.claims.attributes import Attribute

__all__ = ["LEAST", "Correlate", "strongest_correlates"]

LEAST = 0.3
"""Size of a correlation that gives a dimension a name."""

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
        return f"{self.name.replace('_', ' ')} {self.rho:+.2f}"


def strongest_correlates(
    directions: NDArray[np.floating], attributes: Sequence[Attribute]
) -> tuple[Correlate | None, ...]:
    """For each dimension the attribute that it goes with most; None below :data:`LEAST`.

    Args:
        directions: of a class capsule in M frames, [M, D].
        attributes: of these frames, at least one; NaN where one is not known.
    """
    found = np.stack([_rank_correlations(directions, one.values) for one in attributes])
    strongest = np.abs(found).argmax(axis=0)
    rhos = found[strongest, np.arange(directions.shape[1])]
    return tuple(
        Correlate(attributes[place].name, float(rho)) if abs(rho) >= LEAST else None
        for place, rho in zip(strongest, rhos, strict=True)
    )


def _rank_correlations(directions: NDArray[np.floating], values: Numbers) -> Numbers:
    """Of each dimension, [D]; 0 where it or all values are equal."""
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(directions.shape[1])
    return _ranks(directions[known]).T @ _ranks(values[known, None])[:, 0]


def _ranks(values: NDArray[np.floating]) -> Numbers:
    """Of each column [M, K], with a mean of 0 and a length of 1, or all 0."""
    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    return np.asarray(ranks / np.maximum(np.linalg.norm(ranks, axis=0), np.finfo(float).tiny))
