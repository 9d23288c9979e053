"""Which images and which unit a region's ascent takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastcaps.training.analysis.ascent import AscentSettings
from fastcaps.training.analysis.context import Context
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.region_ascent import region_ascent, region_images
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.run_settings import RunSettings
from tests.training.au_runs import small_data, some_labels

CLASSES = ("AU06", "AU12", "AU25")


def opened(
    tmp_path: Path, subjects: str, labels: list[list[int]], network: Network | None = None
) -> OpenedFold:
    """A fold whose frames are all right, surer with each frame."""
    count = len(labels)
    present = np.array(labels, dtype=np.int8)
    sure = np.linspace(0.6, 0.9, count, dtype=np.float32)[:, None]
    tested = Predictions(
        classes=CLASSES,
        exclusive=False,
        subjects=np.array(list(subjects), dtype=object),
        sequences=np.array(["T1"] * count, dtype=object),
        frames=np.arange(count),
        labels=present,
        scores=np.where(present == 1, sure, np.float32(0.2)),
    )
    torch.manual_seed(0)
    return OpenedFold(
        tmp_path,
        1,
        RunSettings(),
        network or make_network("AUCapsNet", NetworkOptions(3, 96, channels=1)).eval(),
        small_data(tmp_path / "data", some_labels(count, 3)),
        tested,
        np.arange(count, dtype=np.int64),
    )


def test_the_first_images_are_of_whoever_shows_most_classes(tmp_path: Path) -> None:
    fold = opened(
        tmp_path,
        "aabbcc",
        [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]],
    )
    found = region_images(Context(fold), "mouth", 10)
    # AU 6 is none of the mouth's; b shows both others, a one of them, c the other.
    assert [(one.subject, one.class_index, one.place) for one in found] == [
        ("b", 2, 3),
        ("b", 1, 2),
        ("c", 2, 5),
        ("a", 1, 1),
    ]
    assert region_images(Context(fold), "mouth", 2) == found[:2]
    assert [one.place for one in region_images(Context(fold), "eyes", 10)] == [0]
    assert region_images(Context(fold), "brows", 10) == ()


def test_no_frame_is_taken_twice(tmp_path: Path) -> None:
    fold = opened(tmp_path, "aaaa", [[0, 1, 1], [0, 1, 1], [0, 1, 0], [0, 0, 0]])
    places = [one.place for one in region_images(Context(fold), "mouth", 10)]
    assert len(places) == len(set(places)) >= 1


@pytest.mark.parametrize("name", ["AUCapsNet", "ConvNet"])
def test_the_unit_is_the_one_that_counts_most(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    network = make_network(name, NetworkOptions(3, 96, channels=1)).eval()
    fold = opened(tmp_path, "abcd", [[0, 1, 0]] * 4, network)
    context = Context(fold, ascent=AscentSettings(steps=2))
    selected = region_images(context, "mouth", 4)
    told: list[tuple[int, int]] = []
    found = region_ascent(context, fold, "mouth", selected, lambda *step: told.append(step))
    row, column = found.place
    units = unit_map(network)
    with torch.no_grad():
        if name == "AUCapsNet":
            given = coupling_maps(fold.capsules, found.images).contributions[:, 1, :, row, column]
        else:
            given = units.activations(found.images)[:, :, row, column]
    assert found.unit == int(given.mean(0).argmax())
    before = units.at(found.images, found.unit, found.place)
    torch.testing.assert_close(found.ascent.before, before)
    assert told == [(1, 2), (2, 2)]
    assert torch.equal(found.images, fold.images(np.array([one.place for one in selected])))
