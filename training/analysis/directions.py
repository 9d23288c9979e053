"""Whether a unit gives other directions for other deformations: cosines between pairs of images.

Rashid and Lee, section 4.4: they compare what a primary capsule gives for two images of a person
with different deformations, before and after gradient ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity

from fastcaps.training.analysis.ascent import Ascent
from fastcaps.training.analysis.selection import Selected

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """Two images, by their places in a batch, and the cosines of what a unit gives for them.

    Attributes:
        first, second: places, first < second.
        same_person: whether both show the same person.
        before, after: cosines, -1 .. 1, of the images and of what ascent made of them.
    """

    first: int
    second: int
    same_person: bool
    before: float
    after: float

    @property
    def more_orthogonal(self) -> bool:
        """Whether ascent brought the cosine nearer to 0: green in the paper's figures."""
        return abs(self.after) < abs(self.before)


def pairs(selected: Sequence[Selected], ascent: Ascent) -> tuple[Pair, ...]:
    """All pairs of images that stand for different classes.

    Args:
        selected: what each image of the batch stands for.
        ascent: of the same images.
    """
    found = []
    for first, one in enumerate(selected):
        for second, other in enumerate(selected[first + 1 :], start=first + 1):
            if one.class_index == other.class_index:
                continue
            cosines = (_cosine(vectors, first, second) for vectors in (ascent.before, ascent.after))
            found.append(Pair(first, second, one.subject == other.subject, *cosines))
    return tuple(found)


def _cosine(vectors: Tensor, first: int, second: int) -> float:
    return float(cosine_similarity(vectors[first], vectors[second], dim=0))
