"""Many pictures with captions in one: to see at a glance what a data set holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, column
from fastcaps.training.augmentation import COLOUR_224, GRAY_96, augment
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.prepared import Prepared

__all__ = ["action_unit_sheet", "augmentation_sheet", "contact_sheet", "save_picture"]

GAP = 4
CAPTION = 16
LARGEST_SIDE = 128
"""Pictures are made smaller where they are larger than this, in pixels."""


def contact_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8] | None]], captions: Sequence[str], side: int
) -> NDArray[np.uint8]:
    """Rows of pictures, each row below its caption; uint8 [height, width, 3], RGB.

    Args:
        rows: pictures uint8 [h, h] or [h, h, 3]; None leaves a place free.
        captions: of the rows.
        side: to which pictures are scaled, in pixels.
    """
    columns = max((len(row) for row in rows), default=0)
    height = len(rows) * (side + GAP + CAPTION)
    sheet = np.full((height, columns * (side + GAP) + GAP, 3), 255, dtype=np.uint8)
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        top = number * (side + GAP + CAPTION)
        cv2.putText(
            sheet,
            caption,
            (GAP, top + 12),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
        for place, picture in enumerate(row):
            if picture is not None:
                left = GAP + place * (side + GAP)
                box = slice(top + CAPTION, top + CAPTION + side), slice(left, left + side)
                sheet[box] = _scaled(picture, side)
    return sheet


def action_unit_sheet(prepared: Prepared, subjects: int = 8) -> NDArray[np.uint8]:
    """For each action unit the frame of several subjects that shows it most.

    Args:
        prepared: the data set.
        subjects: how many, spread evenly over the sorted subjects.
    """
    names = sorted(prepared.index["subject"].unique())
    shown = [names[place * len(names) // subjects] for place in range(min(subjects, len(names)))]
    frames_of = [np.flatnonzero(prepared.index["subject"] == subject) for subject in shown]
    rows = [
        [_strongest(prepared.frames, of_subject, present, intensity) for of_subject in frames_of]
        for present, intensity in zip(prepared.labels.T == 1, prepared.intensities.T, strict=True)
    ]
    captions = [f"{column(unit)} {ACTION_UNITS[unit]}" for unit in prepared.action_units]
    return contact_sheet(rows, captions, min(prepared.shape.side, LARGEST_SIDE))


def augmentation_sheet(
    prepared: Prepared, subjects: int = 6, versions: int = 8
) -> NDArray[np.uint8]:
    """Frames of several subjects, as stored and as training changes them in several epochs.

    Args:
        prepared: the data set.
        subjects: how many, spread evenly over the frames.
        versions: how many epochs.
    """
    chosen = (np.arange(subjects) * 2 + 1) * len(prepared.frames) // (2 * subjects)
    stored = torch.from_numpy(prepared.frames[chosen])
    settings = GRAY_96 if prepared.shape.input_side == GRAY_96.side else COLOUR_224
    epochs = [
        augment(stored, torch.from_numpy(chosen), epoch, settings) for epoch in range(versions)
    ]
    changed = (torch.stack(epochs).permute(1, 0, 3, 4, 2) * 255).round().byte().numpy()
    if not prepared.shape.colour:
        changed = changed[..., 0]
    side = min(settings.side, LARGEST_SIDE)
    rows = [[prepared.frames[row], *faces] for row, faces in zip(chosen, changed, strict=True)]
    sources = prepared.index.iloc[chosen]
    captions = [
        f"{row.subject} {row.sequence} {row.frame}, as stored and in epochs 0 .. {versions - 1}"
        for row in sources.itertuples()
    ]
    return contact_sheet(rows, captions, side)


def save_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture uint8 [height, width, 3], RGB, in the form that its name ends in.

    Raises:
        InputError: the name ends neither in .png nor in .jpg.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{path}: expected a name that ends in .png or .jpg")
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_atomically(path, lambda file: file.write(data.tobytes()))


def _strongest(
    frames: NDArray[np.uint8],
    of_subject: NDArray[np.int64],
    present: NDArray[np.bool_],
    intensity: NDArray[np.int8],
) -> NDArray[np.uint8] | None:
    """The subject's frame with the highest intensity of an action unit, of those that have it."""
    candidates = of_subject[present[of_subject]]
    if not len(candidates):
        return None
    return frames[candidates[intensity[candidates].argmax()]]


def _scaled(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if picture.shape[0] != side:
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
