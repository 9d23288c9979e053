"""Saved models: what they score, what is in their files, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastcaps.training.errors import InputError
from fastcaps.training.face_arrays import as_stored
from fastcaps.training.networks import NETWORKS, make_network
from fastcaps.training.networks.network import Network, NetworkOptions
from fastcaps.training.predictor import Predictor, save_model
from fastcaps.training.prepared import Shape
from fastcaps.training.statistics import PixelStatistics

CLASSES = ("AU06", "AU12")
GRAY = Shape(96, colour=False)


def a_network(name: str = "AUCapsNet", **options: Any) -> Network:
    torch.manual_seed(0)
    network = make_network(
        name, NetworkOptions(**{"classes": 2, "side": 96, "channels": 1} | options)
    )
    random = np.random.default_rng(0)
    shape = network.standardise.mean.shape
    network.standardise.set(
        PixelStatistics(
            random.uniform(0.3, 0.6, shape).astype(np.float32),
            random.uniform(0.1, 0.3, shape).astype(np.float32),
        )
    )
    return network


def some_faces(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "smile.pt"
    save_model(path, a_network(), "AUCapsNet", CLASSES, GRAY)
    return path


@pytest.mark.parametrize("name", ["AUCapsNet", "ConvNet"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_scores_are_those_of_the_network_on_crops(
    tmp_path: Path, name: str, exclusive: bool
) -> None:
    network, faces = a_network(name, exclusive=exclusive).eval(), some_faces(5, 96, 96)
    with torch.no_grad():
        images = torch.from_numpy(faces)[:, None].float() / 255
        expected = network.scores(network(images)).numpy()
    save_model(tmp_path / "model.pt", network, name, CLASSES, GRAY, half=False)
    predictor = Predictor.load(tmp_path / "model.pt", "cpu")
    assert predictor.classes == CLASSES
    scores = predictor.predict(faces)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, expected)


def test_half_precision_changes_scores_little(tmp_path: Path, model: Path) -> None:
    faces = some_faces(8, 64, 64)
    whole = Predictor(a_network(), CLASSES, GRAY, "cpu").predict(faces)
    assert whole.std() > 1e-4
    half = Predictor.load(model, "cpu").predict(faces)
    assert 0 < np.abs(half - whole).max() < 2e-3


def test_large_weights_stay_whole(tmp_path: Path) -> None:
    network = a_network()
    with torch.no_grad():
        network.classes.weight.view(-1)[0] = 1e6
    save_model(tmp_path / "model.pt", network, "AUCapsNet", CLASSES, GRAY)
    loaded = Predictor.load(tmp_path / "model.pt", "cpu").network
    assert torch.equal(loaded.classes.weight, network.classes.weight)
    assert loaded.primary.conv.weight.dtype == torch.float32


def test_saving_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    network = a_network().train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    save_model(tmp_path / "model.pt", network, "AUCapsNet", CLASSES, GRAY)
    after = network.state_dict()
    assert after.keys() == before.keys()
    for key in before:
        assert torch.equal(after[key], before[key])
    assert network.training


def test_files_hold_the_decoder_only_if_wanted(tmp_path: Path, model: Path) -> None:
    network, path = a_network(), tmp_path / "whole.pt"
    save_model(path, network, "AUCapsNet", CLASSES, GRAY, half=False, decoder=True)
    kept = Predictor.load(path, "cpu").network
    for one, other in zip(kept.decoder.parameters(), network.decoder.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not hasattr(Predictor.load(model, "cpu").network, "decoder")
    counted = sum(p.numel() for p in network.parameters())
    decoder = sum(p.numel() for p in network.decoder.parameters())
    assert model.stat().st_size < 2.1 * (counted - decoder) + 50_000
    assert path.stat().st_size > 4 * counted


def test_nothing_is_drawn_at_random(model: Path) -> None:
    before = torch.get_rng_state()
    Predictor.load(model, "cpu").predict(some_faces(1, 9, 9))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_is_all_of_a_network(name: str) -> None:
    with torch.device("meta"):
        network = make_network(name, NetworkOptions(classes=2, side=96, channels=3))
    tensors = {*dict(network.named_parameters()), *dict(network.named_buffers())}
    assert tensors == network.state_dict().keys()


@pytest.mark.parametrize("shape", [(1, 1), (31, 200), (96, 96, 3), (130, 97, 3)])
def test_faces_of_any_size_are_stretched(model: Path, shape: tuple[int, ...]) -> None:
    predictor, faces = Predictor.load(model, "cpu"), some_faces(3, *shape)
    window = as_stored(faces, GRAY)[:, 7:-7, 7:-7]
    np.testing.assert_array_equal(predictor.predict(faces), predictor.predict(window))


def test_a_network_in_colour_takes_gray_faces(tmp_path: Path) -> None:
    shape = Shape(96, colour=True)
    save_model(tmp_path / "model.pt", a_network(channels=3), "AUCapsNet", CLASSES, shape)
    predictor, faces = Predictor.load(tmp_path / "model.pt", "cpu"), some_faces(2, 50, 50)
    scores = predictor.predict(np.repeat(faces[..., None], 3, axis=3))
    np.testing.assert_allclose(predictor.predict(faces), scores, atol=1e-6)


def test_batches_do_not_matter(model: Path) -> None:
    predictor, faces = Predictor.load(model, "cpu"), some_faces(11, 40, 40)
    at_once = predictor.predict(faces)
    for batch_size in (1, 4, 11):
        np.testing.assert_allclose(predictor.predict(faces, batch_size), at_once, atol=1e-5)
    with pytest.raises(InputError, match="batch_size: expected at least 1, got 0"):
        predictor.predict(faces, 0)


def test_no_faces_have_no_scores(model: Path) -> None:
    scores = Predictor.load(model, "cpu").predict(some_faces(0, 40, 40))
    assert scores.shape == (0, 2)
    assert scores.dtype == np.float32


def test_dropout_is_off(model: Path) -> None:
    predictor, faces = Predictor.load(model, "cpu"), some_faces(2, 40, 40)
    assert not any(module.training for module in predictor.network.modules())
    np.testing.assert_array_equal(predictor.predict(faces), predictor.predict(faces))


def test_other_arrays_are_refused(model: Path) -> None:
    with pytest.raises(InputError, match="faces: expected uint8"):
        Predictor.load(model, "cpu").predict(some_faces(2, 40, 40) / 255)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "ConvNet"}, "name: expected that of a AUCapsNet, got ConvNet"),
        ({"classes": ("AU12",)}, "classes: expected 2 names, got"),
        ({"classes": (6, 12)}, "classes: expected 2 names, got"),
        ({"shape": Shape(96, colour=True)}, "expected 96 pixels and 1 channels, .* got 96 and 3"),
        ({"shape": Shape(224, colour=False)}, "got 224 and 1"),
    ],
)
def test_what_is_not_the_networks_is_not_saved(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    given = {"network": a_network(), "name": "AUCapsNet", "classes": CLASSES, "shape": GRAY}
    with pytest.raises(InputError, match=message):
        save_model(tmp_path / "model.pt", **{**given, **change})
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_told(tmp_path: Path, model: Path) -> None:
    whole, path = model.read_bytes(), tmp_path / "damaged.pt"
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model: .*damaged\.pt cannot be read"):
            Predictor.load(path)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(InputError, match=r"cannot be read: its part .* has changed"):
        Predictor.load(path)
    with pytest.raises(InputError, match="model: there is no file"):
        Predictor.load(tmp_path / "none.pt")


def without_a_tensor(content: dict[str, Any]) -> None:
    del content["state_dict"]["primary.conv.weight"]


def with_half_a_decoder(content: dict[str, Any]) -> None:
    content["state_dict"]["decoder.0.weight"] = torch.zeros(512, 64)


def of_another_shape(content: dict[str, Any]) -> None:
    content["state_dict"]["primary.conv.weight"] = torch.zeros(1)


def of_numbers(content: dict[str, Any]) -> None:
    content["state_dict"]["primary.conv.weight"] = 1.0


def with_a_hundred_thousand_classes(content: dict[str, Any]) -> None:
    content["classes"] = [""] * 100_000
    content["options"]["classes"] = 100_000


@pytest.mark.parametrize(
    "change",
    [
        without_a_tensor,
        with_half_a_decoder,
        of_another_shape,
        of_numbers,
        with_a_hundred_thousand_classes,
        lambda content: content.pop("state_dict"),
        lambda content: content.update(state_dict=[]),
        lambda content: content.update(network="Other"),
        lambda content: content.update(network=["AUCapsNet"]),
        lambda content: content.update(options={"classes": 2}),
        lambda content: content["options"].update(other=1),
        lambda content: content["options"].update(softmax_over="other"),
        lambda content: content.update(classes=2),
        lambda content: content.update(input_side=100),
        lambda content: content.update(colour=True),
    ],
)
def test_headers_and_tensors_must_fit(
    tmp_path: Path, model: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    content = torch.load(model, weights_only=True)
    change(content)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match="does not hold a whole model"):
        Predictor.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "fastcaps action unit model", "version": 2}, "expected version 1, got 2"),
        ({"state_dict": {}}, "expected a model of this program, got another file"),
        (torch.zeros(3), "expected a model of this program, got another file"),
        ({"run": Path("/")}, "cannot be read: "),
    ],
)
def test_other_files_are_told(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match=message):
        Predictor.load(tmp_path / "model.pt")
    np.savez(tmp_path / "model.npz", images=np.zeros(3))
    with pytest.raises(InputError, match="cannot be read"):
        Predictor.load(tmp_path / "model.npz")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told(model: Path) -> None:
    with pytest.raises(InputError, match="device: expected auto or cpu"):
        Predictor.load(model, "cuda")
