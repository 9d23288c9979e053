"""What differs between runs that were trained and tested on the same subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastcaps.training.comparison.conditions import Condition, conditions
from fastcaps.training.comparison.same_data import check_same
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import average_differences
from fastcaps.training.evaluation.evaluation import run_tallies
from fastcaps.training.evaluation.report import Evaluation, Measure, run_evaluation
from fastcaps.training.prepared import Prepared

__all__ = ["ComparedRun", "Comparison", "Latency", "compare"]


@dataclass(frozen=True)
class Latency:
    """How fast a trained network tells what is in images that are in memory.

    Attributes:
        milliseconds: for one image alone.
        images_per_second: in batches.
        batch_size: of these.
        device: what it ran on.
    """

    milliseconds: float
    images_per_second: float
    batch_size: int
    device: str


@dataclass(frozen=True)
class ComparedRun:
    """One of several runs.

    Attributes:
        folder: of the run, as given.
        name: its title or its network, with the folder's name where others have the same.
        evaluation: of the run.
        differences: how much larger its averages over the classes are than the first run's, with
            confidence intervals; by measure, see :func:`average_differences`. None for the first.
        latency: None where it was not measured.
    """

    folder: str
    name: str
    evaluation: Evaluation
    differences: Mapping[str, Measure] | None
    latency: Latency | None


@dataclass(frozen=True)
class Comparison:
    """Runs in the order in which they were given.

    Attributes:
        runs: all of them.
        resamples: how often subjects were resampled.
        conditions: scores by what is known of the frames; none where that was not asked for.
    """

    runs: tuple[ComparedRun, ...]
    resamples: int
    conditions: tuple[Condition, ...] = ()


def compare(
    runs: Sequence[Path],
    *,
    measure_latency: Callable[[Path], Latency | None] | None = None,
    data: Prepared | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare runs on the same data, classes and folds; the others are set against the first.

    Args:
        runs: their folders, each with an evaluation.
        measure_latency: is called with each folder; None measures none.
        data: the synthetic data set that they were trained on, for :func:`conditions`.
        resamples: of the subjects, for the intervals of differences.
        seed: of the choice of subjects.

    Raises:
        InputError: there are fewer than two runs or one twice, a run is not evaluated or its
            files are damaged, or runs differ in data, classes, folds or tested frames; or
            ``data`` is another data set, or not synthetic.
    """
    if len(runs) < 2 or len({run.resolve() for run in runs}) < len(runs):
        raise InputError(
            f"runs: expected at least two different ones, got {', '.join(map(str, runs)) or 'none'}"
        )
    evaluations = [run_evaluation(run) for run in runs]
    check_same(runs, evaluations)
    names = _names(runs, evaluations)
    differences = _differences(runs, evaluations, resamples, seed)
    latencies = [None if measure_latency is None else measure_latency(run) for run in runs]
    return Comparison(
        tuple(
            ComparedRun(str(run), *entries)
            for run, *entries in zip(runs, names, evaluations, differences, latencies, strict=True)
        ),
        resamples,
        () if data is None else conditions(runs, evaluations[0], data, resamples, seed),
    )


def _differences(
    runs: Sequence[Path], evaluations: Sequence[Evaluation], resamples: int, seed: int
) -> list[dict[str, Measure] | None]:
    first = run_tallies(runs[0], evaluations[0]["folds"])
    differences: list[dict[str, Measure] | None] = [None]
    for run, evaluation in zip(runs[1:], evaluations[1:], strict=True):
        tallies = run_tallies(run, evaluation["folds"])
        try:
            differences.append(average_differences(tallies, first, resamples, seed))
        except InputError as error:
            raise InputError(f"{run} and {runs[0]}: {error}") from error
    return differences


def _names(runs: Sequence[Path], evaluations: Sequence[Evaluation]) -> list[str]:
    titles = [_title(evaluation) for evaluation in evaluations]
    times = Counter(titles)
    return [
        f"{title} ({run.resolve().name})" if times[title] > 1 else title
        for run, title in zip(runs, titles, strict=True)
    ]


def _title(evaluation: Evaluation) -> str:
    settings = evaluation["settings"]
    return str(settings.get("title") or settings.get("network", ""))
