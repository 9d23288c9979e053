"""Which primary capsules feed each class, drawn over the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.analysis.claims.gathering import evenly_spaced
from fastcaps.training.analysis.context import Context, Progress, places_of, silently, spread
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.figures import Pixels, face_maps, pixels
from fastcaps.training.analysis.section import Picture, Section
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError
from fastcaps.training.tables.layout import Notes
from fastcaps.training.tables.model import Cell, Heading, Row, Table

__all__ = ["coupling"]

LARGEST_SAMPLE = 512
BATCH = 64
IMAGES = 4

SHARES = {
    "outputs": (
        "Routing by agreement sends what each primary capsule predicts to the classes, in shares "
        "that add up to one: the coupling coefficients. With one class they are all one."
    ),
    "inputs": (
        "Routing by agreement gives each class what the primary capsules predict for it, in shares "
        "that add up to one over all of these: the coupling coefficients."
    ),
}

CONTRIBUTIONS = (
    "A contribution is a share times its prediction, measured along the sum of all of them; those "
    "of all primary capsules add up to the length of that sum, which becomes the class capsule "
    "{bias}when it is squashed. Red feeds the class, blue works against it; the number is that of "
    "the deepest colour."
)

MOST = 5
"""Primary capsules that the table names for each class."""


def coupling(context: Context, progress: Progress = silently) -> Section:
    """Mean coupling coefficients and contributions over test frames, and those of some images.

    Raises:
        InputError: the network has no capsules.
    """
    fold = context.fold
    field = unit_map(fold.capsules).field
    extent = field.extent
    means = _means(context, progress)
    # Which classes get more or less than usual from where, as most is the same everywhere.
    unusual = means.coefficients - means.coefficients.mean(axis=(1, 2), keepdims=True)
    classes = fold.tested.classes
    mean_pictures = [
        Picture(
            "coupling-contributions",
            "How much of each class capsule comes from each place: means over "
            f"{means.frames} test frames, all types of primary capsules together",
            face_maps(means.face, dict(zip(classes, means.contributions, strict=True)), extent),
        )
    ]
    if len(classes) > 1 or fold.settings.softmax_over == "inputs":
        mean_pictures.append(
            Picture(
                "coupling-coefficients",
                "Mean coupling coefficients of the primary capsules of each place, less their mean "
                "over all places",
                face_maps(means.face, dict(zip(classes, unusual, strict=True)), extent),
            )
        )
    images: list[Picture] = []
    missing: tuple[str, ...] = ()
    try:
        images = _single_images(context, extent)
    except InputError as error:
        missing = (str(error),)
    bias = "" if fold.capsules.classes.bias is None else "with its bias, "
    return Section(
        text=(SHARES[fold.settings.softmax_over], CONTRIBUTIONS.format(bias=bias)),
        pictures=(*mean_pictures, *images),
        tables=(_table(classes, means),),
        missing=missing,
    )


def _table(classes: Sequence[str], means: _Means) -> Table:
    """The primary capsules that give most to each class."""
    notes = Notes()
    told = notes.numbers(
        [
            "type at row, column of their map: part of the length of the class's sum, in percent, "
            "and the mean coupling coefficient; in test frames that show the class"
        ]
    )
    rows = []
    for name, frames, given, coefficients in zip(
        classes, means.shown, means.given, means.shares, strict=True
    ):
        cells = [Cell(f"{int(frames):,}")]
        for place in np.argsort(-given, axis=None)[:MOST] if frames else ():
            unit, row, column = np.unravel_index(place, given.shape)
            part = 100 * given[unit, row, column] / given.sum()
            shares = coefficients[unit, row, column]
            cells.append(Cell(f"{unit} at {row}, {column}", f"{part:.1f}; {shares:.2f}"))
        rows.append(Row(Heading(name), (*cells, *[Cell()] * (1 + MOST - len(cells)))))
    return Table(
        "The primary capsules that feed each class most",
        "Class",
        (Heading("Frames"), *(Heading(f"{place}.", told) for place in range(1, MOST + 1))),
        tuple(rows),
        notes.texts,
    )


@dataclass(frozen=True)
class _Means:
    """Over some test frames, of N classes.

    Attributes:
        frames: how many.
        face: their mean.
        coefficients, contributions: of all primary capsules of each place, [N, H, W].
        shown: how many frames show each class, [N].
        given, shares: contributions and coefficients in those that do, [N, U, H, W].
    """

    frames: int
    face: Pixels
    coefficients: NDArray[np.float32]
    contributions: NDArray[np.float32]
    shown: NDArray[np.float32]
    given: NDArray[np.float32]
    shares: NDArray[np.float32]


def _means(context: Context, progress: Progress) -> _Means:
    fold = context.fold
    places = evenly_spaced(len(fold.rows), LARGEST_SAMPLE)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(places), BATCH):
        taken = places[start : start + BATCH]
        images = fold.images(taken)
        found = coupling_maps(fold.capsules, images)
        is_shown = (fold.labels(taken) == 1).float()
        of_batch = {
            "face": images.sum(0),
            "coefficients": found.coefficients.mean(dim=2).sum(0),
            "contributions": found.contributions.sum(dim=(0, 2)),
            "shown": is_shown.sum(0),
            "given": torch.einsum("bn,bnuhw->nuhw", is_shown, found.contributions),
            "shares": torch.einsum("bn,bnuhw->nuhw", is_shown, found.coefficients),
        }
        sums = {name: sums.get(name, 0) + part for name, part in of_batch.items()}
        progress(min(start + BATCH, len(places)), len(places))
    times = sums["shown"][:, None, None, None].clamp_min(1)
    return _Means(
        frames=len(places),
        face=pixels(sums["face"] / len(places)),
        coefficients=(sums["coefficients"] / len(places)).cpu().numpy(),
        contributions=(sums["contributions"] / len(places)).cpu().numpy(),
        shown=sums["shown"].cpu().numpy(),
        given=(sums["given"] / times).cpu().numpy(),
        shares=(sums["shares"] / times).cpu().numpy(),
    )


def _single_images(context: Context, extent: tuple[float, float]) -> list[Picture]:
    fold = context.fold
    shown = spread(context.selected, IMAGES)
    images = fold.images(places_of(shown))
    found = coupling_maps(fold.capsules, images).contributions.sum(dim=2).cpu().numpy()
    classes = fold.tested.classes
    return [
        Picture(
            f"coupling-image-{number}",
            f"One image of {one.subject}, which shows {classes[one.class_index]}",
            face_maps(pixels(image), dict(zip(classes, maps, strict=True)), extent),
        )
        for number, (one, image, maps) in enumerate(zip(shown, images, found, strict=True), start=1)
    ]
