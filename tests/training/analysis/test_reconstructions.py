"""What decoders show of capsules that are made longer, or turned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fastcaps.training.analysis.reconstructions import (
    MAGNITUDES,
    TURNS,
    dimension_effects,
    direction_sweep,
    magnitude_sweep,
)
from fastcaps.training.errors import InputError
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions

SIDE, CLASSES, DIM = 28, 3, 32
NUMBERS = CLASSES * DIM


class Shown(nn.Module):
    """A decoder that shows the capsules as they are: a pixel for each number, in the first rows."""

    def forward(self, capsules: Tensor) -> Tensor:
        picture = torch.zeros(len(capsules), SIDE * SIDE)
        picture[:, :NUMBERS] = capsules
        return picture.view(-1, 1, SIDE, SIDE)


class Lit(nn.Module):
    """A decoder whose pictures are as light everywhere as a capsule's sixth number is large."""

    def forward(self, capsules: Tensor) -> Tensor:
        return capsules[:, 5, None, None, None].expand(-1, 1, SIDE, SIDE)


@pytest.fixture
def network() -> CapsuleNetwork:
    torch.manual_seed(0)
    made = make_network("AUCapsNet", NetworkOptions(CLASSES, SIDE, channels=1)).eval()
    assert isinstance(made, CapsuleNetwork)
    made.decoder = Shown()
    # Pixels in 0 .. 1 for numbers in -1 .. 1.
    made.standardise.mean.fill_(0.5)
    made.standardise.std.fill_(0.5)
    return made


def capsules(pictures: Tensor) -> Tensor:
    """The numbers in pictures [..., 1, SIDE, SIDE], as capsules [..., CLASSES, DIM]."""
    return (pictures.flatten(-3)[..., :NUMBERS] * 2 - 1).unflatten(-1, (CLASSES, DIM))


IMAGES = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, -1, 1]])


def test_present_capsules_get_each_length_and_keep_their_direction(network: CapsuleNetwork) -> None:
    found = capsules(magnitude_sweep(network, IMAGES, LABELS))
    with torch.no_grad():
        v = network(IMAGES)
    assert found.shape == (4, len(MAGNITUDES), CLASSES, DIM)
    present = (LABELS == 1)[:, None, :, None]
    lengths = torch.tensor(MAGNITUDES)[None, :, None, None]
    expected = v[:, None] / v.norm(dim=2)[:, None, :, None] * lengths * present
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_an_image_without_a_class_has_no_magnitude_to_change(network: CapsuleNetwork) -> None:
    with pytest.raises(InputError, match=r"^labels: expected a class present in each image"):
        magnitude_sweep(network, IMAGES[:2], torch.tensor([[1, 0, 0], [0, -1, 0]]))


def test_pixels_that_are_not_finite_are_told(network: CapsuleNetwork) -> None:
    network.standardise.std.fill_(torch.nan)
    with pytest.raises(InputError, match="decoder draws pixels that are not finite"):
        magnitude_sweep(network, IMAGES, LABELS)
    with pytest.raises(InputError, match="decoder draws pixels that are not finite"):
        direction_sweep(network, torch.rand(1, CLASSES, DIM), LABELS[:1], 0)


def test_a_dimension_is_set_and_the_length_restored(network: CapsuleNetwork) -> None:
    found = capsules(direction_sweep(network, network(IMAGES), LABELS, class_index=1))
    assert found.shape == (4, DIM, len(TURNS), CLASSES, DIM)
    with torch.no_grad():
        v = network(IMAGES)
    for image, dimension, place in ((0, 0, 0), (1, 17, 3), (3, 31, 10)):
        expected = v[image] * (LABELS[image] == 1)[:, None]
        turned = v[image, 1].clone()
        turned[dimension] = TURNS[place]
        expected[1] = turned * v[image, 1].norm() / turned.norm()
        torch.testing.assert_close(
            found[image, dimension, place], expected, atol=1e-6, rtol=0, equal_nan=False
        )
    assert (torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, -1, 1]]) == LABELS).all()


@pytest.mark.parametrize("class_index", [-1, 3])
def test_a_class_that_is_not_there_is_told(network: CapsuleNetwork, class_index: int) -> None:
    with pytest.raises(InputError, match=rf"^class_index: expected 0 \.\. 2, got {class_index}$"):
        direction_sweep(network, network(IMAGES), LABELS, class_index)


def test_effects_are_those_of_the_last_value_against_the_first(network: CapsuleNetwork) -> None:
    with torch.no_grad():
        v = network(IMAGES)
    found = dimension_effects(network, v, LABELS, class_index=1)
    pictures = direction_sweep(network, network(IMAGES), LABELS, class_index=1)
    change = pictures[:, :, -1] - pictures[:, :, 0]
    torch.testing.assert_close(found.change, change.square().mean((0, 2, 3, 4)).sqrt())
    alone = change - change.mean((2, 3, 4), keepdim=True)
    torch.testing.assert_close(found.shape, alone.square().mean((0, 2, 3, 4)).sqrt())
    assert (found.shape < found.change).all()


def test_a_dimension_that_only_lights_a_picture_has_no_shape(network: CapsuleNetwork) -> None:
    network.decoder = Lit()
    v = torch.nn.functional.normalize(torch.rand(2, CLASSES, DIM), dim=2)
    found = dimension_effects(network, v, LABELS[:2], class_index=0)
    assert found.change[5] > 0.1
    torch.testing.assert_close(found.shape, torch.zeros(DIM), atol=1e-6, rtol=0)
