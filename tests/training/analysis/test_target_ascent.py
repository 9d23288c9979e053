"""Which images and which unit an ascent takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fastcaps.training.analysis.ascent import AscentSettings
from fastcaps.training.analysis.context import Context
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.selection import Selected
from fastcaps.training.analysis.shown_labels import shown_labels
from fastcaps.training.analysis.target_ascent import (
    TargetAscent,
    further_images,
    target_ascent,
    target_images,
)
from fastcaps.training.analysis.targets import Target
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.evaluation.predictions import Predictions
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.run_settings import RunSettings
from tests.training.au_runs import small_data

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
        small_data(tmp_path / "data", present),
        tested,
        np.arange(count, dtype=np.int64),
    )


def test_the_first_images_are_of_whoever_shows_most(tmp_path: Path) -> None:
    fold = opened(
        tmp_path,
        "aabbcc",
        [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]],
    )
    found = target_images(Context(fold), Target("mouth"), 10)
    # AU 6 is none of the mouth's; b shows both others, a one of them, c the other.
    assert [(one.subject, one.class_index, one.place) for one in found] == [
        ("b", 2, 3),
        ("b", 1, 2),
        ("c", 2, 5),
        ("a", 1, 1),
    ]
    assert target_images(Context(fold), Target("mouth"), 2) == found[:2]
    assert [one.place for one in target_images(Context(fold), Target("eyes"), 10)] == [0]
    assert target_images(Context(fold), Target("brows"), 10) == ()


def test_no_frame_is_taken_twice(tmp_path: Path) -> None:
    fold = opened(tmp_path, "aaaa", [[0, 1, 1], [0, 1, 1], [0, 1, 0], [0, 0, 0]])
    places = [one.place for one in target_images(Context(fold), Target("mouth"), 10)]
    assert len(places) == len(set(places)) >= 1


def test_images_of_one_person_show_different_deformations(tmp_path: Path) -> None:
    # AU 6 is none of the mouth's.
    fold = opened(tmp_path, "aaaaa", [[0, 1, 1], [0, 1, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    found = target_images(Context(fold), Target("mouth"), 10)
    assert sorted(one.place for one in found) == [1, 3]


def test_others_have_two_images_in_turn(tmp_path: Path) -> None:
    fold = opened(tmp_path, "aabbccdd", 4 * [[0, 1, 0], [0, 0, 1]])
    found = target_images(Context(fold), Target("mouth"), 7)
    assert [one.subject for one in found] == list("ddccbba")


def test_further_images_are_right_at_the_target_only(tmp_path: Path) -> None:
    # AU 6 is none of the mouth's.
    labels = [[0, 1, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    fold = opened(tmp_path, "aaaaabb", labels)
    scores = fold.tested.scores.copy()
    scores[2, 0] = 0.1
    scores[6, 1] = 0.9
    fold = replace(fold, tested=replace(fold.tested, scores=scores))
    context, target = Context(fold), Target("mouth")
    taken = target_images(context, target, 8)
    assert sorted(one.place for one in taken) == [1, 3, 5]
    found = further_images(context, target, taken, 10)
    assert [(one.subject, one.class_index, one.place) for one in found] == [("a", 1, 2)]
    assert further_images(context, target, taken, 0) == ()
    assert {one.place for one in further_images(context, target, (), 10)} == {1, 2, 3, 5}


def test_what_images_show_is_told_by_labels_that_were_not_learned_too(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 0], [1, 1, 1]], dtype=np.int8)
    fold = opened(tmp_path, "aa", labels.tolist())
    tested = fold.tested
    learned = replace(
        tested, classes=CLASSES[:2], labels=labels[:, :2], scores=tested.scores[:, :2]
    )
    fold = replace(fold, tested=learned)
    for where, columns in (("mouth", [1, 2]), ("eyes", [0]), ("brows", []), ((1, 1), [0, 1, 2])):
        found = shown_labels(fold, Target(where))
        np.testing.assert_array_equal(found, labels[:, columns])


@pytest.mark.parametrize("name", ["AUCapsNet", "ConvNet"])
def test_the_unit_is_the_one_that_counts_most(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    network = make_network(name, NetworkOptions(3, 96, channels=1)).eval()
    fold = opened(tmp_path, "abcd", [[0, 1, 0]] * 4, network)
    context = Context(fold, ascent=AscentSettings(steps=2))
    selected = target_images(context, Target("mouth"), 4)
    told: list[tuple[int, int]] = []
    found = target_ascent(context, fold, Target("mouth"), selected, lambda *step: told.append(step))
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


def test_further_images_do_not_decide_on_the_unit(tmp_path: Path) -> None:
    fold = opened(tmp_path, "ab", [[0, 1, 0], [0, 0, 1]])
    context = Context(fold, ascent=AscentSettings(steps=1))
    images = target_images(context, Target("mouth"), 2)

    def climbed(some: tuple[Selected, ...], further: tuple[Selected, ...] = ()) -> TargetAscent:
        return target_ascent(context, fold, Target("mouth"), some, lambda *step: None, further)

    units = [climbed((one,)).unit for one in images]
    assert units[0] != units[1]
    for first, second in ((0, 1), (1, 0)):
        found = climbed((images[first],), (images[second],))
        assert (found.unit, found.selected) == (units[first], (images[first], images[second]))
        assert len(found.ascent.after) == len(found.images) == 2


def test_a_place_and_a_capsule_can_be_chosen(tmp_path: Path) -> None:
    fold = opened(tmp_path, "abc", [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    context = Context(fold, ascent=AscentSettings(steps=1))
    target = Target((1, 4), unit=7)
    selected = target_images(context, target, 5)
    assert {one.class_index for one in selected} == {0, 1, 2}
    found = target_ascent(context, fold, target, selected, lambda *step: None)
    assert (found.unit, found.place) == (7, (1, 4))


def test_a_place_is_the_nearest_one_in_another_network(tmp_path: Path) -> None:
    fold = opened(tmp_path, "a", [[0, 1, 0]])
    baseline = replace(fold, network=make_network("ConvNet", fold.network.options).eval())
    context = Context(fold, baseline, AscentSettings(steps=1))
    target = Target((1, 4), unit=7)
    selected = target_images(context, target, 1)
    found = target_ascent(context, baseline, target, selected, lambda *step: None)
    field = unit_map(fold.network).field
    other = found.units.field
    for given, place in zip((1, 4), found.place, strict=True):
        assert abs(field.centre(given) - other.centre(place)) <= other.jump / 2
    # Units are counted anew in each network.
    active = found.units.activations(found.images)[0].permute(1, 2, 0)[found.place]
    assert found.unit == int(active.argmax())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target("mouth", unit=32), r"^unit: expected 0 \.\. 31, got 32$"),
        (Target((3, 99)), r"^place: expected row and column in 0 \.\. \d+, got \(3, 99\)$"),
    ],
)
def test_a_place_or_a_capsule_out_of_range_is_told(
    tmp_path: Path, target: Target, message: str
) -> None:
    fold = opened(tmp_path, "a", [[0, 1, 0]])
    context = Context(fold)
    selected = target_images(context, target, 1)
    with pytest.raises(InputError, match=message):
        target_ascent(context, fold, target, selected, lambda *step: None)
