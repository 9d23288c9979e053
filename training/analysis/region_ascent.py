"""Gradient ascent on a unit that sees a part of the face, over images that show it changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastcaps.training.action_units import column
from fastcaps.training.analysis.ascent import Ascent, ascend
from fastcaps.training.analysis.claims.facial_parts import PART_UNITS
from fastcaps.training.analysis.context import Context, Progress, places_of
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.places import Place, region_place
from fastcaps.training.analysis.selection import Selected
from fastcaps.training.analysis.units import UnitMap, unit_map
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["RegionAscent", "region_ascent", "region_images"]

OF_FIRST_PERSON = 5


@dataclass(frozen=True)
class RegionAscent:
    """What became of B images.

    Attributes:
        fold: whose network was climbed.
        region: name of the part of the face.
        units: of the network.
        unit, place: that was made more active.
        selected: what the images stand for.
        images: before, [B, C, side, side] in 0 .. 1.
        ascent: and after.
    """

    fold: OpenedFold
    region: str
    units: UnitMap
    unit: int
    place: Place
    selected: tuple[Selected, ...]
    images: Tensor
    ascent: Ascent


def region_images(context: Context, region: str, count: int) -> tuple[Selected, ...]:
    """Images that are right in every class and show the region changed, no frame twice.

    First several of whoever shows most of its classes, then of other people in turn, of each the
    class that has been taken least. Emotions change all regions.

    Args:
        context: what is looked into.
        region: name of a part of the face, see :data:`PART_UNITS`.
        count: the most images.

    Raises:
        InputError: no test image is right in every class.
    """
    tested = context.fold.tested
    of_region = set(map(column, PART_UNITS[region]))
    of_people: dict[str, dict[int, Selected]] = {}
    frames: set[int] = set()
    for one in sorted(context.selected, key=lambda one: -one.score):
        fits = tested.exclusive or tested.classes[one.class_index] in of_region
        if fits and one.place not in frames:
            of_people.setdefault(one.subject, {}).setdefault(one.class_index, one)
            frames.add(one.place)
    people = sorted(of_people, key=lambda subject: -len(of_people[subject]))
    taken: list[Selected] = []
    for subject in people[:1]:
        for index in list(of_people[subject])[:OF_FIRST_PERSON]:
            taken.append(of_people[subject].pop(index))
    while any(of_people.values()):
        for subject in (*people[1:], *people[:1]):
            if of_people[subject]:
                classes = [one.class_index for one in taken]
                taken.append(of_people[subject].pop(min(of_people[subject], key=classes.count)))
    return tuple(taken[:count])


def region_ascent(
    context: Context,
    fold: OpenedFold,
    region: str,
    selected: tuple[Selected, ...],
    progress: Progress,
) -> RegionAscent:
    """Make one unit at the place of a region more active.

    Of primary capsules, the one that gives most to the classes that the images stand for; of
    convolution units, as in the paper, the most active one.

    Args:
        context: how images are changed.
        fold: whose network is climbed; tested on the same frames as that of ``context``.
        region: name of a part of the face, see :data:`fastcaps.training.analysis.places.REGIONS`.
        selected: the images, at least one.
        progress: is told how far it is.

    Raises:
        InputError: the network's units have no places, or an activation is not finite.
    """
    units = unit_map(fold.network)
    place = region_place(region, units.field, fold.network.options.side)
    images = fold.images(places_of(selected))
    unit = _unit(fold, units, place, images, selected)
    ascent = ascend(units, images, unit, place, context.ascent, progress)
    return RegionAscent(fold, region, units, unit, place, selected, images, ascent)


def _unit(
    fold: OpenedFold,
    units: UnitMap,
    place: Place,
    images: Tensor,
    selected: tuple[Selected, ...],
) -> int:
    row, across = place
    if isinstance(fold.network, CapsuleNetwork):
        given = coupling_maps(fold.network, images).contributions[..., row, across]
        classes = torch.tensor([one.class_index for one in selected])
        return int(given[torch.arange(len(images)), classes].mean(0).argmax())
    with torch.no_grad():
        return int(units.activations(images)[..., row, across].mean(0).argmax())
