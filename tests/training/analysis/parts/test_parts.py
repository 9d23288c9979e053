"""Each part of a report on data of which all is known, and on data of which something is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fastcaps.training.analysis.ascent_picture import SIDE_INCHES
from fastcaps.training.analysis.context import Context
from fastcaps.training.analysis.figures import DPI, GAP, LABEL_INCHES
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.parts import ascent as ascent_part
from fastcaps.training.analysis.parts.ascent import ascent
from fastcaps.training.analysis.parts.attributes import attributes
from fastcaps.training.analysis.parts.coupling import coupling
from fastcaps.training.analysis.parts.deformations import deformations
from fastcaps.training.analysis.parts.direction import direction
from fastcaps.training.analysis.parts.intensity import intensity
from fastcaps.training.analysis.parts.magnitude import magnitude
from fastcaps.training.analysis.parts.sliders import sliders
from fastcaps.training.analysis.section import Section
from fastcaps.training.analysis.targets import Target
from fastcaps.training.attributes import TRUE_NAMES, in_words
from fastcaps.training.errors import InputError
from tests.training.analysis.parts.made import (
    CLASSES,
    FRAMES,
    PEOPLE,
    another_network,
    made_context,
)

pytestmark = pytest.mark.usefixtures("tiny_network")

ROWS = PEOPLE * FRAMES


@pytest.fixture(scope="module")
def context(tiny_network: None, tmp_path_factory: pytest.TempPathFactory) -> Context:
    return made_context(tmp_path_factory.mktemp("data") / "data")


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def test_scores_that_grow_with_intensity_are_told(context: Context) -> None:
    found = intensity(context)
    assert found.missing == ()
    everywhere, present = found.tables
    assert len(everywhere.rows) == len(CLASSES) + 1
    assert everywhere.rows[0].cells[0].text == f"{ROWS}"
    assert everywhere.rows[0].cells[1].text == f"{PEOPLE}"
    shown = (context.fold.tested.labels == 1).sum(axis=0)
    assert [row.cells[0].text for row in present.rows[:-1]] == [f"{count}" for count in shown]
    for table in found.tables:
        mean = table.rows[-1]
        assert number(mean.cells[2].text) > 0.85
        assert abs(number(mean.cells[3].text)) < 0.3
    assert len(found.verdicts) == 4
    assert all(": holds, " in verdict for verdict in found.verdicts)


def test_only_frames_with_the_label_count_as_showing(context: Context) -> None:
    labels = context.fold.tested.labels.copy()
    weak = context.fold.prepared.intensities == 1
    labels[weak] = 0
    tested = replace(context.fold.tested, labels=labels)
    found = intensity(Context(replace(context.fold, tested=tested), resamples=20))
    assert found.tables[1].rows[0].cells[0].text == f"{(labels[:, 0] == 1).sum()}"


def test_attributes_are_probed_beside_what_is_easy(context: Context) -> None:
    told: list[tuple[int, int]] = []
    found = attributes(context, lambda *step: told.append(step))
    assert found.missing == ()
    (table,) = found.tables
    names = [row.heading.text for row in table.rows]
    assert names == [
        *(in_words(name) for name in TRUE_NAMES),
        "picture brightness",
        "picture contrast",
        "identity",
    ]
    assert "directions (32 numbers)" in table.columns[1].text
    light = names.index("picture brightness")
    assert number(table.rows[light].cells[4].text) > 0.9  # from a small picture
    # Poses are random numbers here.
    assert "Directions tell yaw: does not hold" in "\n".join(found.verdicts)
    assert told[-1] == (5, 5)


def test_attributes_that_are_not_known_are_told(context: Context) -> None:
    path = context.fold.prepared.folder / "truth.parquet"
    content = path.read_bytes()
    path.unlink()
    try:
        found = attributes(replace(context))  # Nothing of what was read before.
    finally:
        path.write_bytes(content)
    assert found.missing[0] == "yaw: not known of these pictures"
    assert len(found.missing) == len(TRUE_NAMES)
    assert len(found.tables[0].rows) == 3


def test_deformations_are_counted_for_each_part_of_the_face(context: Context) -> None:
    found = deformations(context)
    assert found.missing == ("eyes: fewer than two of its action units are labelled",)
    assert [table.title.split(":")[0] for table in found.tables] == ["Brows", "Mouth"]
    for table in found.tables:
        kinds = [row.heading.text for row in table.rows]
        assert kinds[:2] == ["primary capsules", "convolution units"]
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        assert table.rows[0].cells[-1].text.endswith(" of 4")
    assert len(found.verdicts) == 2 * 6


def test_unknown_labels_leave_no_deformations_to_count(context: Context) -> None:
    index = context.fold.prepared.index.copy()
    index[CLASSES[0]] = -1
    prepared = replace(context.fold.prepared, index=index)
    found = deformations(Context(replace(context.fold, prepared=prepared), resamples=20))
    assert "brows: in no test frame all of its action units are known" in found.missing
    assert len(found.tables) == 1


def test_what_few_people_show_is_not_decided(context: Context) -> None:
    """Scores that grow with intensity, where only five people show any action unit."""
    tested, index = context.fold.tested, context.fold.prepared.index.copy()
    neutral = ~np.isin(tested.subjects, [f"S{number}" for number in range(5)])
    for name in CLASSES:
        index.loc[neutral, f"{name}_intensity"] = 0
    prepared = replace(context.fold.prepared, index=index)
    found = intensity(Context(replace(context.fold, prepared=prepared), resamples=20))
    assert "not decided by 5 people" in found.verdicts[0]
    assert found.tables[0].rows[0].cells[1].text == "5"


def test_ascent_tells_what_became_of_the_cosines(context: Context) -> None:
    found = ascent(context)
    assert found.missing[0].startswith("eyes: no test image that is right in every class")
    assert [picture.name for picture in found.pictures] == [
        "ascent-brows",
        "ascent-brows-baseline",
        "ascent-mouth",
        "ascent-mouth-baseline",
    ]
    assert len(found.tables) == 2
    assert len(found.verdicts) == 4
    for table, verdict in zip(found.tables, found.verdicts[::2], strict=True):
        change = number(table.rows[0].cells[4].text)
        told = verdict.split(", ")[-1] if ", " in verdict else verdict
        assert number(told.split(" (")[0]) == pytest.approx(-change, abs=1e-9)


def test_tables_of_ascent_count_images_that_pictures_do_not_show(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the first person's two last frames are right in every class."""
    tested = context.fold.tested
    scores, labels = tested.scores.copy(), tested.labels.copy()
    labels[FRAMES - 2 : FRAMES] = [[0, 0, 1, 0], [0, 0, 0, 1]]
    scores[:, 0] = np.where(labels[:, 0] == 1, 0.1, 0.9)
    scores[FRAMES - 2 : FRAMES] = np.where(labels[FRAMES - 2 : FRAMES] == 1, 0.9, 0.1)
    fold = replace(context.fold, tested=replace(tested, labels=labels, scores=scores))
    found = ascent(replace(context, fold=fold, baseline=None, targets=(Target("mouth"),)))
    (picture,), (table,) = found.pictures, found.tables
    width = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR).shape[1]
    two = 2 * (1 + GAP) * SIDE_INCHES
    assert width == pytest.approx((LABEL_INCHES + two) * DPI, abs=2)
    images = number(table.title.split("in ")[1].split(" ")[0])
    assert images > 8
    assert "images of 8 people" in table.title
    monkeypatch.setattr(ascent_part, "MEASURED", 5)
    (table,) = ascent(replace(context, fold=fold, baseline=None, targets=(Target("mouth"),))).tables
    assert "in 5 images" in table.title


def test_each_class_has_a_sheet_and_the_capsules_that_feed_it(context: Context) -> None:
    sheets = direction(context)
    assert [picture.name for picture in sheets.pictures] == [
        f"direction-{name}" for name in CLASSES
    ]
    found = coupling(context)
    (table,) = found.tables
    assert [row.heading.text for row in table.rows] == list(CLASSES)
    for row, shown in zip(table.rows, (context.fold.tested.labels == 1).sum(axis=0), strict=True):
        assert row.cells[0].text == f"{shown}"
        parts = [float(cell.detail.split(";")[0]) for cell in row.cells[1:]]
        assert parts == sorted(parts, reverse=True)
        assert 0 < sum(parts) < 200
    assert "to the classes" in found.text[0]
    over_inputs = replace(
        context.fold, settings=replace(context.fold.settings, softmax_over="inputs")
    )
    assert "to one over all of these" in coupling(Context(over_inputs)).text[0]


@pytest.mark.parametrize("part", [magnitude, direction, sliders])
def test_a_decoder_that_was_never_trained_is_told(
    context: Context, part: Callable[[Context], Section]
) -> None:
    settings = replace(context.fold.settings, alpha=0.0)
    with pytest.raises(InputError, match=r"^run: expected a trained decoder, but .* alpha = 0"):
        part(Context(replace(context.fold, settings=settings)))


def test_a_baseline_without_places_leaves_out_its_units_only(context: Context) -> None:
    alone = Context(context.fold, another_network(context.fold, "AlexNet"), resamples=20)
    told = "AlexNet: network: expected capsules, ConvNet or VGG, got AlexNet"
    for part in (attributes, deformations):
        found = part(alone)
        assert found.tables
        assert found.missing[-1].startswith(told)
    assert intensity(alone).missing == ()


def test_a_network_without_capsules_can_be_climbed(context: Context) -> None:
    assert context.baseline is not None
    alone = Context(context.baseline, ascent=context.ascent, targets=(Target((1, 2)),))
    select_all = replace(context.baseline, tested=context.fold.tested)
    found = ascent(replace(alone, fold=select_all))
    assert [picture.name for picture in found.pictures] == ["ascent-row-1-column-2"]
    assert found.tables == ()


def other_frames(fold: OpenedFold) -> OpenedFold:
    return replace(fold, tested=replace(fold.tested, frames=fold.tested.frames[::-1].copy()))


def other_labels(fold: OpenedFold) -> OpenedFold:
    return replace(fold, tested=replace(fold.tested, labels=1 - fold.tested.labels.clip(0)))


def fewer_classes(fold: OpenedFold) -> OpenedFold:
    names = (*CLASSES[:-1], "AU25")
    return replace(fold, tested=replace(fold.tested, classes=names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_frames, r"^baseline: expected scores of the same 128 frames"),
        (other_labels, r"^baseline: expected scores of the same 128 frames with the same labels"),
        (fewer_classes, r"^baseline: expected the classes AU01, AU02, AU10, AU12, got .*AU25"),
        (lambda fold: fold, r"^baseline: expected a network without capsules, got TinyCapsNet"),
    ],
)
def test_a_baseline_that_does_not_fit_is_told(
    context: Context, change: Callable[[OpenedFold], OpenedFold], message: str
) -> None:
    is_same = change(context.fold) is context.fold
    baseline = context.fold if is_same else change(another_network(context.fold, "ConvNet"))
    with pytest.raises(InputError, match=message):
        Context(context.fold, baseline)
