"""Reconstructions with longer and shorter capsules: figures 1 and 2 of Rashid and Lee."""

from __future__ import annotations

from fastcaps.training.analysis.context import Context, Progress, places_of, silently, spread
from fastcaps.training.analysis.figures import picture_grid, pixels
from fastcaps.training.analysis.reconstructions import MAGNITUDES, magnitude_sweep
from fastcaps.training.analysis.section import Picture, Section

__all__ = ["magnitude"]

IMAGES = 12


def magnitude(context: Context, progress: Progress = silently) -> Section:
    """Some test images, and what is reconstructed from their capsules at lengths 0.1 to 0.9.

    Raises:
        InputError: the network has no capsules or no trained decoder, or no test image is right in
            every class.
    """
    network, fold = context.fold.drawing_capsules, context.fold
    shown = spread(context.selected, IMAGES)
    places = places_of(shown)
    images = fold.images(places)
    pictures = magnitude_sweep(network, images, fold.labels(places))
    rows = [
        [pixels(image), *map(pixels, versions)]
        for image, versions in zip(images, pictures, strict=True)
    ]
    labels = [f"{present(context, one.place)}\n{one.subject}" for one in shown]
    figure = picture_grid(rows, labels, ["image", *map(str, MAGNITUDES)])
    progress(1, 1)
    return Section(
        text=(
            "Each row is a test image and what the decoder makes of it when the capsules of all "
            "classes that are present are given the same length, from 0.1 to 0.9. Where the length "
            "is what the network believes, the expression grows from left to right "
            "(Rashid and Lee, figures 1 and 2).",
        ),
        pictures=(Picture("magnitude", "Reconstructions at increasing length", figure),),
    )


def present(context: Context, place: int) -> str:
    """The classes that a test image shows."""
    tested = context.fold.tested
    names = [
        name for name, label in zip(tested.classes, tested.labels[place], strict=True) if label == 1
    ]
    return (
        " ".join(name.removeprefix("AU") for name in names) if len(names) > 2 else " ".join(names)
    )
