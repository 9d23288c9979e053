"""Augmentation: geometry and pixels against float64, exact cases, bad arguments."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from fastcaps.training.augmentation import (
    COLOUR_224,
    GRAY_96,
    OFF,
    AugmentationSettings,
    augment,
    centre_crop,
)
from fastcaps.training.errors import InputError
from tests.training.splitmix64 import expected_numbers

WIDE = AugmentationSettings(
    side=7,
    stored_side=13,
    rotation=180.0,
    scale=(0.4, 2.5),
    translation=1.0,
    power=(0.5, 3.0),
    gain=(0.5, 2.0),
    offset=0.3,
)
"""Every change larger than usual."""

NOTHING = replace(WIDE, **OFF)
PIXELS_OFF = {name: OFF[name] for name in ("power", "gain", "offset")}


def only(base: AugmentationSettings = WIDE, **changes: Any) -> AugmentationSettings:
    """All changes off but the given ones, or those of ``base`` where they are given as None."""
    kept = {k: getattr(base, k) if v is None else v for k, v in changes.items()}
    return replace(base, **{**OFF, **kept})


def pictures(
    count: int, side: int, colour: bool = False, smallest: int = 0, seed: int = 0
) -> Tensor:
    generator = np.random.default_rng(seed)
    shape = (count, side, side, 3) if colour else (count, side, side)
    return torch.from_numpy(generator.integers(smallest, 256, shape, dtype=np.uint8))


def expected_image(
    image: NDArray[np.uint8], index: int, epoch: int, given: AugmentationSettings
) -> NDArray[np.float64]:
    """One image [S, S] in float64: forward maps in the documented order, inverted together."""
    u = expected_numbers(given.seed, epoch, index, 10)
    middle = (given.stored_side - 1) / 2
    margin = given.stored_side - given.side

    def between(number: float, smallest: float, largest: float) -> float:
        return smallest + number * (largest - smallest)

    flip = -1.0 if u[0] < given.mirror else 1.0
    angle = np.deg2rad(between(u[1], -given.rotation, given.rotation))
    scale = between(u[2], *given.scale)
    largest = given.translation * abs(scale - 1) * given.side
    shift = [between(number, -largest, largest) for number in u[3:5]]
    corner = [int(number * (margin + 1)) if given.crop else margin // 2 for number in u[5:7]]

    def move(x: float, y: float) -> NDArray[np.float64]:
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)

    mirror = np.diag([flip, 1, 1])
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    grow = np.diag([scale, scale, 1])
    forward = move(-corner[0], -corner[1]) @ move(*shift) @ move(middle, middle)
    forward = forward @ grow @ turn @ mirror @ move(-middle, -middle)
    rows, columns = np.mgrid[: given.side, : given.side]
    places = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    x, y, _ = np.linalg.inv(forward) @ places
    sampled = bilinear(image / 255, np.clip(x, 0, len(image) - 1), np.clip(y, 0, len(image) - 1))
    if given.power_spacing == "linear":
        power = between(u[7], *given.power)
    else:
        power = np.exp(between(u[7], *np.log(given.power)))
    gain = between(u[8], *given.gain)
    offset = between(u[9], -given.offset, given.offset)
    changed = np.clip(sampled**power * gain + offset, 0, 1)
    return changed.reshape(given.side, given.side)


def bilinear(
    image: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, len(image) - 1), np.minimum(top + 1, len(image) - 1)
    above = image[top, left] * (left + 1 - x) + image[top, right] * (x - left)
    below = image[bottom, left] * (left + 1 - x) + image[bottom, right] * (x - left)
    return above * (top + 1 - y) + below * (y - top)


@pytest.mark.parametrize(("side", "stored_side"), [(7, 13), (8, 8), (5, 16), (1, 1), (20, 33)])
@pytest.mark.parametrize("colour", [False, True])
def test_it_is_what_float64_gives(
    side: int, stored_side: int, colour: bool, device: torch.device
) -> None:
    geometry = replace(WIDE, side=side, stored_side=stored_side, seed=3, **PIXELS_OFF)
    images = pictures(8, stored_side, colour)
    indices = torch.tensor([0, 1, 5, 77, 10**6, 2**40, 12, 13])
    actual = augment(images.to(device), indices.to(device), 4, geometry).cpu()
    assert actual.dtype == torch.float32
    assert actual.shape == (8, 3 if colour else 1, side, side)
    for image, index, result in zip(images, indices.tolist(), actual, strict=True):
        planes = image.movedim(-1, 0).numpy() if colour else image[None].numpy()
        expected = np.stack([expected_image(plane, index, 4, geometry) for plane in planes])
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("preset", [GRAY_96, COLOUR_224, replace(GRAY_96, power_spacing="linear")])
def test_the_presets_are_what_float64_gives(preset: AugmentationSettings) -> None:
    # The derivative of p^a has no bound at 0.
    images = pictures(3, preset.stored_side, smallest=20)
    actual = augment(images, torch.arange(3), 0, preset)
    for index, image in enumerate(images.numpy()):
        expected = expected_image(image, index, 0, preset)
        np.testing.assert_allclose(actual[index, 0].numpy(), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    "change", ["mirror", "rotation", "scale", "crop", "power", "gain", "offset"]
)
def test_each_change_alone_is_what_float64_gives(change: str) -> None:
    given = only(**{change: None})
    images = pictures(6, 13, smallest=20)
    actual = augment(images, torch.arange(6), 1, given)
    assert not torch.equal(actual, centre_crop(images, 7))
    for index, image in enumerate(images.numpy()):
        expected = expected_image(image, index, 1, given)
        np.testing.assert_allclose(actual[index, 0].numpy(), expected, rtol=0, atol=1e-4)


def test_the_presets_are_the_papers() -> None:
    assert (GRAY_96.side, GRAY_96.stored_side, GRAY_96.rotation) == (96, 110, 5)
    assert (COLOUR_224.side, COLOUR_224.stored_side, COLOUR_224.rotation) == (224, 256, 15)
    for preset in (GRAY_96, COLOUR_224):
        assert (preset.mirror, preset.scale, preset.crop) == (0.5, (0.7, 1.4), True)
        assert (preset.power, preset.gain, preset.offset) == ((0.25, 4), (0.7, 1.4), 0.1)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("side", "stored_side"), [(96, 110), (7, 13), (6, 13), (16, 16), (1, 1)])
def test_with_all_off_it_is_the_centre_crop_to_the_bit(
    side: int, stored_side: int, colour: bool, device: torch.device
) -> None:
    images = pictures(3, stored_side, colour).to(device)
    indices = torch.arange(3, device=device)
    given = replace(NOTHING, side=side, stored_side=stored_side)
    actual = augment(images, indices, 0, given)
    assert torch.equal(actual, centre_crop(images, side))
    first = (stored_side - side) // 2
    window = images[:, first : first + side, first : first + side].cpu().numpy()
    planes = np.moveaxis(window, -1, 1) if colour else window[:, None]
    np.testing.assert_allclose(actual.cpu().numpy(), planes / 255, rtol=2e-7)


def test_mirroring_is_exact_and_undoes_itself(device: torch.device) -> None:
    images = pictures(4, 13).to(device)
    indices = torch.arange(4, device=device)
    mirrored = augment(images, indices, 0, only(mirror=1.0))
    assert torch.equal(mirrored, centre_crop(images, 7).flip(-1))
    again = augment(images.flip(-1), indices, 0, only(mirror=1.0))
    assert torch.equal(again, centre_crop(images, 7))


def test_half_of_the_images_are_mirrored() -> None:
    images = pictures(1, 13).expand(1000, -1, -1)
    actual = augment(images, torch.arange(1000), 0, only(mirror=None))
    plain = centre_crop(images, 7)
    is_plain = (actual == plain).flatten(1).all(1)
    is_mirrored = (actual == plain.flip(-1)).flatten(1).all(1)
    assert (is_plain ^ is_mirrored).all()
    assert 430 < is_mirrored.sum() < 570


def test_random_crops_are_all_the_windows_unchanged(device: torch.device) -> None:
    given = only(crop=True, side=5, stored_side=8)
    image = pictures(1, 8)
    actual = augment(image.expand(600, -1, -1).to(device), torch.arange(600), 0, given).cpu()
    seen = {tuple(result.mul(255).round().int().flatten().tolist()) for result in actual}
    windows = {
        tuple(image[0, y : y + 5, x : x + 5].flatten().tolist())
        for x, y in itertools.product(range(4), repeat=2)
    }
    assert seen == windows
    torch.testing.assert_close(actual.mul(255), actual.mul(255).round(), rtol=0, atol=1e-4)


def test_half_the_change_of_size_keeps_the_window_where_it_was() -> None:
    # Rows and columns 3 .. 9 of 13 are the window, and only they are bright.
    image = torch.zeros(1, 13, 13, dtype=torch.uint8)
    image[:, 3:10, 3:10] = 255
    images, indices = image.expand(200, -1, -1), torch.arange(200)
    larger = augment(images, indices, 0, only(scale=(1.0, 2.5), translation=0.5))
    assert larger[..., 1:-1, 1:-1].amin() > 1 - 1e-6
    further = augment(images, indices, 0, only(scale=(1.0, 2.5), translation=1.0))
    assert further[..., 1:-1, 1:-1].amin() < 0.5


def test_edges_are_repeated() -> None:
    image = torch.full((50, 13, 13), 200, dtype=torch.uint8)
    given = replace(WIDE, scale=(0.1, 0.2), **PIXELS_OFF)
    actual = augment(image, torch.arange(50), 0, given)
    torch.testing.assert_close(actual, torch.full_like(actual, 200 / 255), rtol=0, atol=1e-6)


def test_it_does_not_depend_on_the_batch(device: torch.device) -> None:
    images, indices = pictures(9, 13, colour=True).to(device), torch.arange(100, 109).to(device)
    together = augment(images, indices, 2, WIDE)
    for order in (
        torch.arange(9),
        torch.arange(9).flip(0),
        torch.tensor([3]),
        torch.tensor([8, 0]),
    ):
        apart = augment(images[order.to(device)], indices[order.to(device)], 2, WIDE)
        assert torch.equal(apart, together[order.to(device)])
    by_cpu = augment(images, indices.cpu(), 2, WIDE)
    torch.testing.assert_close(by_cpu, together, rtol=0, atol=1e-6)


def test_it_depends_on_seed_epoch_and_index() -> None:
    images, indices = pictures(4, 13), torch.arange(4)
    first = augment(images, indices, 0, WIDE)
    assert torch.equal(first, augment(images, indices, 0, WIDE))
    for other in (
        augment(images, indices, 1, WIDE),
        augment(images, indices + 4, 0, WIDE),
        augment(images, indices, 0, replace(WIDE, seed=1)),
    ):
        assert not (other == first).flatten(1).all(1).any()


def test_torchs_own_generator_is_neither_used_nor_moved() -> None:
    before = torch.get_rng_state()
    augment(pictures(4, 13), torch.arange(4), 0, WIDE)
    assert torch.equal(torch.get_rng_state(), before)


def test_switching_a_change_off_leaves_the_others() -> None:
    images, indices = pictures(200, 13), torch.arange(200)
    everything = augment(images, indices, 0, WIDE)
    unmirrored = augment(images, indices, 0, replace(WIDE, mirror=0.0))
    same = (everything == unmirrored).flatten(1).all(1)
    assert 60 < same.sum() < 140
    mirrored = augment(images.flip(-1), indices, 0, replace(WIDE, mirror=0.0))
    torch.testing.assert_close(everything[~same], mirrored[~same], rtol=0, atol=2e-3)


def test_values_stay_in_0_to_1(device: torch.device) -> None:
    images = pictures(100, 13).to(device)
    actual = augment(images, torch.arange(100, device=device), 0, WIDE)
    assert actual.amin() == 0
    assert actual.amax() == 1


def test_an_empty_batch_gives_an_empty_batch(device: torch.device) -> None:
    none = torch.arange(0, device=device)
    assert augment(pictures(0, 13).to(device), none, 0, WIDE).shape == (0, 1, 7, 7)
    assert centre_crop(pictures(0, 13, colour=True).to(device), 7).shape == (0, 3, 7, 7)


def test_images_may_be_strided() -> None:
    images = pictures(6, 26)[::2, ::2, ::2]
    whole = augment(images.contiguous(), torch.arange(3), 0, WIDE)
    assert torch.equal(augment(images, torch.arange(3), 0, WIDE), whole)


@pytest.mark.parametrize("where", ["cuda", "cpu"])
def test_it_never_waits_for_a_gpu(where: str) -> None:
    # Fake tensors have no values: whatever would wait for one raises.
    with FakeTensorMode():
        images = torch.empty(4, 110, 110, dtype=torch.uint8, device="cuda")
        result = augment(images, torch.arange(4, device=where), 3, GRAY_96)
        assert result.device.type == "cuda"
        assert centre_crop(images, 96).device.type == "cuda"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 0}, "^side: expected at least 1, got 0"),
        ({"side": 111}, "^stored_side: expected at least side = 111, got 110"),
        ({"mirror": 1.5}, r"^mirror: expected a probability, 0 \.\. 1, got 1.5"),
        ({"rotation": -5.0}, r"^rotation: expected 0 \.\. 180 degrees, got -5"),
        ({"rotation": float("nan")}, "^rotation: .* got nan"),
        ({"translation": 2.0}, r"^translation: expected 0 \.\. 1, got 2"),
        ({"offset": -0.1}, r"^offset: expected 0 \.\. 1, got -0.1"),
        ({"seed": -1}, r"^seed: expected 0 \.\. 2\^31 - 1, got -1"),
        ({"scale": (1.4, 0.7)}, r"^scale: expected a range .* smallest first, got 1.4 \.\. 0.7"),
        ({"power": (0.0, 4.0)}, r"^power: expected a range of numbers above 0, .* got 0.0 \.\. 4"),
        ({"power_spacing": "cubic"}, "^power_spacing: expected log or linear, got cubic"),
        ({"gain": (1.0, float("inf"))}, r"^gain: .* got 1.0 \.\. inf"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(GRAY_96, **changes)


@pytest.mark.parametrize(
    ("images", "indices", "message"),
    [
        (torch.zeros(2, 13, 13), torch.arange(2), r"^images: expected uint8 .* got torch.float32"),
        (pictures(2, 12), torch.arange(2), r"^images: .*\[B, 13, 13\] or .* \[2, 12, 12\]"),
        (pictures(2, 13)[..., None], torch.arange(2), r"^images: .* got .*\[2, 13, 13, 1\]"),
        (pictures(2, 13), torch.arange(3), r"^indices: expected int64 \[2\], .* got .*\[3\]"),
        (pictures(2, 13), torch.zeros(2), r"^indices: expected int64 .* got torch.float32"),
    ],
)
def test_other_tensors_are_refused(images: Tensor, indices: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(images, indices, 0, WIDE)


def test_centre_crop_refuses_other_sizes() -> None:
    for side in (0, 14):
        with pytest.raises(InputError, match=rf"^side: expected 1 \.\. 13, .* got {side}"):
            centre_crop(pictures(1, 13), side)
    with pytest.raises(InputError, match=r"^images: expected uint8"):
        centre_crop(torch.zeros(4, dtype=torch.uint8), 1)
    with pytest.raises(InputError, match=r"^images: .* got torch.uint8 \[1, 13, 12\]"):
        centre_crop(pictures(1, 13)[..., :12], 7)
