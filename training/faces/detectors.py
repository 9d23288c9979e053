"""What finds faces in pictures, and which of several faces is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import Landmarks

__all__ = [
    "Detector",
    "DetectorName",
    "Device",
    "Face",
    "choose_device",
    "choose_face",
    "make_detector",
]

DetectorName = Literal["dlib", "face-alignment"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Face:
    """A face: its box (left, top, right, bottom) and its landmarks float32 [68, 2], in pixels."""

    box: tuple[float, float, float, float]
    landmarks: Landmarks

    @property
    def centre(self) -> NDArray[np.float32]:
        """Of the box: x, y."""
        left, top, right, bottom = self.box
        return np.array([(left + right) / 2, (top + bottom) / 2], dtype=np.float32)

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class Detector(Protocol):
    """Finds the faces in pictures."""

    batch: int
    """How many pictures it likes to be given at once."""

    def find(self, images: list[NDArray[np.uint8]]) -> list[list[Face]]:
        """The faces of each picture, uint8 [height, width, 3], RGB; an empty list for none."""
        ...


def make_detector(
    name: DetectorName,
    *,
    device: Device = "auto",
    batch: int = 8,
    face_detector: str | None = None,
) -> Detector:
    """A detector by its name, ready to be used.

    Args:
        name: "dlib", which runs on the CPU, or "face-alignment".
        device: "auto" for a GPU where there is one and the detector can use it.
        batch: pictures or faces that face-alignment works on at once.
        face_detector: what finds the faces whose landmarks are then looked for: "hog" or "cnn" for
            dlib, "sfd" or "blazeface" for face-alignment; None for the first.

    Raises:
        InputError: an argument is not as above, or packages, weights or the GPU are missing.
    """
    if name not in get_args(DetectorName):
        raise InputError(f"detector: expected dlib or face-alignment, got {name}")
    if name == "face-alignment":
        from fastcaps.training.faces.face_alignment_detector import FaceAlignmentDetector

        return FaceAlignmentDetector(face_detector or "sfd", device=device, batch=batch)
    if device == "cuda":
        raise InputError("device: expected auto or cpu for dlib, which runs on the CPU; got cuda")
    from fastcaps.training.faces.dlib_detector import DlibDetector

    return DlibDetector(face_detector or "hog")


def choose_device(device: Device) -> str:
    """ "cuda" or "cpu"; "auto" is a GPU where there is one.

    Raises:
        InputError: there is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: expected auto or cpu, as torch finds no CUDA GPU; got cuda")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def choose_face(faces: list[Face], previous: Face | None) -> Face | None:
    """The face that is nearest to that of the previous frame, or else the largest.

    Only faces at least half as wide as the largest can be nearest, so that a small one behind,
    followed while the large one is not found, is left again.

    Args:
        faces: of one picture.
        previous: the face chosen in the frame before, if there is one.
    """
    largest = max(faces, key=lambda face: face.area, default=None)
    if largest is None or previous is None:
        return largest
    alike = [face for face in faces if face.area >= largest.area / 4]
    return min(alike, key=lambda face: np.hypot(*(face.centre - previous.centre)))
