"""BP4D's layout (Zhang et al., 2014): CSV files of codes, a folder of JPEG files per task.

``AUCoding/AU_OCC/F001_T1.csv``         action units in the first row after a 0, frame numbers in
                                        the first column; 0, 1, or 9 for what was not coded
``AUCoding/AU_INT/AU06/F001_T1_AU06.csv``   frame, intensity 0 .. 5
``F001/T1/2440.jpg``                    with another number of zeros in each sequence
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, column
from fastcaps.training.readers.labels import NOT_CODED
from fastcaps.training.synthetic.layouts.layout import write_image, write_text
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.performances import TASKS, occurrences
from fastcaps.training.synthetic.recordings import Recording, split_into_tasks

__all__ = ["CODED", "INTENSITIES_OF", "Bp4dLayout"]

CODED = (1, 2, 4, 5, 6, 7, *range(9, 21), 22, 23, 24, *range(27, 40))
"""The columns of the occurrence tables."""

INTENSITIES_OF = (6, 10, 12, 14, 17)

WOMEN, MEN = 23, 18
DIGITS = (0, 3, 4)
"""To how many digits frame numbers are filled with zeros, by turns."""

LARGEST_FIRST_FRAME = 2500


class Bp4dLayout:
    """Eight tasks of each subject; frames are split between them."""

    least_frames = 1

    def recordings(self, person: int, frames: int, random: np.random.Generator) -> list[Recording]:
        """See :meth:`Layout.recordings`."""
        shares = split_into_tasks(frames)
        # Small and large numbers alike.
        firsts = np.exp(random.uniform(0.0, np.log(LARGEST_FIRST_FRAME), len(TASKS))).astype(int)
        return [
            Recording(_name(person), task, person, number, task, share, int(first))
            for number, (task, share, first) in enumerate(zip(TASKS, shares, firsts, strict=True))
            if share
        ]

    def write(
        self,
        root: Path,
        recording: Recording,
        intensities: NDArray[np.int8],
        pictures: Iterator[Picture],
    ) -> None:
        """See :meth:`Layout.write`."""
        numbers = range(recording.first, recording.first + recording.frames)
        codes = np.full((len(numbers), len(CODED)), NOT_CODED, dtype=np.int8)
        for place, unit in enumerate(ACTION_UNITS):
            if unit in CODED:
                codes[:, CODED.index(unit)] = occurrences(intensities[:, place])
            if unit in INTENSITIES_OF:
                coded = zip(numbers, intensities[:, place], strict=True)
                lines = [f"{number},{intensity}" for number, intensity in coded]
                name = f"{recording.name}_{column(unit)}.csv"
                write_text(root / "AUCoding" / "AU_INT" / column(unit) / name, lines)
        rows = [(0, *CODED), *((number, *row) for number, row in zip(numbers, codes, strict=True))]
        lines = [",".join(map(str, row)) for row in rows]
        write_text(root / "AUCoding" / "AU_OCC" / f"{recording.name}.csv", lines)
        digits = DIGITS[(recording.person + recording.number) % len(DIGITS)]
        folder = root / recording.subject / recording.sequence
        folder.mkdir(parents=True)
        for number, picture in zip(numbers, pictures, strict=True):
            write_image(folder / f"{number:0{digits}d}.jpg", picture.image)


def _name(person: int) -> str:
    """Women and men by turns, the real subjects' names first."""
    real = WOMEN + MEN
    if 2 * MEN <= person < real:
        return f"F{person - MEN + 1:03d}"
    women, men, turn = (0, 0, person) if person < real else (WOMEN, MEN, person - real)
    return f"M{men + turn // 2 + 1:03d}" if turn % 2 else f"F{women + turn // 2 + 1:03d}"
