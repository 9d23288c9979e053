"""CK+'s layout (Lucey et al., 2010): PNG files from the neutral face to an emotion's peak.

``cohn-kanade-images/S005/001/S005_001_00000001.png``   some colour, most gray
``Emotion/S005/001/S005_001_00000011_emotion.txt``      code of the emotion; not of all sequences
``FACS/S005/001/S005_001_00000011_facs.txt``            action units and intensities at the peak
``Landmarks/S005/001/S005_001_00000001_landmarks.txt``  68 lines of x and y
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS
from fastcaps.training.synthetic.layouts.layout import write_image, write_text
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.recordings import Recording

__all__ = ["CkPlusLayout", "has_emotion"]

SHORTEST, LONGEST = 8, 20
WITHOUT_EMOTION = 5
"""One of so many sequences has no emotion."""

IN_COLOUR = 4
"""One of so many subjects is shown in colour."""


class CkPlusLayout:
    """As many sequences of 8 to 20 frames as a subject's frames make."""

    least_frames = SHORTEST

    def recordings(self, person: int, frames: int, random: np.random.Generator) -> list[Recording]:
        """See :meth:`Layout.recordings`."""
        lengths = _lengths(frames, random)
        # Neutral is no emotion to rise to.
        first = int(random.integers(len(EMOTIONS) - 1))
        return [
            Recording(
                subject=f"S{person + 5:03d}",
                sequence=f"{number + 1:03d}",
                person=person,
                number=number,
                performance=EMOTIONS[1 + (first + number) % (len(EMOTIONS) - 1)],
                frames=length,
            )
            for number, length in enumerate(lengths)
        ]

    def write(
        self,
        root: Path,
        recording: Recording,
        intensities: NDArray[np.int8],
        pictures: Iterator[Picture],
    ) -> None:
        """See :meth:`Layout.write`."""
        below = Path(recording.subject, recording.sequence)
        peak = f"{recording.name}_{recording.frames:08d}"
        if has_emotion(recording):
            code = EMOTIONS.index(recording.performance)
            write_text(root / "Emotion" / below / f"{peak}_emotion.txt", [_numbers(code)])
        coded = zip(ACTION_UNITS, intensities[-1].tolist(), strict=True)
        facs = [_numbers(unit, intensity) for unit, intensity in coded if intensity]
        write_text(root / "FACS" / below / f"{peak}_facs.txt", facs)
        images = root / "cohn-kanade-images" / below
        images.mkdir(parents=True)
        for number, picture in enumerate(pictures, 1):
            image = picture.image
            if recording.person % IN_COLOUR:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            name = f"{recording.name}_{number:08d}"
            write_image(images / f"{name}.png", image)
            lines = [_numbers(x, y) for x, y in picture.landmarks]
            write_text(root / "Landmarks" / below / f"{name}_landmarks.txt", lines)


def has_emotion(recording: Recording) -> bool:
    """Whether the data set says which emotion a sequence shows."""
    return (recording.person + recording.number + 1) % WITHOUT_EMOTION != 0


def _lengths(frames: int, random: np.random.Generator) -> list[int]:
    """Lengths of sequences that have ``frames`` frames in all."""
    lengths = []
    while frames > LONGEST:
        lengths.append(int(random.integers(SHORTEST, min(LONGEST, frames - SHORTEST) + 1)))
        frames -= lengths[-1]
    return [*lengths, frames]


def _numbers(*numbers: float) -> str:
    return "".join(f"   {number:.7e}" for number in numbers)
