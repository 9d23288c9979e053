"""Writes the small files that tests of readers read."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.readers.sequences import ImageFiles, Sequence, Video, unknown_labels

__all__ = ["gray_image", "sequence_of", "write_image", "write_text", "write_video"]


def sequence_of(source: ImageFiles | Video, frames: int) -> Sequence:
    """A sequence of which only the pictures are known."""
    return Sequence(
        subject="s",
        name="n",
        action_units=(1,),
        frames=np.arange(frames),
        labels=unknown_labels(frames, (1,)),
        intensities=unknown_labels(frames, (1,)),
        emotions=np.full(frames, -1, dtype=np.int8),
        source=source,
    )


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a text file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def gray_image(brightness: int, side: int = 64) -> NDArray[np.uint8]:
    """A picture of one shade, uint8 [side, side]: lossy files give it back to within 2."""
    return np.full((side, side), brightness, dtype=np.uint8)


def write_image(path: Path, brightness: int, side: int = 64) -> Path:
    """Write a picture of one shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), gray_image(brightness, side))
    return path


def write_video(path: Path, brightness: Iterable[int], side: int = 64) -> Path:
    """Write a video whose frames have these shades."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20, options={"qscale": "2"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 20)
        for shade in brightness:
            frame = av.VideoFrame.from_ndarray(gray_image(shade, side), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
