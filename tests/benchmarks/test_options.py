"""How options are read from text."""

from __future__ import annotations

import pytest
import torch

from benchmarks.options import choose_device, parse_choice, parse_modes, parse_names
from benchmarks.shapes import DEFAULT_SHAPES, MODES, SHAPES


def test_names_keep_their_order_and_lose_repeats() -> None:
    assert parse_names("mnist, au96,mnist", SHAPES) == ("mnist", "au96")


def test_all_and_default_stand_for_their_names() -> None:
    assert parse_names("all", SHAPES) == tuple(SHAPES)
    assert parse_names("default", SHAPES, default=DEFAULT_SHAPES) == DEFAULT_SHAPES


@pytest.mark.parametrize("text", ["au95", "au96,au95", "", ",", "default"])
def test_unknown_names_are_told_with_the_known_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected all, or some of latency, au96, .*; got"):
        parse_names(text, SHAPES)


def test_modes() -> None:
    assert parse_modes("both") == MODES
    assert parse_modes("forward") == ("forward",)
    with pytest.raises(ValueError, match=r"expected one of both, forward, .*got 'backward'"):
        parse_modes("backward")


def test_choice() -> None:
    assert parse_choice("a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="expected one of a, b; got 'c'"):
        parse_choice("c", ("a", "b"))


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="no usable GPU here; got 'cuda'"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"


def test_batch_is_replaced_only_where_asked() -> None:
    assert SHAPES["au96"].with_batch(None) is SHAPES["au96"]
    assert SHAPES["au96"].with_batch(5).size.batch == 5


def test_wide_vectors_are_gigabytes() -> None:
    assert 4 * SHAPES["wide"].size.u_hat >= 4e9
