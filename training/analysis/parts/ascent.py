"""Gradient ascent on units that see a part of the face: figures 4 to 6 of Rashid and Lee."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from fastcaps.training.action_units import column
from fastcaps.training.analysis.ascent import Ascent, ascend
from fastcaps.training.analysis.claims.facial_parts import PART_UNITS
from fastcaps.training.analysis.context import MEASURED_REGIONS, Context, Progress, places_of
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.directions import Pair, pairs
from fastcaps.training.analysis.figures import Pixels, picture_grid, pixels
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.places import Place, region_place
from fastcaps.training.analysis.section import Picture, Section
from fastcaps.training.analysis.selection import Selected
from fastcaps.training.analysis.units import UnitMap, unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["ascent"]

IMAGES = 8
OF_ONE_PERSON = 5
MORE, LESS, PLAIN = "#12702f", "#b3261e", "#63636a"

TEXT = (
    "Test images that are right in every class are changed by gradient ascent until one unit is as "
    "active as it can be at one place of its map (Rashid and Lee, section 4.4). The first images "
    "are of one person. Of the primary capsules, the one is taken that gives most to the classes "
    "of the region; of convolution units, the most active one.",
    "Numbers between two images are cosines of what the unit gives for them, before and after: "
    "green where ascent made them more orthogonal, red where less. A convolution unit gives one "
    "number from 0 on, so its cosines are 1, or 0 where it is off.",
)


def ascent(context: Context, progress: Progress) -> Section:
    """For each region the images before and after ascent on one unit, of both networks.

    Raises:
        InputError: the network has no capsules, or no test image is right in every class.
    """
    _ = context.fold.capsules
    folds = [context.fold, *([context.baseline] if context.baseline else [])]
    shown = {region: _images_for(context, region) for region in MEASURED_REGIONS}
    missing = [
        f"{region}: no test image that shows an action unit of it is right in every class"
        for region, selected in shown.items()
        if not selected
    ]
    work = [(r, selected, fold) for r, selected in shown.items() if selected for fold in folds]
    pictures = []
    for number, (region, selected, fold) in enumerate(work):
        told = partial(_tell, progress, number, len(work))
        try:
            pictures.append(_picture(context, fold, region, selected, told))
        except InputError as error:
            missing.append(f"{fold.name}, {region}: {error}")
    return Section(text=TEXT, pictures=tuple(pictures), missing=tuple(missing))


def _tell(progress: Progress, number: int, count: int, done: int, total: int) -> None:
    """How much is done of ``count`` works of the same size, of which this is one."""
    progress(number * total + done, count * total)


def _images_for(context: Context, region: str) -> tuple[Selected, ...]:
    """Several images of whoever shows most of the region's classes, then of other people."""
    names = set(map(column, PART_UNITS[region]))
    classes = context.fold.tested.classes
    # Emotions are of the whole face.
    fits = [
        one
        for one in sorted(context.selected, key=lambda one: -one.score)
        if context.fold.tested.exclusive or classes[one.class_index] in names
    ]
    of_people: dict[str, dict[int, Selected]] = {}
    frames: set[int] = set()
    for one in fits:
        if one.place not in frames:
            of_people.setdefault(one.subject, {}).setdefault(one.class_index, one)
            frames.add(one.place)
    if not of_people:
        return ()
    first, *others = sorted(of_people, key=lambda subject: -len(of_people[subject]))
    chosen = list(of_people[first].values())[:OF_ONE_PERSON]
    for subject in others:
        if len(chosen) == IMAGES:
            break
        times = [one.class_index for one in chosen]
        chosen.append(
            min(of_people[subject].values(), key=lambda one: times.count(one.class_index))
        )
    return tuple(chosen)


def _picture(
    context: Context,
    fold: OpenedFold,
    region: str,
    selected: Sequence[Selected],
    progress: Progress,
) -> Picture:
    units = unit_map(fold.network)
    place = region_place(region, units.field, fold.network.options.side)
    images = fold.images(places_of(selected))
    unit = _unit(fold, units, place, images, selected)
    found = ascend(units, images, unit, place, context.ascent, progress)
    change = (found.images - images) / 2 + 0.5
    rows: list[list[Pixels | None]] = [
        list(map(pixels, pictures)) for pictures in (images, found.images, change)
    ]
    lengths = [found.activations[:, at].tolist() for at in (0, -1)]
    labels = [
        f"{when}\n{min(values):.2f} to {max(values):.2f}"
        for when, values in zip(("before", "after"), lengths, strict=True)
    ]
    classes = fold.tested.classes
    figure = picture_grid(
        rows,
        [*labels, "change"],
        [f"{one.subject} {classes[one.class_index]}" for one in selected],
        between=_cosines(selected, found),
        inches=1.1,
    )
    network = "capsules" if isinstance(fold.network, CapsuleNetwork) else fold.settings.network
    return Picture(
        f"ascent-{network}-{region}".lower(),
        f"{fold.name}: {units.name} {unit} at row {place[0]}, column {place[1]} ({region}), "
        f"{context.ascent.steps} steps",
        figure,
    )


def _unit(
    fold: OpenedFold,
    units: UnitMap,
    place: Place,
    images: torch.Tensor,
    selected: Sequence[Selected],
) -> int:
    """The unit that gives most to the classes shown, or is most active."""
    row, across = place
    if isinstance(fold.network, CapsuleNetwork):
        given = coupling_maps(fold.network, images).contributions[..., row, across]
        classes = torch.tensor([one.class_index for one in selected])
        return int(given[torch.arange(len(images)), classes].mean(0).argmax())
    with torch.no_grad():
        return int(units.activations(images)[..., row, across].mean(0).argmax())


def _cosines(selected: Sequence[Selected], found: Ascent) -> dict[int, list[tuple[str, str]]]:
    """Between neighbours, of the first row and of the second."""
    of_places = {(pair.first, pair.second): pair for pair in pairs(selected, found)}
    neighbours = [of_places.get((place, place + 1)) for place in range(len(selected) - 1)]
    return {
        0: [("", PLAIN) if pair is None else (f"{pair.before:.2f}", PLAIN) for pair in neighbours],
        1: [("", PLAIN) if pair is None else _after(pair) for pair in neighbours],
    }


def _after(pair: Pair) -> tuple[str, str]:
    return f"{pair.after:.2f}", MORE if pair.more_orthogonal else LESS
