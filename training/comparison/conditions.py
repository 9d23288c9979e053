"""Under which conditions one run is better than another: scores on thirds of the test frames, by
what is known of the frames, as where the light comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.attributes import Attribute, true_attributes
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import average_differences
from fastcaps.training.evaluation.decisions import Decisions
from fastcaps.training.evaluation.evaluation import result_of, run_decisions
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.evaluation.report import Evaluation, Measure
from fastcaps.training.evaluation.tallies import tally
from fastcaps.training.prepared import Prepared, combined

__all__ = ["Condition", "Third", "conditions"]

EITHER_SIDE = {
    "yaw": "how far the head is turned to either side, in degrees",
    "pitch": "how far the head is turned upwards or downwards, in degrees",
    "roll": "how far the head leans to either side in the picture before alignment, in degrees",
    "light_left": "how far the strongest light comes from either side, in degrees",
}
"""Attributes of which only the size matters, and what that is."""

THIRDS = 3


@dataclass(frozen=True)
class Third:
    """The frames with the smallest, middle or largest values of an attribute.

    Attributes:
        low, high: the least and the largest value.
        frames, subjects: how many.
        auc: of the first run, the mean over the classes, with its interval.
        differences: how much larger those of the other runs are, in their order.
    """

    low: float
    high: float
    frames: int
    subjects: int
    auc: Measure
    differences: tuple[Measure, ...]


@dataclass(frozen=True)
class Condition:
    """An attribute of the frames, and scores by it.

    Attributes:
        name: of the attribute.
        about: what it is, with its unit.
        thirds: from small to large values.
    """

    name: str
    about: str
    thirds: tuple[Third, ...]


def conditions(
    runs: Sequence[Path], evaluation: Evaluation, data: Prepared, resamples: int, seed: int
) -> tuple[Condition, ...]:
    """Compare runs on thirds of their test frames, by all that is known of synthetic faces.

    Args:
        runs: their folders.
        evaluation: of the first one; the others have the same data and folds.
        data: what they were trained on, with its truth.
        resamples: of the subjects, for the intervals.
        seed: of the choice of subjects.

    Raises:
        InputError: nothing is known of these faces, or runs were trained on others.
    """
    if combined(data.meta["sha256"].values()) != evaluation["data"].get("sha256"):
        raise InputError(
            f"conditions: {data.folder} is not the data set that {runs[0]} was trained on; "
            "expected that one, unchanged"
        )
    decided = [run_decisions(run, evaluation["folds"]) for run in runs]
    names = zip(data.index["subject"], data.index["sequence"], data.index["frame"], strict=True)
    places = {(str(who), str(what), int(n)): row for row, (who, what, n) in enumerate(names)}
    rows = [
        _rows(decisions.predictions, places, run, data.folder)
        for decisions, run in zip(decided, runs, strict=True)
    ]
    everything = true_attributes(data, np.arange(len(data.index)))
    if not everything:
        raise InputError(
            f"conditions: expected a data set of fastcaps-au synth, of whose faces all is known, "
            f"got {data.folder}"
        )
    return tuple(
        Condition(one.name, one.about, tuple(_thirds(one.values, rows, decided, resamples, seed)))
        for one in map(_by_size, everything)
    )


def _by_size(attribute: Attribute) -> Attribute:
    if attribute.name not in EITHER_SIDE:
        return attribute
    return Attribute(attribute.name, EITHER_SIDE[attribute.name], np.abs(attribute.values))


def _rows(
    predictions: Predictions, places: Mapping[tuple[str, str, int], int], run: Path, folder: Path
) -> NDArray[np.int64]:
    """Where the predicted frames are in the data set of a folder, of which all places are known."""
    wanted = zip(predictions.subjects, predictions.sequences, predictions.frames, strict=True)
    try:
        return np.array([places[str(who), str(what), int(n)] for who, what, n in wanted])
    except KeyError as error:
        raise InputError(
            f"conditions: {run} has tested the frame {error}, which {folder} does not have"
        ) from error


def _thirds(
    values: NDArray[np.float64],
    rows: Sequence[NDArray[np.int64]],
    decided: Sequence[Decisions],
    resamples: int,
    seed: int,
) -> list[Third]:
    tested = values[rows[0]]
    bounds = np.quantile(tested, np.arange(1, THIRDS) / THIRDS)
    third_of = [np.digitize(values[places], bounds) for places in rows]
    thirds = []
    for number in range(THIRDS):
        inside = tested[third_of[0] == number]
        if not len(inside):  # of values that are all alike
            continue
        parts = [
            decisions.of_frames(third == number)
            for decisions, third in zip(decided, third_of, strict=True)
        ]
        tallies = [tally(part) for part in parts]
        thirds.append(
            Third(
                low=float(inside.min()),
                high=float(inside.max()),
                frames=len(inside),
                subjects=len(tallies[0].subjects),
                auc=result_of(parts[0], "these frames", resamples, seed)["average"]["auc"],
                differences=tuple(
                    average_differences(other, tallies[0], resamples, seed)["auc"]
                    for other in tallies[1:]
                ),
            )
        )
    return thirds
