"""DISFA's layout (Mavadati et al., 2013): text files of intensities, videos of two cameras.

``ActionUnit_Labels/SN001/SN001_au1.txt``       lines "frame,intensity", frames from 1
``Videos_LeftCamera/LeftVideoSN001_comp.avi``   20 frames a second, up to ten more than labels
``Video_RightCamera/RightVideoSN001_comp.avi``
``Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat``   frames from 0, of the left camera:
                                                ``pts`` [66, 2], without landmarks 60 and 64
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import scipy.io
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS
from fastcaps.training.faces.landmarks import POINTS_OF_66, Landmarks
from fastcaps.training.synthetic.layouts.layout import write_text
from fastcaps.training.synthetic.people import Picture
from fastcaps.training.synthetic.performances import TASKS
from fastcaps.training.synthetic.recordings import Recording

__all__ = ["CODED", "MOST_EXTRA_FRAMES", "DisfaLayout"]

CODED = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
MOST_EXTRA_FRAMES = 10
FRAMES_PER_SECOND = 20
QUANTISER = 1
"""1 .. 31, from the best quality on."""

SUBJECTS = (*range(1, 14), 16, 17, 18, 21, *range(23, 33))
VIDEOS = {"left": "Videos_LeftCamera/LeftVideo", "right": "Video_RightCamera/RightVideo"}
"""The start of the paths by camera; the folders' names do differ so."""

BETWEEN_CAMERAS = 8.0
"""Degrees."""

MATLAB_TEXT = 116
"""Bytes at the start of a MATLAB file that are free text."""


class DisfaLayout:
    """One performance of each subject, seen by two cameras; both have all the subject's frames."""

    least_frames = 1

    def recordings(self, person: int, frames: int, random: np.random.Generator) -> list[Recording]:
        """See :meth:`Layout.recordings`."""
        extra = int(random.integers(MOST_EXTRA_FRAMES + 1))
        return [
            Recording(
                subject=_name(person),
                sequence=camera,
                person=person,
                number=0,
                performance=TASKS[person % len(TASKS)],
                frames=frames,
                extra=extra,
                turn=turn,
            )
            for camera, turn in zip(VIDEOS, (0.0, BETWEEN_CAMERAS), strict=True)
        ]

    def write(
        self,
        root: Path,
        recording: Recording,
        intensities: NDArray[np.int8],
        pictures: Iterator[Picture],
    ) -> None:
        """See :meth:`Layout.write`."""
        subject = recording.subject
        if recording.sequence == "left":
            _write_labels(root, subject, intensities[: recording.frames])
            pictures = _keep_landmarks(root, recording, pictures)
        path = root / f"{VIDEOS[recording.sequence]}{subject}_comp.avi"
        path.parent.mkdir(parents=True)
        _write_video(path, pictures)


def _name(person: int) -> str:
    """The real subjects' names first."""
    past = person - len(SUBJECTS)
    return f"SN{SUBJECTS[person] if past < 0 else SUBJECTS[-1] + 1 + past:03d}"


def _write_labels(root: Path, subject: str, intensities: NDArray[np.int8]) -> None:
    for place, unit in enumerate(ACTION_UNITS):
        if unit in CODED:
            lines = [f"{frame},{code}" for frame, code in enumerate(intensities[:, place], 1)]
            write_text(root / "ActionUnit_Labels" / subject / f"{subject}_au{unit}.txt", lines)


def _keep_landmarks(
    root: Path, recording: Recording, pictures: Iterator[Picture]
) -> Iterator[Picture]:
    """Pass pictures on and write the landmarks of those with labels."""
    folder = root / "Landmark_Points" / recording.subject / "tmp_frame_lm"
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        if number < recording.frames:
            path = folder / f"{recording.subject}_{number:04d}_lm.mat"
            path.write_bytes(_matlab_file(picture.landmarks[POINTS_OF_66]))
        yield picture


def _matlab_file(points: Landmarks) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"pts": points.astype(np.float64)})
    # The text that SciPy puts there has the time in it.
    return b"MATLAB 5.0 MAT-file".ljust(MATLAB_TEXT) + file.getvalue()[MATLAB_TEXT:]


def _write_video(path: Path, pictures: Iterator[Picture]) -> None:
    with open(path, "wb") as file, av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
        # Several threads would write other bytes than one.
        stream.codec_context.thread_count = 1
        stream.codec_context.qmin = stream.codec_context.qmax = QUANTISER
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.image, "rgb24")))
        container.mux(stream.encode())
