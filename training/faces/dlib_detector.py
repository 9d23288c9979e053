"""Faces and landmarks by dlib, which runs on the CPU and brings its weights as packages of pip.

The landmarks are those of Kazemi and Sullivan (2014), trained on 300-W.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Face

__all__ = ["DlibDetector"]

LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"
CNN_FILE = "mmod_human_face_detector.dat"

FIRST_SIDE = 640
LAST_SIDES = {"hog": 2560, "cnn": 1280}
LARGEST_SCALE = 2.0
"""A picture is searched with its longer side at ``FIRST_SIDE`` pixels, and again, if no face shows
there, at ``LAST_SIDES``, but never enlarged by more than ``LARGEST_SCALE``. dlib's smallest face is
80 pixels wide, so HOG finds faces of 40 pixels in pictures of up to 1024."""

MARGIN = 1 / 8
"""Of the longer side, added all around for the second search: faces that fill the picture lack the
surroundings by which dlib knows them."""


class DlibDetector:
    """Finds faces with dlib's HOG or CNN detector and landmarks with its shape predictor.

    Beside a face that shows in the reduced picture, one smaller than an eighth of the picture may
    remain unfound.

    Args:
        face_detector: "hog" for frontal faces; "cnn" for others, too, some fifty times slower.

    Raises:
        InputError: no such face detector, or dlib or its weights are not installed.
    """

    batch = 1

    def __init__(self, face_detector: str = "hog") -> None:
        if face_detector not in LAST_SIDES:
            raise InputError(f"face_detector: expected hog or cnn for dlib, got {face_detector}")
        self._dlib, weights = _packages()
        self._predict = self._dlib.shape_predictor(str(weights / LANDMARKS_FILE))
        self._last_side = LAST_SIDES[face_detector]
        if face_detector == "hog":
            self._detect = self._dlib.get_frontal_face_detector()
        else:
            self._detect = self._dlib.cnn_face_detection_model_v1(str(weights / CNN_FILE))

    def find(self, images: list[NDArray[np.uint8]]) -> list[list[Face]]:
        """The faces of each picture, uint8 [height, width, 3], RGB; an empty list for none."""
        return [self._find(image) for image in images]

    def _find(self, image: NDArray[np.uint8]) -> list[Face]:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
        boxes = self._boxes(gray, FIRST_SIDE)
        if len(boxes) == 0:
            boxes = self._boxes_with_margin(gray)
        return [
            Face((left, top, right, bottom), self._landmarks(gray, (left, top, right, bottom)))
            for left, top, right, bottom in boxes.tolist()
        ]

    def _boxes_with_margin(self, gray: NDArray[np.uint8]) -> NDArray[np.float64]:
        margin = round(MARGIN * max(gray.shape))
        wider = cv2.copyMakeBorder(gray, *4 * (margin,), cv2.BORDER_REPLICATE)
        return self._boxes(wider.astype(np.uint8, copy=False), self._last_side) - margin

    def _boxes(self, gray: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
        """What is found with the longer side at ``side`` pixels.

        Returns:
            float64 [N, 4], left, top, right and bottom in pixels of ``gray``.
        """
        scale = min(LARGEST_SCALE, side / max(gray.shape))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        found = self._detect(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=method))
        rectangles = [getattr(one, "rect", one) for one in found]
        boxes = np.array([[r.left(), r.top(), r.right(), r.bottom()] for r in rectangles])
        # Pictures are scaled about their edge, half a pixel before the first centre.
        return (boxes.reshape(-1, 4) + 0.5) / scale - 0.5

    def _landmarks(self, gray: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.float32]:
        parts = self._predict(gray, self._dlib.rectangle(*(round(side) for side in box))).parts()
        return np.array([(part.x, part.y) for part in parts], dtype=np.float32)


def _packages() -> tuple[Any, Path]:
    """The module dlib and the folder with its weights."""
    # That package's own functions need pkg_resources, which is no longer part of setuptools.
    spec = find_spec("face_recognition_models")
    try:
        dlib = import_module("dlib")
    except ImportError as error:
        raise InputError(f"detector: dlib needs pip install 'fastcaps[dlib]' ({error})") from error
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "detector: dlib needs pip install 'fastcaps[dlib]' "
            "(No module named 'face_recognition_models')"
        )
    weights = Path(spec.submodule_search_locations[0]) / "models"
    missing = [name for name in (LANDMARKS_FILE, CNN_FILE) if not (weights / name).is_file()]
    if missing:
        raise InputError(
            f"detector: {weights} has no {' and '.join(missing)}; "
            "install it anew: pip install --force-reinstall face_recognition_models"
        )
    return dlib, weights
