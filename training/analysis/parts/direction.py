"""Reconstructions with turned capsules: figure 3 of Rashid and Lee."""

from __future__ import annotations

import torch

from fastcaps.training.analysis.context import Context, Progress, places_of, silently
from fastcaps.training.analysis.correlates import LEAST
from fastcaps.training.analysis.figures import Pixels, picture_grid, pixels
from fastcaps.training.analysis.reconstructions import (
    TURNS,
    dimension_effects,
    direction_sweep,
)
from fastcaps.training.analysis.section import Picture, Section
from fastcaps.training.analysis.selection import Selected

__all__ = ["direction"]

IMAGES_PER_CLASS = 4
"""Over which a dimension's effect is averaged; the first is shown."""


def direction(context: Context, progress: Progress = silently) -> Section:
    """For each class a sheet with each dimension of its capsule varied, the most telling first.

    Raises:
        InputError: the network has no capsules or no trained decoder, or no test image is right in
            every class.
    """
    by_class: dict[int, list[Selected]] = {}
    for one in sorted(context.selected, key=lambda one: -one.score):
        by_class.setdefault(one.class_index, []).append(one)
    sheets: list[Picture] = []
    for done, (index, selected) in enumerate(sorted(by_class.items()), start=1):
        chosen = selected[:IMAGES_PER_CLASS]
        sheets.append(_sheet(context, index, chosen, folded=bool(sheets)))
        progress(done, len(by_class))
    classes = context.fold.tested.classes
    absent = [name for place, name in enumerate(classes) if place not in by_class]
    return Section(
        text=(
            "Each row varies one of the dimensions of a class's capsule from "
            f"{TURNS[0]} to {TURNS[-1]} and restores the capsule's length (Rashid and Lee, "
            "figure 3); the last picture shows the change from left to right, lighter or darker.",
            "Rows are sorted by how much they change the picture: the first number is the root "
            f"mean square of a pixel's change (0 to 1) over {IMAGES_PER_CLASS} images or fewer, "
            "the second is of what is left of it beside all of the picture getting lighter or "
            "darker. Below them stands what goes with the dimension most in test images that show "
            f"the class, if Spearman's correlation is {LEAST} or more either way and no chance: of "
            "what is named, one in twenty is expected to be.",
        ),
        pictures=tuple(sheets),
        missing=tuple(
            f"{name}: no test image in which it is present is right in every class"
            for name in absent
        ),
    )


def _sheet(
    context: Context, class_index: int, selected: list[Selected], *, folded: bool
) -> Picture:
    fold, network, places = context.fold, context.fold.drawing_capsules, places_of(selected)
    images, labels = fold.images(places), fold.labels(places)
    with torch.inference_mode():
        v = network(images)
    effects = dimension_effects(network, v, labels, class_index)
    pictures = direction_sweep(network, v[:1], labels[:1], class_index)[0]
    changes = pictures[:, -1] - pictures[:, 0]
    changes = (0.5 + changes / (2 * changes.abs().max())).nan_to_num(0.5)
    order = effects.change.argsort(descending=True).tolist()
    rows: list[list[Pixels | None]] = [
        [*map(pixels, pictures[dimension]), pixels(changes[dimension])] for dimension in order
    ]
    names = context.dimension_names[class_index]
    row_labels = [
        f"{dimension}: {effects.change[dimension]:.3f}, {effects.shape[dimension]:.3f}\n"
        f"{names[dimension]}"
        for dimension in order
    ]
    name = fold.tested.classes[class_index]
    return Picture(
        f"direction-{name}",
        f"{name}: the dimensions of its capsule, in an image of {selected[0].subject}",
        picture_grid(rows, row_labels, [*(f"{turn:+.1f}" for turn in TURNS), "change"], inches=0.7),
        folded=folded,
    )
