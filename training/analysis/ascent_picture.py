"""Pictures of images before and after gradient ascent: figures 4 to 6 of Rashid and Lee."""

from __future__ import annotations

from fastcaps.training.analysis.context import Context
from fastcaps.training.analysis.directions import Pair, pairs
from fastcaps.training.analysis.figures import Pixels, picture_grid, pixels
from fastcaps.training.analysis.section import Picture
from fastcaps.training.analysis.target_ascent import TargetAscent

__all__ = ["ascent_picture"]

SIDE_INCHES = 1.1
MORE, LESS, PLAIN = "#12702f", "#b3261e", "#63636a"
UNCHANGED = 0.005
"""Falls of a cosine that its two decimals do not tell."""


def ascent_picture(context: Context, found: TargetAscent, count: int) -> Picture:
    """Images before and after ascent, what changed, and the cosines between neighbours.

    Args:
        context: what is looked into; pictures of another network's ascent are a baseline's.
        found: what became of the images.
        count: how many of them are shown, the first ones.
    """
    fold, change = found.fold, (found.ascent.images - found.images) / 2 + 0.5
    rows: list[list[Pixels | None]] = [
        list(map(pixels, pictures[:count]))
        for pictures in (found.images, found.ascent.images, change)
    ]
    of_unit = {"before": found.ascent.before, "after": found.ascent.after}
    lengths = {when: vectors[:count].norm(dim=1).tolist() for when, vectors in of_unit.items()}
    labels = [f"{when}\n{min(of):.2f} to {max(of):.2f}" for when, of in lengths.items()]
    classes = fold.tested.classes
    figure = picture_grid(
        rows,
        [*labels, "change"],
        [f"{one.subject}\n{classes[one.class_index]}" for one in found.selected[:count]],
        between=_cosines(found, count),
        inches=SIDE_INCHES,
    )
    suffix = "" if found.fold is context.fold else "-baseline"
    steps = found.ascent.activations.shape[1] - 1
    return Picture(
        f"ascent-{found.target.name.replace(', ', '-').replace(' ', '-')}{suffix}",
        f"{fold.name}: {found.units.name} {found.unit} at row {found.place[0]}, column "
        f"{found.place[1]} ({found.target.name}), {steps} steps",
        figure,
    )


def _cosines(found: TargetAscent, count: int) -> dict[int, list[tuple[str, str]]]:
    """Between neighbours among the first images, of the first row and of the second."""
    shown = found.selected[:count]
    found_pairs = pairs(shown, found.shown[:count], found.ascent)
    of_places = {(pair.first, pair.second): pair for pair in found_pairs}
    neighbours = [of_places.get((place, place + 1)) for place in range(len(shown) - 1)]
    return {
        0: [("", PLAIN) if pair is None else (f"{pair.before:.2f}", PLAIN) for pair in neighbours],
        1: [("", PLAIN) if pair is None else _after(pair) for pair in neighbours],
    }


def _after(pair: Pair) -> tuple[str, str]:
    if abs(pair.fall) < UNCHANGED:
        return f"{pair.after:.2f}", PLAIN
    return f"{pair.after:.2f}", MORE if pair.fall > 0 else LESS
