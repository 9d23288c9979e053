"""Gradient ascent on a unit that sees a part of the face, and the images that it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.analysis.ascent import Ascent, ascend
from fastcaps.training.analysis.context import Context, Progress, places_of
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.opened_fold import OpenedFold
from fastcaps.training.analysis.places import Place, region_place
from fastcaps.training.analysis.selection import Selected, right_frames
from fastcaps.training.analysis.shown_labels import fitting_classes, shown_labels
from fastcaps.training.analysis.targets import Target
from fastcaps.training.analysis.units import UnitMap, unit_map
from fastcaps.training.networks.network import CapsuleNetwork

__all__ = ["TargetAscent", "further_images", "target_ascent", "target_images"]

OF_FIRST_PERSON = 5
OF_OTHERS = 2


@dataclass(frozen=True)
class TargetAscent:
    """What became of B images.

    Attributes:
        fold: whose network was climbed.
        target: what was to be climbed.
        units: of the network.
        unit, place: that was made more active.
        selected: what the images stand for; those that decided on the unit come first.
        shown: and the labels of what they show at the target, int8 [B, A].
        images: before, [B, C, side, side] in 0 .. 1.
        ascent: and after.
    """

    fold: OpenedFold
    target: Target
    units: UnitMap
    unit: int
    place: Place
    selected: tuple[Selected, ...]
    shown: NDArray[np.int8]
    images: Tensor
    ascent: Ascent


def target_images(context: Context, target: Target, count: int) -> tuple[Selected, ...]:
    """Images that are right in every class and show the target changed, of one person only such
    whose labels there are not the same.

    First several of whoever has most of them, then two at a time of other people in turn, of each
    such that stand for the class that has been taken least.

    Args:
        context: what is looked into.
        target: which part of the face.
        count: the most images.

    Raises:
        InputError: no test image is right in every class.
    """
    fitting = _fitting(context.fold, target)
    fit = [one for one in context.selected if one.class_index in fitting]
    fit.sort(key=lambda one: -one.score)
    return _in_turn(_by_person(context.fold, target, fit), count)


def further_images(
    context: Context, target: Target, taken: Sequence[Selected], count: int
) -> tuple[Selected, ...]:
    """Images whose labels at the target none of those taken has, of the same person.

    They are right in the classes that change the target and show one of these; what the network
    makes of the rest of the face does not matter.

    Args:
        context: what is looked into.
        target: which part of the face.
        taken: other images of it.
        count: the most images.
    """
    right = right_frames(context.fold.tested, _fitting(context.fold, target))
    return _in_turn(_by_person(context.fold, target, right, taken), count)


def _fitting(fold: OpenedFold, target: Target) -> list[int]:
    fitting = fitting_classes(fold, target)
    return [place for place, name in enumerate(fold.tested.classes) if name in fitting]


def _by_person(
    fold: OpenedFold, target: Target, images: Sequence[Selected], taken: Sequence[Selected] = ()
) -> dict[str, list[Selected]]:
    """The first image of each person for each set of labels at the target that none taken has."""
    shown = shown_labels(fold, target)
    seen = {(one.subject, shown[one.place].tobytes()) for one in taken}
    found: dict[str, list[Selected]] = {}
    for one in images:
        key = (one.subject, shown[one.place].tobytes())
        if key not in seen:
            seen.add(key)
            found.setdefault(one.subject, []).append(one)
    return found


def _in_turn(left: dict[str, list[Selected]], count: int) -> tuple[Selected, ...]:
    """Several of whoever has most, then two at a time of each, taken from the lists."""
    people = sorted(left, key=lambda subject: -len(left[subject]))
    taken: list[Selected] = []
    for subject in people[:1]:
        taken += left[subject][:OF_FIRST_PERSON]
        del left[subject][:OF_FIRST_PERSON]
    of_class = Counter(one.class_index for one in taken)
    while len(taken) < count and any(left.values()):
        for subject in (*people[1:], *people[:1]):
            for _ in left[subject][:OF_OTHERS]:
                rarest = min(left[subject], key=lambda one: of_class[one.class_index])
                left[subject].remove(rarest)
                taken.append(rarest)
                of_class[rarest.class_index] += 1
    return tuple(taken[:count])


def target_ascent(
    context: Context,
    fold: OpenedFold,
    target: Target,
    selected: tuple[Selected, ...],
    progress: Progress,
    further: tuple[Selected, ...] = (),
) -> TargetAscent:
    """Make one unit at the place of a target more active.

    Of primary capsules, the target's, or the one that gives most to the classes that the images
    stand for; of convolution units, as in the paper, the most active one.

    Args:
        context: how images are changed, and the network whose places targets are told in.
        fold: whose network is climbed; tested on the same frames as that of ``context``.
        target: which unit; for the places of another network, those with the nearest centre.
        selected: the images, at least one.
        progress: is told how far it is.
        further: others that are climbed, too, but do not decide on which unit.

    Raises:
        InputError: there is no such unit or place, the network's units have no places, or an
            activation is not finite.
    """
    units = unit_map(fold.network)
    place = _place(context, fold, target, units)
    every = selected + further
    places = places_of(every)
    shown, images = shown_labels(fold, target)[places], fold.images(places)
    unit = _unit(fold, target, units, place, images[: len(selected)], selected)
    ascent = ascend(units, images, unit, place, context.ascent, progress)
    return TargetAscent(fold, target, units, unit, place, every, shown, images, ascent)


def _place(context: Context, fold: OpenedFold, target: Target, units: UnitMap) -> Place:
    if isinstance(target.where, str):
        return region_place(target.where, units.field, fold.network.options.side)
    field = unit_map(context.fold.network).field
    field.check(target.where)
    row, across = (units.field.nearest(field.centre(number)) for number in target.where)
    return row, across


def _unit(
    fold: OpenedFold,
    target: Target,
    units: UnitMap,
    place: Place,
    images: Tensor,
    selected: tuple[Selected, ...],
) -> int:
    row, across = place
    if isinstance(fold.network, CapsuleNetwork):
        if target.unit is not None:
            return target.unit
        given = coupling_maps(fold.network, images).contributions[..., row, across]
        classes = torch.tensor([one.class_index for one in selected])
        return int(given[torch.arange(len(images)), classes].mean(0).argmax())
    with torch.no_grad():
        return int(units.activations(images)[..., row, across].mean(0).argmax())
