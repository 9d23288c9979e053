"""Published weights for the convolutions of VGG-16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from fastcaps.training.errors import InputError
from fastcaps.training.networks.vgg import (
    IMAGENET_COLOURS,
    VGGFACE_COLOURS,
    Colours,
    VGGConvolutions,
)

__all__ = ["load_convolutions"]

Source = Literal["imagenet", "vggface"]

VGGFACE_URL = "https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth"

SHOWN_KEYS = 3


@dataclass(frozen=True)
class Layout:
    """How a file names its convolutions, and what it was made for.

    Attributes:
        pattern: a layer's name, of its ``block`` and its ``number`` in that, both from 1, or of its
            ``index`` among all layers of torchvision's ``features``.
        bgr: whether the first convolution takes blue, green and red, in this order.
    """

    pattern: str
    bgr: bool = False

    def key(self, block: int, number: int, kind: str) -> str:
        """The name of the "weight" or the "bias" of a convolution."""
        blocks_before = (0, 5, 10, 17, 24)
        index = blocks_before[block - 1] + 2 * (number - 1)
        return f"{self.pattern.format(block=block, number=number, index=index)}.{kind}"


TORCHVISION = Layout("features.{index}")

LAYOUTS: Mapping[Source, tuple[Layout, ...]] = {
    "imagenet": (TORCHVISION,),
    "vggface": (
        # vgg_face_dag.pth, which came from MatConvNet.
        Layout("conv{block}_{number}"),
        # These came from the Caffe model, mostly through its Torch 7 release.
        Layout("conv_{block}_{number}", bgr=True),
        Layout("features.conv_{block}_{number}", bgr=True),
        Layout("features.{index}", bgr=True),
    ),
}
"""MatConvNet's importer of Caffe models turns blue, green, red into red, green, blue; the others
leave the weights as they are."""

COLOURS: Mapping[Source, Colours] = {"imagenet": IMAGENET_COLOURS, "vggface": VGGFACE_COLOURS}


def load_convolutions(network: nn.Module, source: Source, path: Path | None = None) -> None:
    """Give a VGG network published convolutions, and the range of pixels they were trained for.

    Args:
        network: a ``VGG`` or ``VGGCapsNet``; left as it was if anything is wrong.
        source: "imagenet" for torchvision's VGG-16, "vggface" for VGG-Face.
        path: the file. Without one, ImageNet weights come from torchvision, which downloads them
            once. With or without fully connected layers, which are not used.

    Raises:
        InputError: the network has no such convolutions, or the weights cannot be had, read or
            understood, or are of other shapes.
    """
    features = getattr(network, "features", None)
    if not isinstance(features, VGGConvolutions):
        raise InputError(
            f"weights: {type(network).__name__} has no VGG-16 convolutions for {source} weights; "
            "use VGG or VGGCapsNet, or random weights"
        )
    if path is None:
        weights, origin = _download(source), f"weights: {source}"
    else:
        weights, origin = _read(path), f"initial: {path}"
    layout = _detect(LAYOUTS[source], weights, origin)
    tensors = {
        parameter: _checked(weights, layout.key(block, number, kind), parameter, origin)
        for block, number, convolution in features.convolutions()
        for kind, parameter in convolution.named_parameters()
    }
    with torch.no_grad():
        for parameter, tensor in tensors.items():
            parameter.copy_(tensor)
        if layout.bgr:
            first = next(features.convolutions())[2].weight
            first.copy_(first.flip(1))
    features.set_colours(COLOURS[source])


def _download(source: Source) -> Mapping[str, object]:
    if source == "vggface":
        raise InputError(
            f"initial: VGG-Face weights need a file, such as {VGGFACE_URL}; download it "
            "(mind its licence) and give its path"
        )
    weights = VGG16_Weights.IMAGENET1K_V1
    try:
        downloaded: Mapping[str, object] = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    # A missing network and a damaged file raise many types.
    except Exception as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(
            f"weights: {weights.url} cannot be had ({_first_line(error)}); download it elsewhere "
            f"and give its path, or put it into {cache}"
        ) from error
    return downloaded


def _read(path: Path) -> Mapping[str, object]:
    """What a file of weights holds, running no code from it."""
    if not path.is_file():
        raise InputError(f"initial: there is no file {path}")
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises many types on a damaged file, RuntimeError and UnpicklingError among them.
    except Exception as error:
        raise InputError(
            f"initial: {path} cannot be read, perhaps it is cut off or holds more than tensors: "
            f"{_first_line(error)}"
        ) from error
    if isinstance(contents, dict) and isinstance(contents.get("state_dict"), dict):
        contents = contents["state_dict"]
    if not isinstance(contents, dict) or not all(isinstance(key, str) for key in contents):
        raise InputError(
            f"initial: {path}: expected a dictionary from names to tensors, "
            f"got {type(contents).__name__}"
        )
    return contents


def _detect(layouts: tuple[Layout, ...], weights: Mapping[str, object], origin: str) -> Layout:
    """The layout that has the first convolution's name."""
    expected = [layout.key(1, 1, "weight") for layout in layouts]
    for layout, key in zip(layouts, expected, strict=True):
        if key in weights:
            return layout
    raise InputError(
        f"{origin} is of no known layout: expected one of the names "
        f"{', '.join(expected)}, its first are {', '.join(list(weights)[:SHOWN_KEYS]) or 'none'}"
    )


def _checked(weights: Mapping[str, object], key: str, parameter: Tensor, origin: str) -> Tensor:
    tensor = weights.get(key)
    expected = f"expected finite floats {list(parameter.shape)}"
    if not isinstance(tensor, Tensor):
        raise InputError(f"{origin} has no tensor {key}, {expected}")
    if tensor.shape != parameter.shape or not tensor.is_floating_point():
        raise InputError(f"{origin}: {key}: {expected}, got {tensor.dtype} {list(tensor.shape)}")
    if not tensor.isfinite().all():
        raise InputError(f"{origin}: {key}: {expected}, some are not finite")
    return tensor


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
