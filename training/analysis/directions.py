"""Whether a unit gives other directions for other deformations: cosines between pairs of images.

Rashid and Lee, section 4.4: they compare what a primary capsule gives for two images of a person
with different deformations, before and after gradient ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity

from fastcaps.training.analysis.ascent import Ascent
from fastcaps.training.analysis.claims.facial_parts import differing
from fastcaps.training.analysis.selection import Selected

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """Two images, by their places in a batch, and the cosines of what a unit gives for them.

    Attributes:
        first, second: places, first < second.
        before, after: cosines, -1 .. 1, of the images and of what ascent made of them.
    """

    first: int
    second: int
    before: float
    after: float

    @property
    def fall(self) -> float:
        """How much nearer to 0 ascent brought the cosine: green in the paper's figures if above 0,
        and red if below."""
        return abs(self.before) - abs(self.after)


def pairs(
    selected: Sequence[Selected], shown: NDArray[np.int8], ascent: Ascent
) -> tuple[Pair, ...]:
    """All pairs of images of one person that show different deformations and have the unit on.

    Args:
        selected: whose each image of the batch is.
        shown: labels of the deformations that they may show, int8 [B, A].
        ascent: of the same images.
    """
    on = (ascent.before.norm(dim=1) > 0) & (ascent.after.norm(dim=1) > 0)
    different = differing(shown)
    found = []
    for first, one in enumerate(selected):
        for second, other in enumerate(selected[first + 1 :], start=first + 1):
            if one.subject != other.subject or not different[first, second]:
                continue
            if not (on[first] and on[second]):
                continue
            cosines = (_cosine(vectors, first, second) for vectors in (ascent.before, ascent.after))
            found.append(Pair(first, second, *cosines))
    return tuple(found)


def _cosine(vectors: Tensor, first: int, second: int) -> float:
    return float(cosine_similarity(vectors[first], vectors[second], dim=0))
