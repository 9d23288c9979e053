"""Runs compared on thirds of their frames, by what is known of these."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fastcaps.training.comparison import Condition, compare, comparison_tables
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.evaluation import evaluate_run
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.face_arrays import prepare_faces
from fastcaps.training.faces.landmarks import MEAN_FACE
from fastcaps.training.prepared import Prepared, combined
from fastcaps.training.synthetic.layouts.truth import TRUTH
from tests.training.analysis.claims.made import random_truth, write_truth
from tests.training.au_runs import faces_with, some_labels
from tests.training.evaluation.made import write_fold, write_run

PEOPLE = 10
FRAMES = 24
UNITS = (6, 12)
RESAMPLES = 40


class Made(NamedTuple):
    """Two runs on frames of which all is known.

    Attributes:
        runs: their folders.
        data: what they were trained on.
        truth: of all frames.
        scores: of both runs, for all frames.
    """

    runs: list[Path]
    data: Prepared
    truth: pd.DataFrame
    scores: list[np.ndarray]

    def conditions(self) -> dict[str, Condition]:
        """Of a comparison, by name."""
        compared = compare(self.runs, data=self.data, resamples=RESAMPLES)
        return {condition.name: condition for condition in compared.conditions}

    def auc(self, run: int, chosen: np.ndarray) -> float:
        """Mean over the action units, on some frames."""
        labels = self.data.index[[f"AU{unit:02d}" for unit in UNITS]].to_numpy()[chosen]
        return float(
            np.mean(
                [
                    roc_auc_score(truth, scores)
                    for truth, scores in zip(labels.T, self.scores[run][chosen].T, strict=True)
                ]
            )
        )


@pytest.fixture
def made(tmp_path: Path) -> Made:
    labels = some_labels(PEOPLE * FRAMES, len(UNITS))
    subjects = [f"s{place % PEOPLE}" for place in range(len(labels))]
    data = prepare_faces(
        faces_with(labels), labels, tmp_path / "data", subjects, action_units=UNITS
    )
    truth = random_truth(data, np.repeat(MEAN_FACE[None], len(labels), axis=0))
    runs, scores = [], []
    for number in range(2):
        random = np.random.default_rng(0)
        # The second run is worse where the head is turned.
        noise = random.random(labels.shape) * (1 + number * (truth[["yaw"]].abs().to_numpy() > 1))
        said = ((labels + 2 * noise) / 5).astype(np.float32)
        order = np.random.default_rng(number).permutation(len(labels))
        runs.append(write_predicted(tmp_path / f"run{number}", data, said, order))
        scores.append(said)
    return Made(runs, data, truth, scores)


def write_predicted(run: Path, data: Prepared, scores: np.ndarray, order: np.ndarray) -> Path:
    """An evaluated run of two folds that has tested the frames in this order."""
    names = tuple(f"AU{unit:02d}" for unit in UNITS)
    index = data.index.iloc[order]
    everything = Predictions(
        classes=names,
        exclusive=False,
        subjects=index["subject"].to_numpy(dtype=object),
        sequences=index["sequence"].to_numpy(dtype=object),
        frames=index["frame"].to_numpy(np.int64),
        labels=index[list(names)].to_numpy(np.int8),
        scores=scores[order],
    )
    is_first = np.isin(everything.subjects, [f"s{number}" for number in range(0, PEOPLE, 2)])
    write_run(run, epochs=2, data={"sha256": combined(data.meta["sha256"].values())})
    for number, tested in enumerate((is_first, ~is_first), start=1):
        for file in (run / f"fold-{number}").iterdir():
            file.unlink()
        (run / f"fold-{number}").rmdir()
        write_fold(run, number, everything.of_frames(tested), everything.of_frames(~tested))
    evaluate_run(run, resamples=RESAMPLES)
    return run


def test_thirds_are_of_the_frames_with_small_and_large_values(made: Made) -> None:
    found = made.conditions()
    assert [*found] == [
        *("yaw", "pitch", "roll", "light_left", "light_up", "contrast", "brightness"),
        *("skin_tone", "face_size"),
    ]
    columns = {"yaw": made.truth["yaw"].abs(), "contrast": made.truth["contrast"]}
    for name, column in columns.items():
        values = column.to_numpy()
        bounds = np.quantile(values, [0, 1 / 3, 2 / 3, 1])
        condition = found[name]
        assert condition.about
        assert sum(third.frames for third in condition.thirds) == PEOPLE * FRAMES
        for number, third in enumerate(condition.thirds):
            chosen = (values >= bounds[number]) & ((values < bounds[number + 1]) | (number == 2))
            assert third.frames == chosen.sum() == PEOPLE * FRAMES / 3
            assert third.subjects == PEOPLE
            np.testing.assert_allclose([third.low, third.high], [*np.sort(values[chosen])[[0, -1]]])
            first, second = made.auc(0, chosen), made.auc(1, chosen)
            assert third.auc["value"] == pytest.approx(first)
            assert third.auc["low"] is not None
            (difference,) = third.differences
            assert difference["value"] == pytest.approx(second - first)


def test_where_a_run_is_worse_shows(made: Made) -> None:
    thirds = made.conditions()["yaw"].thirds
    differences = [third.differences[0]["value"] for third in thirds]
    assert all(value is not None for value in differences)
    assert differences[2] < -0.05 < differences[0] == 0
    high = thirds[2].differences[0]["high"]
    assert high is not None
    assert high < 0


def test_an_attribute_that_is_the_same_everywhere(made: Made) -> None:
    """Faces are all of one size here."""
    (only,) = made.conditions()["face_size"].thirds
    assert only.frames == PEOPLE * FRAMES
    assert only.auc["value"] == pytest.approx(made.auc(0, np.ones(PEOPLE * FRAMES, bool)))


def test_a_table_of_them(made: Made) -> None:
    compared = compare(made.runs, data=made.data, resamples=RESAMPLES)
    table = comparison_tables(compared)[-1]
    assert table.columns[0].text == compared.runs[0].name
    assert len(table.columns) == 2
    assert len(table.rows) == 8 * 3 + 1
    yaw = compared.conditions[0].thirds[0]
    row = table.rows[0]
    assert row.heading.text == f"yaw {yaw.low:.1f} to {yaw.high:.1f}"
    light = next(row for row in table.rows if row.heading.text.startswith("light up"))
    assert light.heading.text.startswith("light up \N{MINUS SIGN}")
    assert row.cells[0].text == f"{100 * (yaw.auc['value'] or 0):.1f}"
    assert table.notes[row.heading.notes[0] - 1].startswith("yaw: how far the head is turned")
    assert len(comparison_tables(replace(compared, conditions=()))) == 3


def test_other_data_is_refused(made: Made, tmp_path: Path) -> None:
    meta = {**made.data.meta, "sha256": {"frames.npy": "0" * 64}}
    with pytest.raises(InputError, match=r"is not the data set that .*run0 was trained on"):
        compare(made.runs, data=replace(made.data, meta=meta), resamples=RESAMPLES)
    renamed = replace(made.data, index=made.data.index.assign(sequence="other"))
    write_truth(made.truth.assign(sequence="other"), made.data)
    with pytest.raises(InputError, match=r"run0 has tested the frame \('s\d', .*does not have"):
        compare(made.runs, data=renamed, resamples=RESAMPLES)
    (made.data.folder / TRUTH).unlink()
    with pytest.raises(InputError, match="expected a data set of fastcaps-au synth"):
        compare(made.runs, data=made.data, resamples=RESAMPLES)
