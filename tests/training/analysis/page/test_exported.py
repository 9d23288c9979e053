"""The decoder as text: bytes that decode to its weights, and what rounding costs."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastcaps.training.analysis.page.exported import (
    exported_decoder,
    packed,
    rounded,
    rounding_error,
)
from fastcaps.training.errors import InputError
from tests.training.analysis.page.made import Shown, random_faces


@pytest.fixture(scope="module")
def shown() -> Shown:
    return random_faces(3, ("AU01", "AU12"), ("one", "two", "three"))


def unpacked(content: dict[str, str]) -> NDArray[Any]:
    types = {"int8": "i1", "float32": "<f4"}
    return np.frombuffer(base64.b64decode(content["base64"]), types[content["type"]])


def test_bytes_decode_to_the_weights(shown: Shown) -> None:
    content = exported_decoder(shown.network)
    for exported, layer in zip(content["layers"], list(shown.network.decoder)[:5:2], strict=True):
        scale = unpacked(exported["scale"])
        steps = unpacked(exported["weight"]).reshape(layer.weight.shape)
        weight = layer.weight.detach().numpy()
        assert steps.dtype == np.int8
        assert (abs(steps * scale[:, None] - weight) <= scale[:, None] * 0.5001).all()
        np.testing.assert_allclose(scale * 127, abs(weight).max(axis=1), rtol=1e-6)
        assert np.array_equal(unpacked(exported["bias"]), layer.bias.detach().numpy())
    assert (content["channels"], content["smallSide"], content["side"]) == (3, 5, 37)
    for name in ("mean", "std"):
        buffer = getattr(shown.network.standardise, name)
        assert np.array_equal(unpacked(content[name]), buffer.numpy().ravel())


NUMBERS = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)


@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4))
@settings(max_examples=50)
def test_weights_are_at_most_half_a_step_off(rows: list[list[float]]) -> None:
    weight = torch.tensor(rows, dtype=torch.float32)
    steps, scale = rounded(weight)
    largest = weight.abs().amax(1, keepdim=True)
    # Below the smallest normal number float32 has few bits.
    half = largest / 127 * 0.5001 + torch.finfo(torch.float32).tiny
    assert ((steps * scale[:, None] - weight).abs() <= half).all()


def test_packed_numbers_are_little_endian() -> None:
    content = packed(np.array([1.5], dtype=">f4").astype(np.float32))
    assert base64.b64decode(content["base64"]) == bytes([0, 0, 0xC0, 0x3F])


def test_rounding_costs_what_is_told(shown: Shown) -> None:
    error = rounding_error(shown.network, shown.v, shown.labels)
    content = exported_decoder(shown.network)
    worst = 0.0
    for v, labels in zip(shown.v, shown.labels, strict=True):
        picture = recomputed(content, (v * (labels == 1)[:, None]).flatten().numpy())
        difference = picture - shown.picture(v, labels).numpy()
        worst = max(worst, float(abs(difference).max()))
    assert error == pytest.approx(worst, abs=1e-3)
    assert 0.01 < error < 2


def recomputed(content: dict[str, Any], numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """The picture that the exported numbers give, in grey levels, [C, side, side]."""
    for place, layer in enumerate(content["layers"]):
        bias, scale = unpacked(layer["bias"]), unpacked(layer["scale"])
        weight = unpacked(layer["weight"]).reshape(len(bias), -1) * scale[:, None]
        numbers = weight @ numbers + bias
        if place < 2:
            numbers = np.maximum(numbers, 0)
    channels, small, side = content["channels"], content["smallSide"], content["side"]
    # Where each pixel's centre lies among the small picture's, its edge going on outside.
    at = np.clip((np.arange(side) + 0.5) * small / side - 0.5, 0, small - 1)
    lines = np.stack([np.interp(at, np.arange(small), row) for row in np.eye(small)], axis=1)
    large = lines @ numbers.reshape(channels, small, small).astype(np.float64) @ lines.T
    shape = (channels, side, side)
    pixels = large * unpacked(content["std"]).reshape(shape) + unpacked(content["mean"]).reshape(
        shape
    )
    return 255 * pixels.clip(0, 1)


def test_weights_have_to_be_finite(shown: Shown) -> None:
    broken = replace(shown, network=random_faces(1, ("AU01",), ("one",)).network)
    with torch.no_grad():
        broken.network.decoder[2].bias[3] = float("nan")
    with pytest.raises(InputError, match=r"finite weights.*2\.bias"):
        exported_decoder(broken.network)
