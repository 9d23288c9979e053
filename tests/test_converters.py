"""Weights in the layouts of other implementations give the layer the same prediction vectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastcaps import CapsuleLinear, prediction_vectors
from fastcaps.converters import LAYOUTS, convert_weight, load_weight

I, K, J, D = 5, 2, 3, 4  # noqa: E741
SHAPES = {
    "IKJD": (I, K, J, D),
    "JIKD": (J, I, K, D),
    "JIDK": (J, I, D, K),
    "IJKD": (I, J, K, D),
    "IJDK": (I, J, D, K),
    "IK(JD)": (I, K, J * D),
}
PREDICTIONS = {
    "IKJD": lambda u, w: torch.einsum("bik,ikjd->bijd", u, w),
    "JIKD": lambda u, w: (u[None, :, :, None] @ w[:, None]).squeeze(3).permute(1, 2, 0, 3),
    "JIDK": lambda u, w: torch.einsum("jidk,bik->bjid", w, u).transpose(1, 2),
    "IJKD": lambda u, w: (u[:, :, None, None] @ w).squeeze(3),
    "IJDK": lambda u, w: (w @ u[:, :, None, :, None]).squeeze(4),
    "IK(JD)": lambda u, w: torch.einsum("bik,ikx->bix", u, w).unflatten(2, (J, D)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ahead", [(), (1,), (1, 1)])
def test_every_layout_predicts_the_same(layout: str, ahead: tuple[int, ...]) -> None:
    weight = torch.randn(SHAPES[layout])
    u = torch.randn(2, I, K)
    converted = convert_weight(weight.reshape(*ahead, *weight.shape), layout, out_capsules=J)
    assert converted.shape == (I, K, J, D)
    assert converted.is_contiguous()
    torch.testing.assert_close(prediction_vectors(u, converted), PREDICTIONS[layout](u, weight))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("named", [True, False])
def test_load_fills_the_layer(layout: str, named: bool) -> None:
    layer = CapsuleLinear(I, K, J, D, dtype=torch.float64)
    parameter = layer.weight
    weight = torch.randn(1, *SHAPES[layout])
    load_weight(layer, weight, layout if named else None)
    assert layer.weight is parameter
    expected = convert_weight(weight, layout, out_capsules=J).double()
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_sizes_of_one_in_the_layer_are_kept() -> None:
    layer = CapsuleLinear(1, K, J, D)
    load_weight(layer, torch.randn(1, J, D, K), "IJDK")
    load_weight(layer, torch.randn(1, 1, J, D, K), "IJDK")


def test_ambiguous_sizes_ask_for_the_layout() -> None:
    layer = CapsuleLinear(I, 4, J, 4)
    with pytest.raises(ValueError, match=r"^layout: .* JIKD and JIDK fit; name one of IKJD"):
        load_weight(layer, torch.randn(J, I, 4, 4))
    load_weight(layer, torch.randn(J, I, 4, 4), "JIDK")


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((7, K, J, D), None, r"^layout: .*\[7, 2, 3, 4\].* I=5, K=2, J=3, D=4, but none fits"),
        ((7, K, J, D), "IKJD", r"^weight: expected sizes I=5, K=2, J=3, D=4 .* got .*\[7, 2, 3, 4"),
        ((2, I, K, J, D), "IKJD", r"^weight: expected 4 dimensions IKJD, or 1s before them, got"),
        ((K, J, D), "IKJD", r"^weight: expected 4 dimensions IKJD.* got shape \[2, 3, 4\]"),
        ((I, K, 10), "IK(JD)", r"^out_capsules: expected a divisor of J \* D = 10, got 3"),
        ((I, K, 0, D), "IKJD", r"^weight: expected sizes of at least 1, got shape \[5, 2, 0, 4\]"),
        ((I, K, J, D), "DKIJ", r"^layout: expected one of IKJD, .* got 'DKIJ'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    shape: tuple[int, ...], layout: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_weight(CapsuleLinear(I, K, J, D), torch.zeros(shape), layout)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (torch.zeros(SHAPES["IK(JD)"]), "IK(JD)", None),
            ValueError,
            "^out_capsules: expected",
        ),
        ((torch.zeros(SHAPES["JIKD"]), "JIKD", 4), ValueError, "^out_capsules: .* 3, got 4"),
        ((torch.zeros(SHAPES["JIKD"]), "JIKD", 0), ValueError, "^out_capsules: expected at least"),
        (([[1.0]], "JIKD", None), TypeError, "^weight: expected a torch.Tensor, got list"),
    ],
)
def test_convert_refuses_bad_arguments(
    arguments: tuple[Any, str, Any], error: type[Exception], message: str
) -> None:
    weight, layout, out_capsules = arguments
    with pytest.raises(error, match=message):
        convert_weight(weight, layout, out_capsules=out_capsules)


def test_load_refuses_another_module() -> None:
    with pytest.raises(TypeError, match=r"^layer: expected a CapsuleLinear, got Linear"):
        load_weight(torch.nn.Linear(2, 3), torch.zeros(2, 3))
