"""Images changed until a unit is more active: activation maximisation by gradient ascent.

Rashid and Lee, section 4.4, figures 4 to 6, after Olah et al. (2017): without a blur and small
random shifts between the steps, ascent ends in noise of high frequency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_type_hints

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.functional import gaussian_blur

from fastcaps.losses import capsule_lengths
from fastcaps.training.analysis.places import Place
from fastcaps.training.analysis.units import UnitMap
from fastcaps.training.errors import InputError
from fastcaps.training.presets import parse_changes
from fastcaps.training.presets.yaml_files import parse_yaml
from fastcaps.training.typed_values import check_known, converted

__all__ = ["Ascent", "AscentSettings", "ascend", "parse_ascent"]

LARGEST_STEPS = 100_000


@dataclass(frozen=True)
class AscentSettings:
    """How images are changed.

    Attributes:
        steps: of gradient ascent.
        rate: root of the mean squared change of a pixel that the unit sees, in each step;
            pixels are 0 .. 1.
        jitter: largest shift along either axis before each step, in pixels; taken back after it.
        blur_every: steps between two blurs; 0 for none.
        blur: standard deviation of the first and of the last blur, in pixels; those between lie on
            a line.
        seed: of the shifts.

    Raises:
        InputError: a value is out of range.
    """

    steps: int = 96
    rate: float = 0.02
    jitter: int = 2
    blur_every: int = 4
    blur: tuple[float, float] = (1.0, 0.4)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("steps", self.steps, 1),
            ("jitter", self.jitter, 0),
            ("blur_every", self.blur_every, 0),
            ("seed", self.seed, 0),
        ):
            if not least <= value <= LARGEST_STEPS:
                raise InputError(f"{name}: expected {least} .. {LARGEST_STEPS}, got {value}")
        for name, number in (("rate", self.rate), *(("blur", sigma) for sigma in self.blur)):
            if not (math.isfinite(number) and number > 0):
                raise InputError(f"{name}: expected a positive number, got {number}")


def parse_ascent(texts: Iterable[str], seed: int = 0) -> AscentSettings:
    """The settings in texts like ``steps=200``; what they lack is as usual.

    Raises:
        InputError: a text is something else, comes twice, or a value is out of range.
    """
    kinds = get_type_hints(AscentSettings)
    found = parse_changes(texts, "ascent")
    check_known(found, kinds, "ascent.")
    values = {
        name: converted(name, parse_yaml(name, text), kinds[name]) for name, text in found.items()
    }
    return AscentSettings(**{"seed": seed, **values})


@dataclass(frozen=True)
class Ascent:
    """What became of B images.

    Attributes:
        images: in 0 .. 1, [B, C, side, side].
        before, after: what the unit gives, [B, D].
        activations: length of that before each step, of images shifted as the step shifts them,
            and after the last, [B, steps + 1].
    """

    images: Tensor
    before: Tensor
    after: Tensor
    activations: Tensor


def ascend(
    units: UnitMap,
    images: Tensor,
    unit: int,
    place: Place,
    settings: AscentSettings | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Ascent:
    """Change images so that a unit becomes more active at one place.

    Images do not influence each other. Where a unit is off, its gradient is 0 and the image stays
    as it is. What is blurred is the change of the image.

    Args:
        units: of a network in evaluation.
        images: [B, C, side, side] in 0 .. 1.
        unit, place: whose activation is increased.
        settings: how; None for the usual ones.
        progress: is told after each step how many are done, and how many there are.

    Raises:
        InputError: there is no such unit or place, or an activation or its gradient is not
            finite.
    """
    settings = settings or AscentSettings()
    units.check(unit, place)
    random = torch.Generator().manual_seed(settings.seed)
    changed, lengths = images.detach().clone(), []
    with torch.no_grad():
        before = units.at(images, unit, place)
    for step in range(settings.steps):
        shifts = torch.randint(-settings.jitter, settings.jitter + 1, (2,), generator=random)
        shift = (int(shifts[0]), int(shifts[1]))
        gradient, length = _gradient(units, _moved(changed, shift, "replicate"), unit, place)
        lengths.append(length)
        gradient = _moved(gradient, (-shift[0], -shift[1]), "constant")
        change = changed - images + settings.rate * _normalised(gradient)
        # The change only: the rest of the face stays as sharp as it was.
        changed = (images + _blurred(change, step, settings)).clamp(0, 1)
        if progress is not None:
            progress(step + 1, settings.steps)
    with torch.no_grad():
        after = units.at(changed, unit, place)
    lengths.append(capsule_lengths(after[:, None])[:, 0])
    return Ascent(changed, before, after, torch.stack(lengths, dim=1))


def _moved(images: Tensor, shift: tuple[int, int], edge: str) -> Tensor:
    """Images moved down and right; what comes in is as the edge is, or 0 for "constant"."""
    down, right = shift
    padding = (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0))
    padded = pad(images, padding, mode=edge)
    height, width = images.shape[2:]
    top, left = max(-down, 0), max(-right, 0)
    return padded[:, :, top : top + height, left : left + width]


def _gradient(units: UnitMap, images: Tensor, unit: int, place: Place) -> tuple[Tensor, Tensor]:
    images = images.detach().requires_grad_()
    length = capsule_lengths(units.at(images, unit, place)[:, None])[:, 0]
    (gradient,) = torch.autograd.grad(length.sum(), images)
    finite = torch.isfinite(gradient).flatten(1).all(1) & torch.isfinite(length)
    if not finite.all():
        wrong = (~finite).nonzero().flatten().tolist()
        raise InputError(
            f"images: expected finite activations and gradients of unit {unit} at {place}, "
            f"got others for images {wrong}"
        )
    return gradient, length.detach()


def _normalised(gradient: Tensor) -> Tensor:
    """With a mean square of 1 over what the unit sees, which is where it is not 0."""
    tiny = torch.finfo(gradient.dtype).tiny
    # The squares of small gradients would be 0.
    gradient = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(tiny)
    seen = (gradient != 0).sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
    size = (gradient.square().sum(dim=(1, 2, 3), keepdim=True) / seen).sqrt()
    return gradient / size.clamp_min(tiny)


def _blurred(images: Tensor, step: int, settings: AscentSettings) -> Tensor:
    if not settings.blur_every or (step + 1) % settings.blur_every:
        return images
    first, last = settings.blur
    sigma = first + (last - first) * step / max(settings.steps - 1, 1)
    # What lies outside the picture mirrors it, and no mirror is larger than that.
    kernel = 2 * min(math.ceil(3 * sigma), min(images.shape[2:]) - 1) + 1
    return gaussian_blur(images, [kernel, kernel], [sigma, sigma])
