"""A trained network as one file, for others to use: faces in, scores out."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.augmentation import centre_crop
from fastcaps.training.errors import InputError
from fastcaps.training.face_arrays import as_stored, check_faces
from fastcaps.training.faces.detectors import Device, choose_device
from fastcaps.training.folders import write_atomically
from fastcaps.training.networks import NETWORKS, make_network
from fastcaps.training.networks.network import CapsuleNetwork, Network, NetworkOptions
from fastcaps.training.prepared import Shape

__all__ = ["Predictor", "save_model"]

FORMAT = "fastcaps action unit model"
VERSION = 1
DECODER = "decoder."

SMALLEST_HALVED = 1024
"""Tensors of fewer numbers keep their precision: they take no space."""

LARGEST_HALF = 65504.0


def save_model(
    path: Path,
    network: Network,
    name: str,
    classes: Sequence[str],
    shape: Shape,
    *,
    half: bool = True,
    decoder: bool = False,
) -> None:
    """Write a network to a file that :meth:`Predictor.load` reads, whole or not at all.

    Args:
        path: of the file.
        network: the trained network; stays as it is.
        name: of the network in :data:`fastcaps.training.networks.NETWORKS`.
        classes: names of its classes, as "AU12".
        shape: of the stored frames that it was trained with.
        half: whether large tensors are stored in half precision: half the size, and scores that
            differ by about a thousandth.
        decoder: whether to keep a capsule network's decoder, which scores do not need.

    Raises:
        InputError: name, classes or shape are not the network's.
        OSError: the disk is full or cannot be written.
    """
    _check_fits(network.options, classes, shape)
    if NETWORKS.get(name) is not type(network):
        raise InputError(f"name: expected that of a {type(network).__name__}, got {name}")
    state = {
        key: _stored(tensor, half)
        for key, tensor in network.state_dict().items()
        if decoder or not key.startswith(DECODER)
    }
    content = {
        "format": FORMAT,
        "version": VERSION,
        "network": name,
        # What runs fastest is another one on another machine.
        "options": asdict(replace(network.options, backend=None)),
        "classes": list(classes),
        "input_side": shape.input_side,
        "colour": shape.colour,
        "state_dict": state,
    }
    write_atomically(path, lambda file: torch.save(content, file))


class Predictor:
    """A trained network that scores faces of any size.

    Args:
        network: is moved to the device and put into evaluation.
        classes: names of its classes.
        shape: of the stored frames that it was trained with.
        device: "auto" for a GPU where there is one.

    Attributes:
        network: the network.
        classes: names of its classes.
        shape: of the stored frames that it was trained with.

    Raises:
        InputError: classes or shape are not the network's, or there is no such device.
    """

    def __init__(
        self, network: Network, classes: Sequence[str], shape: Shape, device: Device = "auto"
    ) -> None:
        _check_fits(network.options, classes, shape)
        self.device = torch.device(choose_device(device))
        self.network = network.to(self.device).eval()
        self.classes = tuple(classes)
        self.shape = shape

    @classmethod
    def load(cls, path: Path, device: Device = "auto") -> Predictor:
        """Read what :func:`save_model` wrote, running no code from it.

        Raises:
            InputError: there is no such file, it is damaged, or it holds something else; or there
                is no such device.
        """
        content = _read(path)
        try:
            classes, shape = content["classes"], Shape(content["input_side"], content["colour"])
            options = NetworkOptions(**content["options"])
            _check_fits(options, classes, shape)
            network = _restored(content["network"], options, content["state_dict"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"model: {path} does not hold a whole model: {error}") from error
        return cls(network, classes, shape, device)

    def predict(self, faces: NDArray[np.uint8], batch_size: int = 256) -> NDArray[np.float32]:
        """How sure the network is of each class in each face.

        A face is stretched to fill the network's whole input, so it must be cropped as those are
        that the network was trained with.

        Args:
            faces: uint8 [N, h, w], or RGB [N, h, w, 3], of any size.
            batch_size: faces at once; the result does not depend on it but for rounding.

        Returns:
            float32 [N, C], 0 .. 1. An action unit is present above 0.5; of emotions, whose scores
            add up to 1, the largest is meant.

        Raises:
            InputError: faces of another type or shape, or a batch size below 1.
        """
        check_faces(faces)
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}")
        scores = np.empty((len(faces), len(self.classes)), dtype=np.float32)
        for start in range(0, len(faces), batch_size):
            batch = slice(start, start + batch_size)
            scores[batch] = self._scores(faces[batch])
        return scores

    @torch.inference_mode()
    def _scores(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        stored = torch.from_numpy(as_stored(faces, self.shape)).to(self.device)
        images = centre_crop(stored, self.shape.input_side)
        scores: NDArray[np.float32] = self.network.scores(self.network(images)).cpu().numpy()
        return scores


def _check_fits(options: NetworkOptions, classes: Sequence[str], shape: Shape) -> None:
    if len(classes) != options.classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f"classes: expected {options.classes} names, got {list(classes)}")
    channels = 3 if shape.colour else 1
    if (options.side, options.channels) != (shape.input_side, channels):
        raise InputError(
            f"shape: expected {options.side} pixels and {options.channels} channels, as the "
            f"network's input, got {shape.input_side} and {channels}"
        )


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if not half or not tensor.is_floating_point() or tensor.numel() < SMALLEST_HALVED:
        return tensor
    return tensor.half() if tensor.abs().max() <= LARGEST_HALF else tensor


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"model: there is no file {path}")
    try:
        # torch does not look at the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise InputError(f"its part {damaged} has changed since it was written")
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged archives raise many types, UnpicklingError and zlib.error among them.
    except Exception as error:
        raise InputError(f"model: {path} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"model: expected a model of this program, got another file, {path}")
    if content.get("version") != VERSION:
        raise InputError(
            f"model: {path}: expected version {VERSION}, got {content.get('version')}; "
            "use the fastcaps that wrote it"
        )
    return content


def _restored(name: str, options: NetworkOptions, state: dict[str, Tensor]) -> Network:
    """The network with these tensors, in single precision; without a decoder if they have none."""
    # Nothing is drawn at random, and sizes are compared before memory is taken.
    with torch.device("meta"):
        network = make_network(name, options)
    if isinstance(network, CapsuleNetwork) and not any(key.startswith(DECODER) for key in state):
        del network.decoder
    whole = {
        key: tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
    }
    network.load_state_dict(whole, assign=True)
    return network
