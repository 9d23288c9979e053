"""Published VGG-16 weights: every layout, both orders of colours, and files that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16

from fastcaps.training.errors import InputError
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.networks.vgg_caps_net import VGGCapsNet
from fastcaps.training.networks.vgg_weights import load_convolutions

OPTIONS = NetworkOptions(classes=2, side=48, channels=3)

# The names that the files have, in the order of the layers.
PLACES = ["1_1", "1_2", "2_1", "2_2", *(f"{b}_{n}" for b in (3, 4, 5) for n in (1, 2, 3))]
LAYERS = {
    "matconvnet": [f"conv{place}" for place in PLACES],
    "torch7": [f"conv_{place}" for place in PLACES],
    "torch7 in parts": [f"features.conv_{place}" for place in PLACES],
    "torchvision": [f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)],
}
FULLY_CONNECTED = {"fc8.weight": torch.zeros(2622, 2), "classifier.6.bias": torch.zeros(2622)}

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def published() -> nn.Sequential:
    """Convolutions with made-up weights, as torchvision has them, without the last pooling."""
    torch.manual_seed(0)
    with torch.device("meta"):
        layers = vgg16().features[:-1]
    layers.to_empty(device="cpu")
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return layers.requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> VGGCapsNet:
    return VGGCapsNet(OPTIONS).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1))


def named(layers: nn.Sequential, layout: str) -> Weights:
    """The weights of torchvision's layers under the names of a layout."""
    names = iter(LAYERS[layout])
    weights: Weights = {}
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            name = next(names)
            weights |= {f"{name}.weight": layer.weight.data, f"{name}.bias": layer.bias.data}
    return weights


def saved(weights: Any, path: Path) -> Path:
    torch.save(weights, path)
    return path


def bgr(images: Tensor) -> Tensor:
    """What the Caffe model takes: blue, green, red in 0 .. 255, less their mean."""
    red, green, blue = (255 * images).unbind(1)
    return torch.stack([blue - 93.5940, green - 104.7624, red - 129.1863], 1)


def rgb(images: Tensor) -> Tensor:
    """What the MatConvNet model takes."""
    return bgr(images).flip(1)


def imagenet(images: Tensor) -> Tensor:
    """What torchvision's model takes."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    return (images - mean) / std


def assert_as_good_as_equal(maps: Tensor, expected: Tensor) -> None:
    """Equal but for rounding, which depends on how a convolution is computed."""
    assert expected.std() > 0.1
    assert (maps - expected).abs().max() < 1e-4 * expected.std()


@pytest.mark.parametrize("more", [{}, FULLY_CONNECTED])
@pytest.mark.parametrize(
    ("source", "layout", "taken"),
    [
        ("vggface", "matconvnet", rgb),
        ("vggface", "torch7", bgr),
        ("vggface", "torch7 in parts", bgr),
        ("vggface", "torchvision", bgr),
        ("imagenet", "torchvision", imagenet),
    ],
)
def test_convolutions_give_what_those_of_the_file_give(
    tmp_path: Path,
    published: nn.Sequential,
    network: VGGCapsNet,
    images: Tensor,
    source: Any,
    layout: str,
    taken: Callable[[Tensor], Tensor],
    more: Weights,
) -> None:
    load_convolutions(network, source, saved(named(published, layout) | more, tmp_path / "vgg.pth"))
    with torch.no_grad():
        maps, expected = network.features(images), published(taken(images))
    assert_as_good_as_equal(maps, expected)
    assert all(tensor.requires_grad for tensor in network.parameters())


def test_both_orders_of_colours_give_the_same(
    tmp_path: Path, published: nn.Sequential, network: VGGCapsNet, images: Tensor
) -> None:
    in_order = named(published, "matconvnet")
    reversed_order = named(published, "torch7")
    reversed_order["conv_1_1.weight"] = reversed_order["conv_1_1.weight"].flip(1)
    outputs = []
    for number, weights in enumerate((in_order, reversed_order)):
        load_convolutions(network, "vggface", saved(weights, tmp_path / f"{number}.pth"))
        with torch.no_grad():
            outputs.append(network(images))
    assert torch.equal(*outputs)


def test_doubles_in_a_checkpoint_are_read(
    tmp_path: Path, published: nn.Sequential, network: VGGCapsNet, images: Tensor
) -> None:
    weights = {name: tensor.double() for name, tensor in named(published, "torch7").items()}
    path = saved({"state_dict": weights, "epoch": 7}, tmp_path / "checkpoint.pth")
    load_convolutions(network, "vggface", path)
    assert all(tensor.dtype == torch.float32 for tensor in network.parameters())
    with torch.no_grad():
        assert_as_good_as_equal(network.features(images), published(bgr(images)))


def test_a_saved_network_knows_its_colours(
    tmp_path: Path, published: nn.Sequential, network: VGGCapsNet, images: Tensor
) -> None:
    load_convolutions(network, "vggface", saved(named(published, "torch7"), tmp_path / "face.pth"))
    other = VGGCapsNet(OPTIONS).eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(other(images), network(images))
    conv1 = network.parts()["conv1"].state_dict()
    assert {"colours.mean", "colours.std"} < set(conv1)


def test_vgg_takes_them_too(tmp_path: Path, published: nn.Sequential, images: Tensor) -> None:
    with torch.device("meta"):
        network = make_network("VGG", OPTIONS)
    features = network.get_submodule("features").to_empty(device="cpu")
    path = saved(named(published, "torchvision"), tmp_path / "vgg16.pth")
    load_convolutions(network, "imagenet", path)
    with torch.no_grad():
        assert_as_good_as_equal(features(images), published(imagenet(images)))


def test_without_a_file_torchvisions_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, published: nn.Sequential, network: VGGCapsNet, images: Tensor
) -> None:
    asked: dict[str, Any] = {}

    def fetch(url: str, **options: Any) -> Weights:
        asked.update(options, url=url)
        return named(published, "torchvision")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    load_convolutions(network, "imagenet")
    assert asked["url"] == VGG16_Weights.IMAGENET1K_V1.url
    assert asked["weights_only"]
    assert asked["check_hash"]
    with torch.no_grad():
        assert_as_good_as_equal(network.features(images), published(imagenet(images)))


def test_weights_that_cannot_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: VGGCapsNet
) -> None:
    def fetch(*_: Any, **__: Any) -> Weights:
        raise URLError("no route\nto host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError) as caught:
        load_convolutions(network, "imagenet")
    message = str(caught.value)
    assert message.startswith(f"weights: {VGG16_Weights.IMAGENET1K_V1.url} cannot be had")
    assert "no route" in message
    assert message.endswith(f"put it into {tmp_path / 'checkpoints'}")
    assert "\n" not in message


def without(name: str) -> Callable[[Weights], Any]:
    return lambda weights: {key: tensor for key, tensor in weights.items() if key != name}


def changed(name: str, tensor: Any) -> Callable[[Weights], Any]:
    return lambda weights: weights | {name: tensor}


LAST = "conv_5_3.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv_1_1.bias"), r"has no tensor conv_1_1.bias, expected .* \[64\]$"),
        (
            without(LAST),
            r"no tensor conv_5_3.weight, expected finite floats \[512, 512, 3, 3\]",
        ),
        (changed(LAST, "text"), "has no tensor conv_5_3.weight"),
        (
            changed(LAST, torch.zeros(512, 512, 3, 1)),
            r"conv_5_3.weight: expected .* got torch.float32 \[512, 512, 3, 1\]$",
        ),
        (
            changed(LAST, torch.zeros(512, 512, 3, 3, dtype=torch.uint8)),
            r"conv_5_3.weight: expected .* got torch.uint8",
        ),
        (changed("conv_5_3.bias", torch.full((512,), torch.nan)), "conv_5_3.bias: .* not finite"),
        (
            lambda weights: {f"net.{key}": tensor for key, tensor in weights.items()},
            r"no known layout: expected one of the names conv1_1.weight, conv_1_1.weight, .*, its "
            r"first are net.conv_1_1.weight, net.conv_1_1.bias, net.conv_1_2.weight$",
        ),
        (lambda weights: {}, "no known layout: .*, its first are none$"),
        (lambda weights: list(weights.values())[:2], "expected a dictionary .*, got list$"),
        (lambda weights: {1: torch.zeros(1)}, "expected a dictionary from names to tensors"),
        (
            lambda weights: weights | {"where": Path()},
            "cannot be read, .* more than tensors",
        ),
    ],
)
def test_a_file_of_other_contents_changes_nothing(
    tmp_path: Path,
    published: nn.Sequential,
    network: VGGCapsNet,
    change: Callable[[Weights], Any],
    message: str,
) -> None:
    path = saved(change(named(published, "torch7")), tmp_path / "other.pth")
    refused(network, path, message)


def refused(network: Network, path: Path, message: str) -> None:
    """The file is refused and the network stays as it was."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError, match=f"^initial: {re.escape(str(path))}.*{message}") as caught:
        load_convolutions(network, "vggface", path)
    assert "\n" not in str(caught.value)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("kept", [0, 1, 1_000, 1_000_000, -1, -1_000])
def test_a_file_cut_off_is_refused(
    tmp_path: Path, published: nn.Sequential, network: VGGCapsNet, kept: int
) -> None:
    path = saved(named(published, "torch7"), tmp_path / "cut.pth")
    path.write_bytes(path.read_bytes()[:kept])
    refused(network, path, "cannot be read, perhaps it is cut off")


def test_vggface_names_are_not_imagenets(
    tmp_path: Path, published: nn.Sequential, network: VGGCapsNet
) -> None:
    path = saved(named(published, "matconvnet"), tmp_path / "face.pth")
    with pytest.raises(InputError, match=r"expected one of the names features.0.weight, its first"):
        load_convolutions(network, "imagenet", path)


def test_a_file_that_is_not_there(tmp_path: Path, network: VGGCapsNet) -> None:
    with pytest.raises(InputError, match=f"^initial: there is no file {tmp_path / 'none.pth'}$"):
        load_convolutions(network, "imagenet", tmp_path / "none.pth")


def test_vggface_needs_a_file(network: VGGCapsNet) -> None:
    with pytest.raises(InputError, match=r"^initial: VGG-Face weights need a file, such as https:"):
        load_convolutions(network, "vggface")


def test_a_network_without_these_convolutions() -> None:
    with pytest.raises(InputError, match=r"^weights: AUCapsNet has no VGG-16 convolutions"):
        load_convolutions(make_network("AUCapsNet", OPTIONS), "imagenet")
