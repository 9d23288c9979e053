"""The classical baseline: histograms of oriented gradients and a linear SVM for each class.

Papers on action units compare with a linear support vector machine on features made by hand, in
their rows LSVM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.svm import LinearSVC

from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.frames import check_rows
from fastcaps.training.hog import Progress, feature_blocks, feature_count
from fastcaps.training.numpy_files import read_arrays
from fastcaps.training.statistics import frequencies

__all__ = ["DEFAULT_C", "HogSvm", "check_both_sides", "fitting_bytes"]

DEFAULT_C = 3e-4
"""Small, as thousands of features of variance one are summed. Of 1e-5 .. 1e-2, faces held out of
training sets of drawn people and of real smiles were scored best with 1e-4 .. 1e-3."""

CLASS_WEIGHT = {1: 1.0, 0: 0.5}
"""Absent counts half, as in the networks' margin loss; how frequent a class is does not count."""

BYTES_OF_A_FEATURE = 24
"""While SVMs are fitted, with what scikit-learn copies."""

SMALLEST_STD = 1e-6
"""Features that vary less are constant but for rounding, and are not divided by anything."""

ARRAYS = ("coefficients", "intercepts", "mean", "std")


@dataclass(frozen=True, eq=False)
class HogSvm:
    """A fitted linear SVM for each class.

    Attributes:
        side: of the frames' centre crop, in pixels.
        classes: their C names.
        coefficients: float32 [C, F], of the standardised features.
        intercepts: float32 [C].
        mean, std: float32 [F], of the features of the training rows.

    Raises:
        InputError: an array of another shape or type, or with numbers that are not finite.
    """

    side: int
    classes: tuple[str, ...]
    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __post_init__(self) -> None:
        count, features = len(self.classes), feature_count(self.side)
        shapes = ((count, features), (count,), (features,), (features,))
        for name, shape in zip(ARRAYS, shapes, strict=True):
            array = getattr(self, name)
            if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
                raise InputError(
                    f"{name}: expected finite float32 {list(shape)}, "
                    f"got {array.dtype} {list(array.shape)}"
                )

    @classmethod
    def fit(
        cls,
        frames: NDArray[np.uint8],
        labels: NDArray[np.int8],
        rows: NDArray[np.int64],
        classes: Sequence[str],
        side: int,
        *,
        c: float = DEFAULT_C,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> HogSvm:
        """Fit an SVM for each class, on the frames of which its label is known.

        Nothing is random. The features of all rows are in memory together, and scikit-learn needs
        24 bytes for each of them: 93 KB for a crop of 96 x 96 pixels, 560 KB for one of 224 x 224.

        Args:
            frames, rows, side, workers, progress: see
                :func:`fastcaps.training.hog.feature_blocks`; ``rows`` are those to train on.
            labels: int8 [N, C]: 1 present, 0 absent, -1 unknown.
            classes: names of the C classes.
            c: what errors weigh against the size of the coefficients, the C of LinearSVC.

        Raises:
            InputError: arguments of another type, shape or value; a class that is present, or
                absent, in none of the rows.
        """
        known = _labels_of(rows, labels, frames, classes)
        features = np.empty((len(rows), feature_count(side)), dtype=np.float64)
        for block, of_block in feature_blocks(frames, rows, side, workers, progress):
            features[block] = of_block
        mean, std = features.mean(axis=0), features.std(axis=0)
        std[std < SMALLEST_STD] = 1
        features -= mean
        features /= std
        fitted = [_fit_one(features, known[:, place], c) for place in range(len(classes))]
        coefficients, intercepts = map(np.stack, zip(*fitted, strict=True))
        arrays = (coefficients, intercepts, mean, std)
        return cls(side, tuple(classes), *(array.astype(np.float32) for array in arrays))

    def scores(
        self,
        frames: NDArray[np.uint8],
        rows: NDArray[np.int64],
        *,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The logistic function of the SVMs' decision values: a class is present above 0.5.

        Args:
            frames, rows, workers, progress: see :func:`fastcaps.training.hog.feature_blocks`.

        Returns:
            float32 [M, C], 0 .. 1.

        Raises:
            InputError: frames or rows of another type or shape.
        """
        scores = np.empty((len(rows), len(self.classes)), dtype=np.float32)
        for block, features in feature_blocks(frames, rows, self.side, workers, progress):
            standardised = (features - self.mean) / self.std
            scores[block] = expit(standardised @ self.coefficients.T + self.intercepts)
        return scores

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        names = np.array(self.classes, dtype=np.str_)
        write_atomically(path, lambda file: np.savez(file, side=self.side, classes=names, **arrays))

    @classmethod
    def load(cls, path: Path) -> HogSvm:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: there is no such file, it cannot be read, or it holds something else.
        """
        found = read_arrays(path, "model")
        try:
            if isinstance(found, np.ndarray):
                raise InputError("expected an npz file, got a single array")
            classes = tuple(map(str, found["classes"]))
            return cls(int(found["side"]), classes, *(found[name] for name in ARRAYS))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"model: {path} cannot be used: {error}") from error


def _labels_of(
    rows: NDArray[np.int64],
    labels: NDArray[np.int8],
    frames: NDArray[np.uint8],
    classes: Sequence[str],
) -> NDArray[np.int8]:
    """Labels int8 [M, C] that an SVM can be fitted to."""
    if len(labels) != len(frames):
        raise InputError(f"labels: expected {len(frames)} rows, as frames, got {len(labels)}")
    check_rows(rows, len(frames), may_be_empty=True)
    chosen = labels[rows]
    check_both_sides(chosen, classes)
    return chosen


def fitting_bytes(rows: int, side: int) -> int:
    """What :meth:`HogSvm.fit` needs for the features of so many frames' crops."""
    return BYTES_OF_A_FEATURE * rows * feature_count(side)


def check_both_sides(labels: NDArray[np.int8], classes: Sequence[str]) -> None:
    """See that labels int8 [M, C] have each class both present and absent.

    Raises:
        InputError: they have not.
    """
    counts = frequencies(labels, classes)
    for column, what in (("positives", "present"), ("negatives", "absent")):
        never = counts.index[counts[column] == 0]
        if len(never):
            raise InputError(
                f"labels: expected every class {what} in at least one training row, got none of "
                f"{', '.join(never)}; leave it out or train on more subjects"
            )


def _fit_one(
    features: NDArray[np.float64], labels: NDArray[np.int8], c: float
) -> tuple[NDArray[np.float64], np.float64]:
    """Coefficients [F] and intercept of one class."""
    known = labels != UNKNOWN
    chosen = features if known.all() else features[known]
    # The primal problem is solved without random numbers.
    svm = LinearSVC(C=c, class_weight=CLASS_WEIGHT, dual=False).fit(chosen, labels[known])
    return svm.coef_[0], svm.intercept_[0]
