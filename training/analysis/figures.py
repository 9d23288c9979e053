"""Figures of an analysis as PNG files: pictures in rows and columns, curves, maps over a face."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Pixels", "curves", "face_maps", "picture_grid", "pixels"]

DPI = 100
LABEL_INCHES = 1.6
LABEL_CHARACTERS = 18
HEADING_INCHES = 0.35
TEXT_INCHES = 0.18
GAP = 0.04
"""Between pictures, as a part of their side."""

Pixels = NDArray[np.float32]
"""Of a gray picture [S, S], or of a coloured one [S, S, 3], in 0 .. 1."""


def pixels(picture: Tensor) -> Pixels:
    """A picture [C, S, S] in 0 .. 1 as figures take it."""
    found: Pixels = picture.detach().float().cpu().numpy()
    return found[0] if len(found) == 1 else np.moveaxis(found, 0, 2)


def picture_grid(
    rows: Sequence[Sequence[Pixels | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    between: Mapping[int, Sequence[tuple[str, str]]] | None = None,
    inches: float = 0.8,
) -> bytes:
    """Pictures of one size beside and below each other.

    Args:
        rows: of pictures; None leaves a place free. The longest decides how many columns there are.
        row_labels: at the left, one for each row; long lines are broken.
        column_labels: above the first row, one for each column, or none.
        between: for some rows, a text and its colour below each two neighbours.
        inches: side of a picture; there are 100 dots to an inch.
    """
    between = between or {}
    across, step = max(map(len, rows)), 1 + GAP
    heights = [step + (TEXT_INCHES / inches if row in between else 0) for row in range(len(rows))]
    tops = [sum(heights[:row]) for row in range(len(rows))]
    width, height = across * step * inches, sum(heights) * inches
    figure = Figure(figsize=(LABEL_INCHES + width, HEADING_INCHES + height))
    left = LABEL_INCHES / (LABEL_INCHES + width)
    axes = figure.add_axes((left, 0, 1 - left, height / (HEADING_INCHES + height)))
    for top, pictures in zip(tops, rows, strict=True):
        for column, picture in enumerate(pictures):
            if picture is not None:
                extent = (column * step, column * step + 1, top + 1, top)
                axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent)
    for row, texts in between.items():
        for column, (text, colour) in enumerate(texts, start=1):
            place = (column * step - GAP / 2, tops[row] + step)
            axes.text(*place, text, color=colour, ha="center", va="top", fontsize="small")
    axes.set_xlim(0, across * step)
    axes.set_ylim(sum(heights), 0)
    axes.set_xticks([column * step + 0.5 for column in range(len(column_labels))], column_labels)
    axes.set_yticks([top + 0.5 for top in tops], [_broken(label) for label in row_labels])
    axes.xaxis.tick_top()
    _plain(axes)
    return _png(figure)


def _broken(label: str) -> str:
    lines = [textwrap.wrap(line, LABEL_CHARACTERS) for line in label.splitlines()]
    return "\n".join(chain.from_iterable(lines))


def curves(lines: Mapping[str, NDArray[np.floating]], x_label: str, y_label: str) -> bytes:
    """Lines over 0, 1, 2 ...; each [K], with its name in the legend."""
    figure = Figure(figsize=(6, 3))
    axes = figure.add_subplot()
    for name, values in lines.items():
        axes.plot(values, label=name)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(fontsize="small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def face_maps(
    face: Pixels, maps: Mapping[str, NDArray[np.floating]], extent: tuple[float, float]
) -> bytes:
    """Maps drawn over a face, red above 0 and blue below, each scaled to its largest number, which
    its title tells.

    Args:
        face: the picture below.
        maps: [H, W] by name.
        extent: where the first place's left and the last place's right edge are, in pixels.
    """
    across = min(len(maps), 6)
    down = -(-len(maps) // across)
    figure = Figure(figsize=(1.6 * across, 1.85 * down))
    side = face.shape[0]
    for place, (name, values) in enumerate(maps.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        axes.imshow(face, cmap="gray", vmin=0, vmax=1, extent=(0, side, side, 0))
        largest = max(float(np.abs(values).max()), np.finfo(np.float32).tiny)
        axes.imshow(
            values,
            cmap="bwr",
            norm=TwoSlopeNorm(0, -largest, largest),
            alpha=0.5,
            interpolation="bilinear",
            extent=(extent[0], extent[1], extent[1], extent[0]),
        )
        axes.set_xlim(0, side)
        axes.set_ylim(side, 0)
        axes.set_title(f"{name}: \N{PLUS-MINUS SIGN}{largest:.2g}", fontsize="small")
        axes.set_xticks([])
        axes.set_yticks([])
        _plain(axes)
    figure.subplots_adjust(0, 0, 1, 1 - 0.25 / (1.85 * down), 0.04, 0.16)
    return _png(figure)


def _plain(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize="small")


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor="white")
    return file.getvalue()
