"""The overview of a comparison: a row for each run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastcaps.training.comparison.comparing import ComparedRun, Comparison
from fastcaps.training.evaluation.report import Measure
from fastcaps.training.evaluation.tallies import ALL_CLASSES
from fastcaps.training.run_settings import HOG_SVM
from fastcaps.training.tables.layout import DASH, Notes, best_of, cell_of
from fastcaps.training.tables.measure_cells import measure_cell
from fastcaps.training.tables.model import Cell, Heading, Row, Table
from fastcaps.training.tables.paper import MEASURE_NAMES
from fastcaps.training.tables.runs import value_of

__all__ = ["overview"]

SCORES = {ALL_CLASSES: "Accuracy", "f1": MEASURE_NAMES["f1"], "auc": MEASURE_NAMES["auc"]}
"""What is compared, as differences are named, and what it is called."""

NOT_MEASURED = "not measured"
OF_TIME = ["of all folds together: median step times steps; of SVMs, from begin to end"]


@dataclass(frozen=True)
class _Column:
    """A column of the overview, with a cell for each run."""

    heading: Heading
    cells: list[Cell]


def overview(comparison: Comparison) -> Table:
    """Size, scores and speed of each run, with differences from the first run's scores."""
    runs = comparison.runs
    notes = Notes()
    columns = [
        _Column(
            Heading("Network"),
            [Cell(str(run.evaluation["settings"].get("network", ""))) for run in runs],
        ),
        *_parameters(runs),
        *_scores(comparison, notes),
        *_speeds(runs, notes),
    ]
    return Table(
        title="Comparison of runs on the same folds",
        corner="Run",
        columns=tuple(column.heading for column in columns),
        rows=tuple(
            Row(Heading(run.name), tuple(column.cells[place] for column in columns))
            for place, run in enumerate(runs)
        ),
        notes=notes.texts,
    )


def _parameters(runs: Sequence[ComparedRun]) -> list[_Column]:
    counts = [run.evaluation["training"]["parameters"] for run in runs]
    decoders = [run.evaluation["training"]["decoder_parameters"] or 0 for run in runs]
    without = [
        None if count is None else count - decoder
        for count, decoder in zip(counts, decoders, strict=True)
    ]
    return [
        _Column(Heading(title), [Cell(DASH if n is None else f"{n:,}") for n in numbers])
        for title, numbers in (("Parameters", counts), ("Without decoder", without))
    ]


def _scores(comparison: Comparison, notes: Notes) -> list[_Column]:
    """Averages over the classes, and how they differ from the first run's."""
    runs = comparison.runs
    evaluation = runs[0].evaluation
    confidence = f"{evaluation['confidence']:.0%} confidence interval"
    of_value = notes.numbers(
        [
            f"in percent, over all test frames, with its {confidence}; F1-frame and AUC are means "
            "over the classes"
        ]
    )
    against = notes.numbers(
        [
            f"against {runs[0].name}, in percentage points; with its {confidence} from "
            f"{comparison.resamples:,} resamples of the subjects, the same for both runs"
        ]
    )
    columns = []
    for name, title in SCORES.items():
        if name == ALL_CLASSES and evaluation["emotion"] is None:
            continue
        values = [value_of(_score(run, name), interval=True) for run in runs]
        best = best_of(values)
        columns.append(
            _Column(Heading(title, of_value), [cell_of(value, best, notes) for value in values])
        )
        differences = [
            measure_cell(run.differences and run.differences[name], notes, scale=100, sign=True)
            for run in runs
        ]
        columns.append(_Column(Heading(f"{title}, difference", against), differences))
    return columns


def _score(run: ComparedRun, name: str) -> Measure:
    emotion = run.evaluation["emotion"]
    if name == ALL_CLASSES and emotion is not None:
        return emotion["accuracy"]
    average = run.evaluation["collated"]["average"]
    return average["f1"] if name == "f1" else average["auc"]


def _speeds(runs: Sequence[ComparedRun], notes: Notes) -> list[_Column]:
    """In training, and of the trained network where that was measured."""
    training = [run.evaluation["training"] for run in runs]
    rates = [
        None if each["images_per_second"] is None else f"{each['images_per_second']:,.0f}"
        for each in training
    ]
    devices = [each["device"] for each in training]
    epochs = [_epochs(run) for run in runs]
    times = [
        None if each["seconds"] is None else str(timedelta(seconds=round(each["seconds"])))
        for each in training
    ]
    columns = [
        _Column(Heading("Epochs"), [Cell(text) for text in epochs]),
        _measured(
            "Training time",
            OF_TIME,
            times,
            devices,
            notes,
        ),
        _measured("Training images/s", (), rates, devices, notes),
    ]
    latencies = [run.latency for run in runs]
    if any(latencies):
        columns += [
            _measured(
                "Latency in ms",
                ["of a trained network, for one image alone"],
                [each and f"{each.milliseconds:,.2f}" for each in latencies],
                [each.device if each else "" for each in latencies],
                notes,
            ),
            _measured(
                "Images/s",
                ["of a trained network, in batches"],
                [each and f"{each.images_per_second:,.0f}" for each in latencies],
                [
                    f"batches of {each.batch_size}; {each.device}" if each else ""
                    for each in latencies
                ],
                notes,
            ),
        ]
    return columns


def _epochs(run: ComparedRun) -> str:
    settings = run.evaluation["settings"]
    return DASH if settings["network"] == HOG_SVM else str(settings["epochs"])


def _measured(
    title: str,
    about: Iterable[str],
    texts: Iterable[str | None],
    conditions: Iterable[str],
    notes: Notes,
) -> _Column:
    """A column with notes on how each number was measured, and dashes where none was."""
    heading = Heading(title, notes.numbers(about))
    cells = [
        Cell(
            DASH if text is None else text,
            notes=notes.numbers([condition if text else NOT_MEASURED]),
        )
        for text, condition in zip(texts, conditions, strict=True)
    ]
    return _Column(heading, cells)
