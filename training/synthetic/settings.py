"""What decides the content of a made-up data set, and which recordings that makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fastcaps.training.errors import InputError
from fastcaps.training.prepared import Shape
from fastcaps.training.synthetic.layouts.bp4d import Bp4dLayout
from fastcaps.training.synthetic.layouts.ckplus import CkPlusLayout
from fastcaps.training.synthetic.layouts.disfa import DisfaLayout
from fastcaps.training.synthetic.layouts.layout import Layout
from fastcaps.training.synthetic.layouts.prepared import PreparedLayout
from fastcaps.training.synthetic.recordings import Recording, draws_of_plan

__all__ = ["LAYOUTS", "LayoutName", "Settings", "recordings_of"]

LayoutName = Literal["bp4d", "disfa", "ckplus", "prepared"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)

MOST_SUBJECTS = 900
"""Names of subjects have three digits."""

MOST_FRAMES = 10**6
MOST_SEEDS = 2**31
SMALLEST_SIDE, LARGEST_SIDE = 16, 2048
USUAL_SIDE = 192


@dataclass(frozen=True)
class Settings:
    """What decides the content of a made-up data set.

    Attributes:
        layout: one of ``LAYOUTS``.
        subjects: how many, 1 .. 900.
        frames_per_subject: how many frames with labels; in the layout of DISFA each of the two
            cameras has as many.
        side: of the pictures, in pixels; None for 192, or for what a prepared data set needs.
        seed: of everything random.
        rig: a file that ``load_rig`` reads; None for drawn faces.
        input_side: of networks that a prepared data set is for, 96 or 224.
        colour: whether a prepared data set is RGB; else gray.

    Raises:
        InputError: a value is out of range.
    """

    layout: LayoutName = "bp4d"
    subjects: int = 40
    frames_per_subject: int = 500
    side: int | None = None
    seed: int = 0
    rig: Path | None = None
    input_side: int = 96
    colour: bool = False

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise InputError(f"layout: expected one of {', '.join(LAYOUTS)}, got {self.layout}")
        if self.layout != "prepared" and (self.input_side, self.colour) != (96, False):
            raise InputError(
                f"input_side, colour: are of the layout prepared only, got layout {self.layout}"
            )
        least = self.writer.least_frames
        for name, value, smallest, largest in (
            ("subjects", self.subjects, 1, MOST_SUBJECTS),
            ("frames_per_subject", self.frames_per_subject, least, MOST_FRAMES),
            ("side", self.picture_side, SMALLEST_SIDE, LARGEST_SIDE),
            ("seed", self.seed, 0, MOST_SEEDS - 1),
        ):
            if not smallest <= value <= largest:
                raise InputError(f"{name}: expected {smallest} .. {largest}, got {value}")

    @property
    def writer(self) -> Layout:
        """What writes the layout."""
        if self.layout == "prepared":
            return PreparedLayout(Shape(self.input_side, self.colour))
        return {"bp4d": Bp4dLayout, "disfa": DisfaLayout, "ckplus": CkPlusLayout}[self.layout]()

    @property
    def picture_side(self) -> int:
        """Of the pictures; faces on them are a little larger than networks' inputs."""
        if self.side is not None:
            return self.side
        return 2 * self.input_side if self.layout == "prepared" else USUAL_SIDE


def recordings_of(settings: Settings) -> list[Recording]:
    """All recordings in their order; a larger number of subjects leaves the first as they are."""
    writer, frames, seed = settings.writer, settings.frames_per_subject, settings.seed
    return [
        recording
        for person in range(settings.subjects)
        for recording in writer.recordings(person, frames, draws_of_plan(seed, person))
    ]
