"""Margin and reconstruction loss: the papers' formulas, masks, unknown labels, bad arguments."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.func import vmap

from fastcaps import MarginLoss, ReconstructionLoss, mask_capsules

LENGTHS = torch.tensor([[0.95, 0.3, 0.05], [0.2, 0.1, 0.7]])
INDICES = torch.tensor([0, 1])
MULTI_HOT = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
# By hand from equation 4 with m+ = 0.9, m- = 0.1, lambda = 0.5.
EXPECTED = torch.tensor([[0.0, 0.5 * 0.2**2, 0.0], [0.5 * 0.1**2, 0.8**2, 0.5 * 0.6**2]])


def capsules(lengths: torch.Tensor = LENGTHS, dim: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(*lengths.shape, dim, generator=generator)
    return torch.nn.functional.normalize(directions, dim=-1) * lengths[..., None]


@pytest.mark.parametrize(
    "target",
    [INDICES, INDICES.byte(), MULTI_HOT, MULTI_HOT.bool(), MULTI_HOT.long(), MULTI_HOT.byte()],
    ids=["indices", "uint8 indices", "float labels", "bool labels", "int labels", "uint8 labels"],
)
def test_margin_loss_is_equation_4(target: torch.Tensor) -> None:
    torch.testing.assert_close(MarginLoss(reduction="none")(capsules(), target), EXPECTED)


@pytest.mark.parametrize(("reduction", "terms"), [("mean", 6), ("batchmean", 2), ("sum", 1)])
def test_reductions(reduction: Any, terms: int) -> None:
    loss = MarginLoss(reduction=reduction)(capsules(), INDICES)
    torch.testing.assert_close(loss, EXPECTED.sum() / terms)


def test_several_classes_present_at_once() -> None:
    target = torch.tensor([[1, 1, 0], [0, 0, 0]])
    loss = MarginLoss(reduction="none")(capsules(), target)
    torch.testing.assert_close(loss[0, 1], torch.tensor(0.6**2))
    torch.testing.assert_close(loss[1, 1], torch.tensor(0.0))


def test_unknown_labels_do_not_count() -> None:
    target = torch.tensor([[1.0, -1, 0], [-1, 1, -1]])
    v = capsules().requires_grad_()
    loss = MarginLoss()(v, target)
    torch.testing.assert_close(loss, EXPECTED[[0, 0, 1], [0, 2, 1]].mean())
    (gradient,) = torch.autograd.grad(loss, v)
    assert not gradient[target == -1].any()
    per_label = MarginLoss(reduction="none")(v, target)
    assert not per_label[target == -1].any()


@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum"])
def test_nothing_known_costs_nothing(reduction: Any) -> None:
    v = capsules().requires_grad_()
    loss = MarginLoss(reduction=reduction)(v, torch.full((2, 3), -1))
    (gradient,) = torch.autograd.grad(loss, v)
    assert loss == 0
    assert not gradient.any()
    assert MarginLoss(reduction=reduction)(v[:0], INDICES[:0]) == 0


def test_class_weights_multiply_and_follow_the_module() -> None:
    loss = MarginLoss(class_weights=[0.5, 2, 1], reduction="none")
    weights = torch.tensor([0.5, 2, 1])
    torch.testing.assert_close(loss(capsules(), INDICES), EXPECTED * weights)
    assert loss.to(torch.float64).class_weights.dtype == torch.float64
    assert "class_weights" in loss.state_dict()
    torch.testing.assert_close(copy.deepcopy(loss).class_weights, weights.double())


def test_class_weights_are_a_copy() -> None:
    weights = torch.ones(3)
    loss = MarginLoss(class_weights=weights)
    weights.zero_()
    assert loss.class_weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-4])
def test_gradient_is_finite_at_and_near_zero(dtype: torch.dtype, scale: float) -> None:
    v = (capsules() * scale).to(dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(MarginLoss()(v, INDICES), v)
    assert gradient.isfinite().all()
    if scale == 0:
        assert not gradient.any()


def test_gradient_checks_in_float64() -> None:
    v = capsules().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: MarginLoss()(v, INDICES), v)


def test_half_types_are_computed_in_float32() -> None:
    v = capsules().to(torch.bfloat16)
    loss = MarginLoss()(v, INDICES)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, MarginLoss()(v.float(), INDICES))


def test_nan_stays_in_its_sample() -> None:
    v = capsules()
    v[0, 0, 0] = float("nan")
    loss = MarginLoss(reduction="none")(v, INDICES)
    assert loss[0, 0].isnan()
    torch.testing.assert_close(loss[1], EXPECTED[1])


@pytest.mark.parametrize("target", [INDICES, MULTI_HOT])
def test_losses_compile_without_graph_breaks(target: torch.Tensor) -> None:
    def loss(v: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        kept = mask_capsules(v, target)
        return MarginLoss()(v, target) + ReconstructionLoss()(kept, torch.zeros(2, 12))

    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(compiled(capsules(), target), loss(capsules(), target))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"m_plus": 1.1}, ValueError, r"^m_plus: expected a finite number in \[0, 1\], got 1.1"),
        ({"m_minus": 0.95}, ValueError, r"^m_minus: expected .* in \[0, 0.9\], got 0.95"),
        ({"m_minus": "0.1"}, TypeError, "^m_minus: expected a number, got str"),
        ({"absent_weight": -1}, ValueError, "^absent_weight: expected .* got -1"),
        ({"absent_weight": float("nan")}, ValueError, "^absent_weight: expected .* got nan"),
        ({"absent_weight": float("inf")}, ValueError, "^absent_weight: expected .* got inf"),
        ({"reduction": "avg"}, ValueError, "^reduction: expected one of mean, .* got 'avg'"),
        ({"class_weights": [[1.0]]}, ValueError, r"^class_weights: expected shape \[N_out\]"),
        ({"class_weights": [1.0, -1]}, ValueError, "^class_weights: expected finite weights >= 0"),
        ({"class_weights": "a"}, TypeError, "^class_weights: expected numbers, got 'a'"),
        ({"class_weights": [1j]}, TypeError, "^class_weights: expected real numbers, got"),
    ],
)
def test_margin_loss_refuses_bad_options(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MarginLoss(**options)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ([0, 1], TypeError, "^target: expected a torch.Tensor, got list"),
        (torch.tensor([0.0, 1]), TypeError, "^target: expected class indices of an integer dtype"),
        (torch.tensor([0, 3]), ValueError, r"^target: expected class indices in 0 .. 2, got 3"),
        (torch.tensor([-1, 0]), ValueError, r"^target: expected class indices in 0 .. 2, got -1"),
        (torch.tensor([0, 1, 2]), ValueError, r"^target: expected .*\[2\].*\[2, 3\].* got .*\[3\]"),
        (torch.zeros(2, 4), ValueError, r"^target: expected .*\[2, 3\].* got shape \[2, 4\]"),
        (torch.full((2, 3), 0.5), ValueError, "^target: expected labels 1, 0 or -1, got 0.5"),
        (torch.full((2, 3), torch.nan), ValueError, "^target: expected labels 1, 0 or -1, got nan"),
        (
            torch.full((2, 3), 255).byte(),
            ValueError,
            "^target: expected labels 1, 0 or -1, got 255",
        ),
        (torch.zeros(2, 3) * 1j, TypeError, "^target: expected a real dtype, got torch.complex64"),
    ],
)
def test_bad_targets_are_refused(target: Any, error: type[Exception], message: str) -> None:
    for function in (MarginLoss(), mask_capsules):
        with pytest.raises(error, match=message):
            function(capsules(), target)


@pytest.mark.parametrize("target", [MULTI_HOT, INDICES], ids=["labels", "indices"])
def test_vmap_over_samples(target: torch.Tensor) -> None:
    v, loss = capsules(), MarginLoss()
    actual = vmap(loss)(v[:, None], target[:, None])
    expected = torch.stack([loss(v[i : i + 1], target[i : i + 1]) for i in range(len(v))])
    torch.testing.assert_close(actual, expected)


def test_margin_loss_refuses_bad_capsules() -> None:
    with pytest.raises(ValueError, match=r"^v: expected shape \[B, N_out, D_out\].* got \[2, 3\]"):
        MarginLoss()(LENGTHS, INDICES)
    with pytest.raises(ValueError, match=r"^v: expected 2 capsules.* got shape \[2, 3, 4\]"):
        MarginLoss(class_weights=[1, 1])(capsules(), INDICES)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"target": INDICES}, [[1, 0, 0], [0, 1, 0]]),
        ({"target": torch.tensor([[1, -1, 1], [0, 0, 0]])}, [[1, 0, 1], [0, 0, 0]]),
        ({}, [[1, 0, 0], [0, 0, 1]]),
        ({"threshold": 0.25}, [[1, 1, 0], [0, 0, 1]]),
    ],
    ids=["indices", "labels", "longest", "threshold"],
)
def test_mask_keeps_only_the_present_classes(
    options: dict[str, Any], kept: list[list[int]]
) -> None:
    v = capsules().requires_grad_()
    masked = mask_capsules(v, **options)
    mask = torch.tensor(kept)[..., None].float()
    torch.testing.assert_close(masked, v * mask, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(masked.sum(), v)
    torch.testing.assert_close(gradient, mask.expand_as(v))


def test_mask_keeps_nan_out_of_other_capsules() -> None:
    v = capsules()
    v[0, 1] = float("nan")
    assert mask_capsules(v, INDICES).isfinite().all()


def test_mask_refuses_bad_options() -> None:
    with pytest.raises(ValueError, match=r"^threshold: expected .* \[0, 1\], got 2"):
        mask_capsules(capsules(), threshold=2)
    with pytest.raises(ValueError, match=r"^threshold: expected None where a target is given"):
        mask_capsules(capsules(), INDICES, threshold=0.5)


@pytest.mark.parametrize(
    ("reduction", "expected"), [("batchmean", 10.0), ("mean", 2.5), ("none", [4.0, 16.0])]
)
def test_reconstruction_loss(reduction: Any, expected: Any) -> None:
    image = torch.zeros(2, 1, 2, 2)
    reconstruction = torch.tensor([[1.0] * 4, [2.0] * 4])
    loss = ReconstructionLoss(reduction)(reconstruction, image)
    torch.testing.assert_close(loss, torch.tensor(expected))


@pytest.mark.parametrize("reduction", ["batchmean", "mean"])
def test_reconstruction_of_nothing_costs_nothing(reduction: Any) -> None:
    assert ReconstructionLoss(reduction)(torch.zeros(0, 4), torch.zeros(0, 2, 2)) == 0


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.zeros(2, 5), ValueError, r"^image: expected .* \[2, 4\], got shape \[2, 5\]"),
        (torch.zeros(4, 2), ValueError, r"^image: expected .* \[2, 4\], got shape \[4, 2\]"),
        (torch.zeros(8), ValueError, r"^image: expected .* \[2, 4\], got shape \[8\]"),
        (torch.zeros(2, 4, dtype=torch.uint8), TypeError, "^image: expected one of .*uint8"),
    ],
)
def test_reconstruction_loss_refuses_bad_images(
    image: torch.Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ReconstructionLoss()(torch.zeros(2, 4), image)


def test_reconstruction_loss_refuses_an_unknown_reduction() -> None:
    with pytest.raises(ValueError, match=r"^reduction: expected one of mean, batchmean, none, got"):
        ReconstructionLoss("sum")


def test_repr_shows_the_options() -> None:
    assert repr(MarginLoss(class_weights=[1, 2])) == (
        "MarginLoss(m_plus=0.9, m_minus=0.1, absent_weight=0.5, reduction='mean', 2 weights)"
    )
    assert repr(ReconstructionLoss()) == "ReconstructionLoss(reduction='batchmean')"
