"""Trained folds, opened to be looked into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastcaps.training.analysis.opened_fold import open_fold
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.prepared import Prepared
from tests.training.au_runs import small_data, some_labels, train

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def run(tiny_network: None, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    train(data, out, epochs=1, folds=(2,))
    return out


def test_frames_and_network_give_the_scores_of_the_run(data: Prepared, run: Path) -> None:
    opened = open_fold(run, data, 2, CPU)
    told = Predictions.load(run / "fold-2" / "predictions.parquet")
    everyone = np.arange(len(told))
    with torch.no_grad():
        scores = opened.network.scores(opened.network(opened.images(everyone)))
    np.testing.assert_allclose(scores.numpy(), told.scores, atol=1e-6)
    assert opened.labels(everyone).tolist() == told.labels.tolist()
    subjects = data.index["subject"].to_numpy()[opened.rows]
    assert subjects.tolist() == told.subjects.tolist()
    assert set(subjects) == {"s1", "s3"}
    assert opened.capsules is opened.network
    assert opened.name == "TinyCapsNet"


def test_images_come_in_the_order_that_is_asked_for(data: Prepared, run: Path) -> None:
    opened = open_fold(run, data, 2, CPU)
    whole = opened.images(np.arange(len(opened.rows)))
    assert torch.equal(opened.images(np.array([4, 0, 4])), whole[[4, 0, 4]])


def test_other_data_is_refused(run: Path, tmp_path: Path) -> None:
    other = small_data(tmp_path / "other", some_labels(40, 3, seed=5))
    with pytest.raises(InputError, match=r"^data: .*other is not the data set that .*run was trai"):
        open_fold(run, other, 2, CPU)


def test_a_fold_that_was_not_trained_is_told(data: Prepared, run: Path) -> None:
    with pytest.raises(InputError, match=r"^fold: .*fold-1 was not trained to its end"):
        open_fold(run, data, 1, CPU)


def test_networks_without_capsules_say_so(data: Prepared, tmp_path: Path) -> None:
    train(data, tmp_path / "run", network="ConvNet", epochs=1, alpha=0.0)
    opened = open_fold(tmp_path / "run", data, 1, CPU)
    with pytest.raises(InputError, match=r"^run: expected a network of capsules, got ConvNet in"):
        _ = opened.capsules
