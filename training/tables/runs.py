"""A run's evaluation as a column of a table."""

from __future__ import annotations

from collections.abc import Iterator

from fastcaps.training.evaluation.report import Evaluation, Measure
from fastcaps.training.published import TableMeasure
from fastcaps.training.tables.layout import AVERAGE, Column, Value

__all__ = [
    "ACCURACY",
    "COLLATED_ACCURACY",
    "OPTIMISTIC",
    "accuracy_columns",
    "average_column",
    "class_column",
    "data_set_of",
    "uses_external_data",
    "value_of",
]

ACCURACY = "accuracy"
"""The row of the accuracy that is averaged over folds, as in the paper."""

COLLATED_ACCURACY = "collated_accuracy"

OPTIMISTIC = "optimistic: of the epoch that is best on the test frames; not compared"


def data_set_of(evaluation: Evaluation) -> str:
    """What the settings call the data set."""
    return str(evaluation["settings"].get("data_set", "other"))


def uses_external_data(evaluation: Evaluation) -> bool:
    """Whether the paper would count a run as using external data.

    Its convolutions start from ImageNet or VGG-Face. Those that start from another run count as
    what their kind starts from: VGG's from such data, the small networks' at random.
    """
    settings = evaluation["settings"]
    weights = settings.get("weights")
    of_a_run = weights == "run" and str(settings.get("network")).startswith("VGG")
    return weights in ("imagenet", "vggface") or of_a_run


def value_of(measure: Measure, *, interval: bool = False, competes: bool = True) -> Value:
    """A measure in percent; where it is undefined, with each reason as a note.

    Args:
        measure: of an evaluation, a fraction.
        interval: whether to show its confidence interval, if it has one.
        competes: whether it may be the best of its row.
    """
    if measure["value"] is None:
        reasons = str(measure["undefined"]).split("; ")
        return Value(None, notes=tuple(f"undefined: {reason}" for reason in reasons))
    low, high = measure["low"], measure["high"]
    shown = None
    if interval and low is not None and high is not None:
        shown = (100 * low, 100 * high)
    return Value(100 * measure["value"], shown, competes=competes)


def class_column(
    label: str,
    evaluation: Evaluation,
    measure: TableMeasure,
    *,
    class_intervals: bool,
    compared: tuple[str, ...],
) -> Column:
    """A run's measure of each class, and the average with its interval.

    Args:
        label: over the column.
        evaluation: of the run.
        measure: which one.
        class_intervals: whether to show the intervals of classes, too.
        compared: the classes over which others average; the run's average competes with theirs
            only if it is over the same.
    """
    result = evaluation["collated"]
    values = {
        name: value_of(entry[measure], interval=class_intervals, competes=_is_complete(evaluation))
        for name, entry in result["classes"].items()
    }
    values[AVERAGE] = _average(evaluation, measure, compared)
    return Column(label, values, _class_notes(evaluation, compared), own=True)


def average_column(
    label: str, evaluation: Evaluation, measure: TableMeasure, *, compared: tuple[str, ...]
) -> Column:
    """A run's average in the row of its data set; arguments as of :func:`class_column`."""
    values = {data_set_of(evaluation): _average(evaluation, measure, compared)}
    return Column(label, values, _class_notes(evaluation, compared), own=True)


def accuracy_columns(label: str, evaluation: Evaluation) -> list[Column]:
    """A run's accuracy on emotions, and that of its best epochs."""
    emotion = evaluation["emotion"]
    if emotion is None:
        raise ValueError(f"{label}: expected an evaluation of emotions")
    notes = _notes(evaluation)
    complete = _is_complete(evaluation)
    final = {
        ACCURACY: value_of(emotion["averaged_accuracy"], interval=True, competes=complete),
        COLLATED_ACCURACY: value_of(emotion["accuracy"], interval=True, competes=complete),
    }
    best = {ACCURACY: value_of(emotion["best_epoch_accuracy"], interval=True, competes=False)}
    return [
        Column(label, final, notes, own=True),
        Column(f"{label}, best epoch", best, (*notes, OPTIMISTIC), own=True),
    ]


def _average(evaluation: Evaluation, measure: TableMeasure, compared: tuple[str, ...]) -> Value:
    same = set(evaluation["classes"]) == set(compared)
    average = evaluation["collated"]["average"][measure]
    return value_of(average, interval=True, competes=same and _is_complete(evaluation))


def _is_complete(evaluation: Evaluation) -> bool:
    return len(evaluation["folds"]) == evaluation["folds_expected"]


def _class_notes(evaluation: Evaluation, compared: tuple[str, ...]) -> tuple[str, ...]:
    notes = _notes(evaluation)
    if set(evaluation["classes"]) == set(compared):
        return notes
    return (*notes, f"its average is over {', '.join(evaluation['classes'])}; not compared")


def _notes(evaluation: Evaluation) -> tuple[str, ...]:
    notes = [
        f"trained with this program; with {evaluation['confidence']:.0%} confidence intervals "
        f"from {evaluation['resamples']:,} resamples of the subjects",
        f"tested on {evaluation['frames']:,} frames of "
        f"{evaluation['subjects']:,} {'subject' if evaluation['subjects'] == 1 else 'subjects'}",
    ]
    done, expected = len(evaluation["folds"]), evaluation["folds_expected"]
    if done < expected:
        notes.append(f"incomplete: {done} of {expected} folds; not compared")
    return (*notes, *_differences(evaluation))


def _differences(evaluation: Evaluation) -> Iterator[str]:
    """What other rows may have otherwise, besides the network."""
    settings = evaluation["settings"]
    if settings.get("folds") == "community":
        yield "on the folds of later work"
    positive_from = settings.get("positive_from") or evaluation["data"].get("positive_from")
    if positive_from is not None:
        yield f"an action unit is present from intensity {positive_from} on"
    if settings.get("softmax_over") == "inputs":
        yield "softmax over inputs"
    if settings.get("drop_inactive"):
        yield "tested without frames that show no action unit"
