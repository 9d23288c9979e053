"""What the contestants are fed: random capsules, or primary capsules of real digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.shapes import Shape, Size
from fastcaps import reference

__all__ = ["BadDigitsError", "Inputs", "NoDigitsError", "make_inputs"]

SEED = 0
SHARED_MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist.npz"
WEIGHT_SCALE = 0.1
"""Standard deviation of the weights: keeps the routing logits away from both 0 and overflow."""


class NoDigitsError(RuntimeError):
    """There are no images of digits to be had."""


class BadDigitsError(ValueError):
    """The file that was to hold images of digits does not."""


@dataclass(frozen=True)
class Inputs:
    """u [B, I, K] and weight [I, K, J, D], the gradient of v [B, J, D], and where u is from."""

    u: Tensor
    weight: Tensor
    grad_v: Tensor
    source: str


def make_inputs(shape: Shape, dtype: torch.dtype, device: str, mnist: Path | None) -> Inputs:
    """The same inputs on every machine, for a shape.

    Raises:
        NoDigitsError: the shape asks for digits and there are none.
        BadDigitsError: ``mnist`` is not a file like mnist.npz.
    """
    size = shape.size
    generator = torch.Generator().manual_seed(SEED)
    if shape.digits:
        images, source = load_digits(size.batch, mnist)
        u = primary_capsules(images, size)
    else:
        source = "random capsules"
        u = reference.squash(torch.randn(size.batch, size.inputs, size.in_dim, generator=generator))
    weight = WEIGHT_SCALE * torch.randn(
        size.inputs, size.in_dim, size.outputs, size.out_dim, generator=generator
    )
    grad_v = torch.randn(size.batch, size.outputs, size.out_dim, generator=generator)
    u, weight, grad_v = (tensor.to(device, dtype) for tensor in (u, weight, grad_v))
    return Inputs(u, weight, grad_v, source)


def load_digits(count: int, mnist: Path | None) -> tuple[Tensor, str]:
    """``count`` images of digits [count, 1, 28, 28] in [0, 1], repeated if too few, and their name.

    They come from ``mnist``, else from the shared copy of MNIST beside this repository, else
    from the small digits that scikit-learn brings, enlarged.
    """
    path = mnist or (SHARED_MNIST if SHARED_MNIST.exists() else None)
    images, source = _enlarged_digits() if path is None else (_mnist(path), "MNIST digits")
    images = images[:count]
    repeats = -(-count // len(images))
    return images.repeat(repeats, 1, 1, 1)[:count], source


def primary_capsules(images: Tensor, size: Size) -> Tensor:
    """Primary capsules [B, 1152, 8] of images [B, 1, 28, 28], by an untrained network.

    The layers of Sabour et al. (2017), section 4, with PyTorch's default initialisation: 256
    9x9 filters with ReLU, then 32 maps of 6x6 capsules of 8 numbers by 9x9 filters, stride 2.
    """
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(SEED)
        first = torch.nn.Conv2d(1, 256, 9)
        second = torch.nn.Conv2d(256, 32 * size.in_dim, 9, stride=2)
        maps = second(functional.relu(first(images)))
    capsules = maps.unflatten(1, (32, size.in_dim)).movedim(2, -1).flatten(1, 3)
    return reference.squash(capsules)


def _mnist(path: Path) -> Tensor:
    try:
        with np.load(path) as arrays:
            images = arrays["test_images" if "test_images" in arrays else "x_test"]
    except (OSError, ValueError, KeyError) as error:
        raise BadDigitsError(f"{path}: expected a .npz file with test_images ({error})") from error
    return torch.from_numpy(images).unsqueeze(1).float() / 255


def _enlarged_digits() -> tuple[Tensor, str]:
    try:
        from sklearn.datasets import load_digits as load_small_digits
    except ImportError as error:
        raise NoDigitsError(
            "found neither mnist.npz nor scikit-learn, which brings a small set of digits"
        ) from error
    small = torch.from_numpy(load_small_digits().images).unsqueeze(1).float() / 16
    large = functional.interpolate(small, (28, 28), mode="bilinear", align_corners=False)
    return large, "scikit-learn digits"
