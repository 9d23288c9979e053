"""Pairs of a positive and a negative frame of one class in which the positive has the larger score.

Ties count half. Let subject s be chosen w_s times; a pair then counts as often as its two subjects
are chosen, w_s w_t. All sums are whole numbers or halves, so float64 holds them exactly, and both
ways to add them up give the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastcaps.training.action_units import UNKNOWN

__all__ = ["Concordance", "FramePairs", "SubjectPairs", "concordance"]

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

BLOCK_SUBJECTS = 16
"""Columns of a matrix made at once; the sums of more would not fit into the cache."""


class Concordance(Protocol):
    """Can tell the concordant pairs of any choice of subjects."""

    def of(self, chosen: Numbers) -> Numbers:
        """Concordant pairs [R] of subjects that are chosen so many times, [R, S]."""


@dataclass(frozen=True)
class FramePairs:
    """The known frames of a class in the order of their scores; S subjects.

    Attributes:
        positives: whose the P positive frames are, int64 [P].
        negatives: whose the N negative frames are, by ascending score, int64 [N].
        below, up_to: how many negatives are below each positive, and below or level with it,
            int64 [P].
    """

    positives: Places
    negatives: Places
    below: Places
    up_to: Places

    def of(self, chosen: Numbers) -> Numbers:
        """See :class:`Concordance`; time and memory are in proportion to R times the frames."""
        by_subject = np.ascontiguousarray(chosen.T)
        counts = self.negatives_below(by_subject)
        counts *= by_subject[self.positives]
        pairs: Numbers = counts.sum(axis=0)
        return pairs

    def by_subject(self, subjects: int) -> SubjectPairs:
        """The same, summed for each pair of subjects."""
        each = np.eye(subjects)
        rows = (np.ones(len(self.positives)), (self.positives, np.arange(len(self.positives))))
        add_up = csr_array(rows, shape=(subjects, len(self.positives)))
        columns = [
            add_up @ self.negatives_below(each[:, start : start + BLOCK_SUBJECTS])
            for start in range(0, subjects, BLOCK_SUBJECTS)
        ]
        return SubjectPairs(np.concatenate(columns, axis=1))

    def negatives_below(self, weights: Numbers) -> Numbers:
        """Sums of the weights [S, R] of the negatives below each positive, [P, R]."""
        sums = np.zeros((len(self.negatives) + 1, weights.shape[1]))
        np.cumsum(weights[self.negatives], axis=0, out=sums[1:])
        counts: Numbers = sums[self.below]
        counts += sums[self.up_to]
        counts /= 2
        return counts


@dataclass(frozen=True)
class SubjectPairs:
    """Pairs of each two subjects, [S, S]: positives of a row's, negatives of a column's."""

    pairs: Numbers

    def of(self, chosen: Numbers) -> Numbers:
        """See :class:`Concordance`; time and memory do not depend on the frames."""
        pairs: Numbers = ((chosen @ self.pairs) * chosen).sum(axis=1)
        return pairs


def concordance(
    labels: NDArray[np.int8], scores: NDArray[np.float32], owner: Places, subjects: int
) -> Concordance:
    """Of one class; by subject, unless there are more pairs of subjects than frames.

    Args:
        labels: 1 positive, 0 negative, -1 unknown, which does not count, int8 [F].
        scores: float32 [F].
        owner: whose the frames are, 0 .. S - 1, int64 [F].
        subjects: S.
    """
    pairs = _frame_pairs(labels, scores, owner)
    return pairs if subjects**2 > len(labels) else pairs.by_subject(subjects)


def _frame_pairs(
    labels: NDArray[np.int8], scores: NDArray[np.float32], owner: Places
) -> FramePairs:
    order = np.argsort(scores)
    order = order[labels[order] != UNKNOWN]
    is_positive = labels[order] == 1
    positives, negatives = order[is_positive], order[~is_positive]
    below, up_to = (
        np.searchsorted(scores[negatives], scores[positives], side) for side in ("left", "right")
    )
    return FramePairs(owner[positives], owner[negatives], below, up_to)
