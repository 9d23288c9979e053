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
        For each frame its picture, or the InputError that says why there is none; then, perhaps,
        one more that says what is wrong with the whole.
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

    Damage within a JPEG file that leaves its structure whole is not seen.

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
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode)
    except cv2.error:
        image = None
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
    """The wanted frames of a video up to its end or its first damage, then errors in their place.

    Behind damage frames may be missing without a sign, so that the others would get wrong labels.
    """
    given, reason, lost = 0, "ends before this frame", 0
    try:
        with av.open(str(video.path)) as container:
            if not container.streams.video:
                raise InputError("holds no video")
            stream = container.streams.video[0]
            for frame in _wanted_frames(container.demux(stream), video.places):
                yield frame.to_ndarray(format="rgb24" if colour else "gray")
                given += 1
            # A header may not tell the number.
            lost = stream.frames - _count_packets(video.path) if stream.frames else 0
    except (av.FFmpegError, OSError, InputError) as error:
        reason = f"cannot be decoded from here on: {error}"
    for _ in range(len(video.places) - given):
        yield InputError(f"{video.path}: {reason}")
    if lost > 0 and given == len(video.places):
        yield InputError(
            f"{video.path}: lacks {lost} of its frames, so that others may have got their labels; "
            "copy it again"
        )


def _wanted_frames(
    packets: Iterator[av.Packet[av.VideoStream]], places: NDArray[np.int64]
) -> Iterator[av.VideoFrame]:
    """The frames at these places, ascending.

    Raises:
        InputError: a frame up to the last of them is damaged.
    """
    wanted = iter(places.tolist())
    place, number = next(wanted, None), 0
    for packet in packets:
        for frame in packet.decode():
            if place is None:
                return
            if frame.is_corrupt or packet.is_corrupt:
                raise InputError(f"frame {number + 1} is damaged; copy the video again")
            if number == place:
                yield frame
                place = next(wanted, None)
            number += 1


def _count_packets(path: Path) -> int:
    """How many frames a video has, without decoding them."""
    with av.open(str(path)) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
