"""Faces and landmarks by the package face-alignment (Bulat and Tzimiropoulos, 2017)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Device, Face, choose_device
from fastcaps.training.faces.landmarks import Landmarks

__all__ = ["FaceAlignmentDetector"]

SEARCH_SIDE = 640
"""Faces are looked for in pictures of at most this many pixels; landmarks in the full picture."""

LANDMARK_NETWORK = "2DFAN-4"

FACE_DETECTORS: Mapping[str, Mapping[str, str]] = {
    "sfd": {"path_to_detector": "s3fd"},
    "blazeface": {"path_to_detector": "blazeface_weights", "path_to_anchor": "blazeface_anchors"},
}
"""The package's arguments for files, and the names by which it knows where to download them."""


class FaceAlignmentDetector:
    """Finds faces and landmarks with the networks of face-alignment.

    Their weights are downloaded on first use, into the folder where torch.hub keeps such files.

    Args:
        face_detector: "sfd" or "blazeface".
        device: "auto" for a GPU where there is one.
        batch: pictures, and then faces, that go through a network at once; at least 1.

    Raises:
        InputError: an argument is not as above, the package is not installed, or its weights are
            not in that folder and cannot be downloaded.
    """

    def __init__(
        self, face_detector: str = "sfd", *, device: Device = "auto", batch: int = 8
    ) -> None:
        if batch < 1:
            raise InputError(f"batch: expected at least 1, got {batch}")
        self.batch = batch
        self._device = choose_device(device)
        self._networks = _load(face_detector, self._device)

    def find(self, images: list[NDArray[np.uint8]]) -> list[list[Face]]:
        """The faces of each picture, uint8 [height, width, 3], RGB; an empty list for none."""
        faces: list[list[Face]] = [[] for _ in images]
        found = [(i, box) for i, boxes in enumerate(self._boxes(images)) for box in boxes]
        for start in range(0, len(found), self.batch):
            some = found[start : start + self.batch]
            landmarks = self._landmarks([images[i] for i, _ in some], [box for _, box in some])
            for (i, (left, top, right, bottom)), points in zip(some, landmarks, strict=True):
                faces[i].append(Face((left, top, right, bottom), points))
        return faces

    def _boxes(self, images: list[NDArray[np.uint8]]) -> list[list[list[float]]]:
        """For each picture the boxes of its faces, each left, top, right, bottom."""
        boxes: list[list[list[float]]] = [[] for _ in images]
        for batch in self._of_one_shape(images):
            scale = min(1.0, SEARCH_SIDE / max(images[batch[0]].shape))
            pictures = np.stack([_reduce(images[i], scale) for i in batch])
            tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self._device)
            found = self._networks.face_detector.detect_from_batch(tensor)
            for i, of_one in zip(batch, found, strict=True):
                boxes[i] = (np.array(of_one).reshape(-1, 5)[:, :4] / scale).tolist()
        return boxes

    def _of_one_shape(self, images: list[NDArray[np.uint8]]) -> Iterator[list[int]]:
        for shape in dict.fromkeys(image.shape for image in images):
            alike = [i for i, image in enumerate(images) if image.shape == shape]
            for start in range(0, len(alike), self.batch):
                yield alike[start : start + self.batch]

    @torch.inference_mode()
    def _landmarks(
        self, images: list[NDArray[np.uint8]], boxes: list[list[float]]
    ) -> list[Landmarks]:
        """The landmarks of the face in each box of its picture.

        The package's own get_landmarks_from_image() gives the same, a picture at a time.
        """
        utils, network = import_module("face_alignment.utils"), self._networks.face_alignment_net
        left, top, right, bottom = np.array(boxes).T
        centres = np.column_stack(
            [(left + right) / 2, (top + bottom) / 2 - (bottom - top) * utils.CENTER_Y_OFFSET]
        )
        scales = (right - left + bottom - top) / self._networks.face_detector.reference_scale
        places = list(zip(images, centres, scales, strict=True))
        crops = np.stack([utils.crop(image, centre, scale) for image, centre, scale in places])
        pictures = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        heatmaps = network(pictures)[-1]
        heatmaps += utils.flip(network(utils.flip(pictures))[-1], is_label=True)
        return [
            utils.get_preds_fromhm(heatmap[None], centre, scale)[1][0].astype(np.float32)
            for heatmap, (_, centre, scale) in zip(heatmaps.cpu().numpy(), places, strict=True)
        ]


def _reduce(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return image
    reduced = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return reduced.astype(np.uint8, copy=False)


def _load(face_detector: str, device: str) -> Any:
    """The package's FaceAlignment with its networks."""
    if face_detector not in FACE_DETECTORS:
        raise InputError(
            f"face_detector: expected {' or '.join(FACE_DETECTORS)} for face-alignment, "
            f"got {face_detector}"
        )
    try:
        api = import_module("face_alignment.api")
        module = import_module(f"face_alignment.detection.{face_detector}.{face_detector}_detector")
    except ImportError as error:
        raise InputError(
            f"detector: face-alignment needs pip install 'fastcaps[face-alignment]' ({error})"
        ) from error
    of_detector = {
        key: module.models_urls[name] for key, name in FACE_DETECTORS[face_detector].items()
    }
    files = _fetch([api.models_urls[LANDMARK_NETWORK], *of_detector.values()])
    try:
        return api.FaceAlignment(
            api.LandmarksType.TWO_D,
            device=device,
            face_detector=face_detector,
            # Given as files they are loaded as weights only, without running code from them.
            face_detector_kwargs=dict(zip(of_detector, files[1:], strict=True)),
            compile=False,
        )
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise InputError(
            f"detector: {' or '.join(files)} cannot be read as face-alignment's weights, perhaps "
            f"cut off ({type(error).__name__}); delete it, and it is downloaded anew"
        ) from error


def _fetch(urls: list[str]) -> list[str]:
    """The files from ``urls`` in torch.hub's folder, downloaded where they are not there yet."""
    fetch = import_module("face_alignment.utils").load_file_from_url
    try:
        return [fetch(url) for url in urls]
    except (OSError, HTTPException) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        names = [(Path(urlparse(url).path).name, url) for url in urls]
        missing = [f"{name} from {url}" for name, url in names if not (folder / name).is_file()]
        raise InputError(
            f"detector: face-alignment's weights cannot be downloaded ({error}); put into {folder} "
            f"the files {', '.join(missing)}; or use the detector dlib, which needs no download"
        ) from error
