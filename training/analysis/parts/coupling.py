"""Which primary capsules feed each class, drawn over the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.analysis.claims.gathering import evenly_spaced
from fastcaps.training.analysis.context import Context, Progress, places_of, spread
from fastcaps.training.analysis.coupling import coupling_maps
from fastcaps.training.analysis.figures import Pixels, face_maps, pixels
from fastcaps.training.analysis.section import Picture, Section
from fastcaps.training.analysis.units import unit_map
from fastcaps.training.errors import InputError

__all__ = ["coupling"]

LARGEST_SAMPLE = 512
BATCH = 64
IMAGES = 4

TEXT = (
    "Routing by agreement sends what each primary capsule predicts to the classes, in shares that "
    "add up to one: the coupling coefficients. With one class and the softmax over classes they "
    "are all one.",
    "A contribution is a share times its prediction, measured along the class capsule that comes "
    "of it; those of all places add up to the length before squashing. Red feeds the class, blue "
    "works against it.",
)


def coupling(context: Context, progress: Progress) -> Section:
    """Mean coupling coefficients and contributions over test frames, and those of some images.

    Raises:
        InputError: the network has no capsules.
    """
    fold = context.fold
    field = unit_map(fold.capsules).field
    extent = (field.centre(0) - field.jump / 2, field.centre(field.count - 1) + field.jump / 2)
    means = _means(context, progress)
    # Which classes get more or less than usual from where, as most is the same everywhere.
    unusual = means.coefficients - means.coefficients.mean(axis=(1, 2), keepdims=True)
    classes = fold.tested.classes
    mean_pictures = (
        Picture(
            "coupling-contributions",
            "How much of each class capsule comes from each place: means over "
            f"{means.frames} test frames, all types of primary capsules together",
            face_maps(means.face, dict(zip(classes, means.contributions, strict=True)), extent),
        ),
        Picture(
            "coupling-coefficients",
            "Mean coupling coefficients of the primary capsules of each place, less their mean "
            "over all places",
            face_maps(means.face, dict(zip(classes, unusual, strict=True)), extent),
        ),
    )
    images: list[Picture] = []
    missing: tuple[str, ...] = ()
    try:
        images = _single_images(context, extent)
    except InputError as error:
        missing = (str(error),)
    return Section(
        text=TEXT,
        pictures=(*mean_pictures, *images),
        missing=missing,
    )


@dataclass(frozen=True)
class _Means:
    """Over some test frames, of N classes at H x W places."""

    frames: int
    face: Pixels
    coefficients: NDArray[np.float32]
    contributions: NDArray[np.float32]


def _means(context: Context, progress: Progress) -> _Means:
    fold = context.fold
    places = evenly_spaced(len(fold.rows), LARGEST_SAMPLE)
    faces, coefficients, contributions = [], [], []
    for start in range(0, len(places), BATCH):
        images = fold.images(places[start : start + BATCH])
        found = coupling_maps(fold.capsules, images)
        faces.append(images.sum(0))
        coefficients.append(found.coefficients.mean(dim=2).sum(0))
        contributions.append(found.contributions.sum(dim=(0, 2)))
        progress(min(start + BATCH, len(places)), len(places))
    return _Means(
        frames=len(places),
        face=pixels(_sum(faces) / len(places)),
        coefficients=(_sum(coefficients) / len(places)).cpu().numpy(),
        contributions=(_sum(contributions) / len(places)).cpu().numpy(),
    )


def _sum(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


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
