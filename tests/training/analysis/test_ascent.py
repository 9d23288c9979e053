"""Activation maximisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastcaps.training.analysis.ascent import AscentSettings, ascend
from fastcaps.training.analysis.places import ReceptiveField
from fastcaps.training.analysis.units import UnitMap
from fastcaps.training.errors import InputError

SIDE = 16
HALF = slice(SIDE // 2, SIDE)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def brightness_below(images: Tensor) -> Tensor:
    """One unit at one place: mean and spread of the lower half; [B, 1, 1, 1, 2]."""
    below = images[:, :, HALF]
    values = torch.stack([below.mean((1, 2, 3)), below.std((1, 2, 3))], dim=1)
    return values[:, None, None, None]


def units_of(vectors: Any) -> UnitMap:
    return UnitMap("unit", 1, ReceptiveField(7.5, 1, SIDE, 1), vectors)


UNITS = units_of(brightness_below)
PLAIN = AscentSettings(steps=20, jitter=0, blur_every=0, rate=0.02)


def test_the_unit_becomes_more_active_and_the_rest_stays() -> None:
    images = pictures(3)
    found = ascend(UNITS, images, 0, (0, 0), PLAIN)
    assert (found.activations.diff(dim=1) > 0).all()
    assert found.activations.shape == (3, PLAIN.steps + 1)
    torch.testing.assert_close(found.activations[:, 0], found.before.norm(dim=1))
    torch.testing.assert_close(found.activations[:, -1], found.after.norm(dim=1))
    torch.testing.assert_close(found.after, UNITS.at(found.images, 0, (0, 0)))
    torch.testing.assert_close(found.images[:, :, : SIDE // 2], images[:, :, : SIDE // 2])
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_a_step_has_the_size_that_is_asked_for() -> None:
    images = 0.5 + 0.2 * pictures(2)
    settings = AscentSettings(steps=1, jitter=0, blur_every=0, rate=0.03)
    change = ascend(UNITS, images, 0, (0, 0), settings).images - images
    seen = change[:, :, HALF].square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(seen, torch.full((2,), 0.03))


def test_images_do_not_influence_each_other() -> None:
    images = pictures(4)
    together = ascend(UNITS, images, 0, (0, 0)).images
    alone = torch.cat([ascend(UNITS, image[None], 0, (0, 0)).images for image in images])
    torch.testing.assert_close(together, alone)


def test_the_same_seed_gives_the_same_images_and_leaves_torchs_numbers() -> None:
    images = pictures(2)
    state = torch.get_rng_state()
    first, again = (ascend(UNITS, images, 0, (0, 0)).images for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    other = ascend(UNITS, images, 0, (0, 0), AscentSettings(seed=1)).images
    assert not torch.equal(first, other)


def test_shifts_are_taken_back() -> None:
    """A unit that sees one pixel, which the shifts move about, changes its neighbours too."""

    def pixel(images: Tensor) -> Tensor:
        return images[:, :, 8, 8][:, None, None, None]

    start = torch.full((1, 1, SIDE, SIDE), 0.1)
    settings = AscentSettings(steps=200, jitter=1, blur_every=0, rate=0.01)
    change = ascend(units_of(pixel), start, 0, (0, 0), settings).images - start
    assert (change[0, 0, 7:10, 7:10] > 0).all()
    change[0, 0, 7:10, 7:10] = 0
    assert not change.any()


def test_what_lies_beyond_the_edge_is_not_the_other_edge() -> None:
    """A unit in the corner, moved about, changes nothing at the opposite edges."""

    def corner(images: Tensor) -> Tensor:
        return images[:, :, :3, :3].mean((1, 2, 3))[:, None, None, None, None]

    start = torch.full((1, 1, SIDE, SIDE), 0.1)
    settings = AscentSettings(steps=30, jitter=2, blur_every=0, rate=0.01)
    change = ascend(units_of(corner), start, 0, (0, 0), settings).images - start
    assert (change[0, 0, :2, :2] > 0).all()
    change[0, 0, :5, :5] = 0
    assert not change.any()


def test_small_gradients_make_steps_of_the_same_size() -> None:
    units = units_of(lambda images: 1 + 1e-25 * brightness_below(images))
    images = 0.5 + 0.2 * pictures(2)
    settings = AscentSettings(steps=1, jitter=0, blur_every=0, rate=0.03)
    change = ascend(units, images, 0, (0, 0), settings).images - images
    seen = change[:, :, HALF].square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(seen, torch.full((2,), 0.03))


def test_blur_takes_fine_patterns_from_the_change_and_leaves_the_picture() -> None:
    checks = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2

    def like_checks(images: Tensor) -> Tensor:
        return ((images * checks).mean((1, 2, 3)) + 1)[:, None, None, None, None]

    units, images = units_of(like_checks), 0.4 + 0.1 * checks[None, None]
    fine = AscentSettings(steps=8, jitter=0, blur_every=0)
    smooth = AscentSettings(steps=8, jitter=0, blur_every=1, blur=(1.5, 1.5))
    contrast = [
        float((ascend(units, images, 0, (0, 0), settings).images * (2 * checks - 1)).mean())
        for settings in (fine, smooth)
    ]
    own = float((images * (2 * checks - 1)).mean())
    assert own - 1e-6 < contrast[1] < own + (contrast[0] - own) / 4


def test_a_blur_may_be_wider_than_the_picture() -> None:
    images = 0.4 + 0.1 * pictures(2)
    wide = AscentSettings(steps=1, jitter=0, blur_every=1, blur=(3.0 * SIDE, 1e9))
    change = ascend(UNITS, images, 0, (0, 0), wide).images - images
    assert 0 < change.std() < 0.1 * change.mean().abs()


def test_a_unit_that_is_off_leaves_the_image() -> None:
    def off(images: Tensor) -> Tensor:
        return (images.mean((1, 2, 3)) - 2).relu()[:, None, None, None, None]

    images = pictures(2)
    found = ascend(units_of(off), images, 0, (0, 0))
    torch.testing.assert_close(found.images, images)
    assert not found.after.any()


def infinite_gradient(images: Tensor) -> Tensor:
    return (images[:, 0, 0, 0] - 0.5).sqrt() + 1


def no_activation(images: Tensor) -> Tensor:
    return (images[:, 0, 0, 0] - 0.6).sqrt()


@pytest.mark.parametrize("activation", [infinite_gradient, no_activation])
def test_what_is_not_finite_is_told(activation: Callable[[Tensor], Tensor]) -> None:
    units = units_of(lambda images: activation(images)[:, None, None, None, None])
    images = torch.full((3, 1, SIDE, SIDE), 0.9)
    images[1] = 0.5
    message = r"^images: .* of unit 0 at \(0, 0\), got others for images \[1\]$"
    with pytest.raises(InputError, match=message):
        ascend(units, images, 0, (0, 0), PLAIN)


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    ascend(UNITS, pictures(1), 0, (0, 0), PLAIN, lambda *told: seen.append(told))
    assert seen == [(done, PLAIN.steps) for done in range(1, PLAIN.steps + 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "^steps: expected 1 .. 100000, got 0$"),
        ({"jitter": -1}, "^jitter: expected 0 .. 100000, got -1$"),
        ({"blur_every": -2}, "^blur_every: expected 0 .. 100000, got -2$"),
        ({"rate": 0.0}, "^rate: expected a positive number, got 0.0$"),
        ({"rate": math.inf}, "^rate: expected a positive number, got inf$"),
        ({"blur": (1.0, 0.0)}, "^blur: expected a positive number, got 0.0$"),
    ],
)
def test_settings_out_of_range_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AscentSettings(**options)
