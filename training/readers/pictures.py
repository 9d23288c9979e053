"""Opens the pictures of a sequence one after the other, image files and videos alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.readers.sequences import Sequence, Video

__all__ = ["Opened", "open_image", "open_pictures"]

Opened: TypeAlias = NDArray[np.uint8] | InputError
"""A picture uint8 [height, width] or, in colours, [height, width, 3], RGB; or why there is none."""


def open_pictures(sequence: Sequence, colour: bool) -> Iterator[Opened]:
    """The pictures of a sequence in its order; memory does not grow with its length.

    Args:
        sequence: what to open.
        colour: RGB, else gray.

    Yields:
        For each frame its picture, or the InputError that says why there is none.
    """
    if isinstance(sequence.source, Video):
        yield from _open_video(sequence.source, colour)
        return
    for path in sequence.source.paths:
        try:
            yield open_image(path, colour)
        except InputError as error:
            yield error


def open_image(path: Path, colour: bool) -> NDArray[np.uint8]:
    """A picture file, uint8 [height, width] or [height, width, 3], RGB.

    Args:
        path: of the file.
        colour: RGB, else gray.

    Raises:
        InputError: the file cannot be read, is no image or is cut off.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not data:
        raise InputError(f"{path}: expected an image, got an empty file; copy it again")
    if _is_cut_off(data):
        raise InputError(f"{path}: the image is cut off; copy it again")
    mode = cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode)
    if image is None:
        raise InputError(f"{path}: cannot be decoded as an image")
    return image.astype(np.uint8, copy=False)


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG file lacks its end: OpenCV then invents the rest."""
    if data.startswith(b"\xff\xd8"):
        # A thumbnail has an end of its own, but before the last scan.
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]


def _open_video(video: Video, colour: bool) -> Iterator[Opened]:
    """The wanted frames of a video; what its end or damage takes away comes as errors."""
    form = "rgb24" if colour else "gray"
    wanted = iter(video.places.tolist())
    given = 0
    reason = "ends before this frame"
    try:
        with av.open(str(video.path)) as container:
            if not container.streams.video:
                raise InputError("holds no video")
            place = next(wanted, None)
            for number, frame in enumerate(container.decode(video=0)):
                if place is None:
                    break
                if number == place:
                    yield frame.to_ndarray(format=form)
                    given += 1
                    place = next(wanted, None)
    except (av.FFmpegError, OSError, InputError) as error:
        reason = f"cannot be decoded from here on: {error}"
    for _ in range(len(video.places) - given):
        yield InputError(f"{video.path}: {reason}")
