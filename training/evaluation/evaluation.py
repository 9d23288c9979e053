"""The evaluation of a training run: from its predictions to ``evaluation.json``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.bootstrap import CONFIDENCE, Interval, check, intervals
from fastcaps.training.evaluation.decisions import Decisions, collated, decide
from fastcaps.training.evaluation.emotions import best_epoch_accuracy, confusion, emotion_accuracy
from fastcaps.training.evaluation.measures import class_measures, mean
from fastcaps.training.evaluation.report import (
    EVALUATION,
    MEASURES,
    VERSION,
    ClassResult,
    Emotion,
    Evaluation,
    Measure,
    Measures,
    Result,
    Training,
)
from fastcaps.training.evaluation.runs import Run, TrainedFold, read_predicted_run
from fastcaps.training.evaluation.tallies import ALL_CLASSES, Tallies, tally
from fastcaps.training.folders import write_json

__all__ = ["evaluate_run", "result_of", "run_decisions", "run_tallies"]

OPTIMISTIC = "each fold's best epoch was chosen on the frames that the fold is tested on"


@dataclass(frozen=True)
class _Evaluated:
    """Some frames, the result on them, and the accuracy where classes are exclusive."""

    decisions: Decisions
    result: Result
    emotion: Measure | None


def evaluate_run(
    run: Path, folds: Sequence[int] | None = None, resamples: int = 1000, seed: int = 0
) -> Evaluation:
    """Evaluate a run's predictions and write ``evaluation.json`` into its folder.

    Args:
        run: the run's folder.
        folds: which folds, from 1; None for all that are complete.
        resamples: for the confidence intervals, which resample subjects.
        seed: of the choice of subjects.

    Returns:
        What was written.

    Raises:
        InputError: an argument is out of range, the folder cannot be used (see
            :func:`fastcaps.training.evaluation.runs.read_predicted_run`), or it cannot be written.
    """
    check(resamples, seed)
    read = read_predicted_run(run, folds)
    decided = _decided(read)
    where = _listed([fold.name for fold in read.folds])
    together = _evaluated(collated(decided), where, resamples, seed)
    per_fold = {
        str(fold.number): _evaluated(decisions, fold.name, resamples, seed)
        for fold, decisions in zip(read.folds, decided, strict=True)
    }
    predictions = together.decisions.predictions
    evaluation: Evaluation = {
        "version": VERSION,
        "settings": read.settings,
        "data": read.data,
        "target": read.target,
        "classes": list(predictions.classes),
        "folds": [fold.number for fold in read.folds],
        "folds_expected": read.folds_expected,
        "frames": len(predictions),
        "subjects": len(np.unique(predictions.subjects.astype(str))),
        "resamples": resamples,
        "confidence": CONFIDENCE,
        "collated": together.result,
        "per_fold": {number: each.result for number, each in per_fold.items()},
        "averaged": _averaged([each.result for each in per_fold.values()]),
        "emotion": _emotion(read, together, per_fold),
        "training": _training(read.folds),
    }
    try:
        write_json(run / EVALUATION, evaluation)
    except OSError as error:
        raise InputError(f"{run / EVALUATION}: cannot be written: {error.strerror}") from error
    return evaluation


def run_tallies(run: Path, folds: Sequence[int] | None = None) -> Tallies:
    """What :func:`fastcaps.training.evaluation.bootstrap.average_differences` compares runs by.

    Args:
        run: the run's folder.
        folds: which folds, from 1; None for all that are complete.

    Raises:
        InputError: see :func:`fastcaps.training.evaluation.runs.read_predicted_run`.
    """
    return tally(run_decisions(run, folds))


def run_decisions(run: Path, folds: Sequence[int] | None = None) -> Decisions:
    """What becomes of all test frames of a run; see :func:`run_tallies`."""
    return collated(_decided(read_predicted_run(run, folds)))


def result_of(decisions: Decisions, where: str, resamples: int, seed: int) -> Result:
    """Measures with their intervals, of some frames.

    Args:
        decisions: of these.
        where: what reasons call them, as "fold 1".
        resamples, seed: as of :func:`evaluate_run`.
    """
    return _evaluated(decisions, where, resamples, seed).result


def _decided(run: Run) -> list[Decisions]:
    return [decide(fold.tested, fold.trained, fold.name) for fold in run.folds]


def _evaluated(decisions: Decisions, where: str, resamples: int, seed: int) -> _Evaluated:
    predictions = decisions.predictions
    bounds = intervals(tally(decisions), resamples, seed)
    measures = class_measures(decisions, where)
    average = {name: mean([each[name] for each in measures]) for name in MEASURES}
    positives, known = (predictions.labels == 1).sum(axis=0), (predictions.labels >= 0).sum(axis=0)
    classes = {
        name: _class_result(
            positives[place],
            known[place],
            {
                measure: _with(measures[place][measure], bounds[measure].classes[place])
                for measure in MEASURES
            },
        )
        for place, name in enumerate(predictions.classes)
    }
    averages = {name: _with(average[name], bounds[name].average) for name in MEASURES}
    emotion = None
    if predictions.exclusive:
        emotion = _with(emotion_accuracy(predictions), bounds[ALL_CLASSES].average)
    return _Evaluated(decisions, {"classes": classes, "average": cast(Measures, averages)}, emotion)


def _with(measure: Measure, interval: Interval) -> Measure:
    if measure["value"] is None:
        return measure
    low, high = interval
    return {**measure, "low": low, "high": high}


def _class_result(positives: int, known: int, measures: Mapping[str, Measure]) -> ClassResult:
    counts = {"positives": int(positives), "known": int(known)}
    return cast(ClassResult, {**counts, **measures})


def _averaged(results: Sequence[Result]) -> Result:
    """Means over the folds; the counts are sums."""
    classes = {}
    for name in results[0]["classes"]:
        of_folds = [result["classes"][name] for result in results]
        classes[name] = _class_result(
            sum(each["positives"] for each in of_folds),
            sum(each["known"] for each in of_folds),
            {measure: mean([each[measure] for each in of_folds]) for measure in MEASURES},
        )
    averages = {
        measure: mean([result["average"][measure] for result in results]) for measure in MEASURES
    }
    return {"classes": classes, "average": cast(Measures, averages)}


def _emotion(run: Run, together: _Evaluated, per_fold: Mapping[str, _Evaluated]) -> Emotion | None:
    if together.emotion is None:
        return None
    accuracies = {
        number: each.emotion for number, each in per_fold.items() if each.emotion is not None
    }
    best = mean([best_epoch_accuracy(fold.folder, fold.name) for fold in run.folds])
    return {
        "accuracy": together.emotion,
        "averaged_accuracy": mean(list(accuracies.values())),
        "best_epoch_accuracy": {**best, "optimistic": OPTIMISTIC},
        "per_fold": accuracies,
        "confusion": confusion(together.decisions.predictions),
    }


def _training(folds: Sequence[TrainedFold]) -> Training:
    costs = [fold.cost for fold in folds]
    rates = [cost["images_per_second"] for cost in costs if cost["images_per_second"] is not None]
    seconds = [cost["seconds"] for cost in costs if cost["seconds"] is not None]
    return {
        "parameters": costs[0]["parameters"],
        "decoder_parameters": costs[0]["decoder_parameters"],
        "images_per_second": statistics.median(rates) if rates else None,
        "seconds": sum(seconds) if len(seconds) == len(costs) else None,
        "device": ", ".join(dict.fromkeys(cost["device"] for cost in costs)),
    }


def _listed(names: Sequence[str]) -> str:
    """fold 1; fold 1 and fold 2; fold 1, fold 2 and fold 3."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
