"""Losses against the paper's equations, computed in float64 with NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.networks.conv_net import ConvNet
from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.objectives import CapsuleObjective, LogitObjective, Objective, matching_alpha
from fastcaps.training.statistics import PixelStatistics
from tests.training.au_runs import TinyCapsNet

CLASSES = 4
WEIGHTS = torch.tensor([0.4, 0.1, 0.3, 0.2])
LAMBDA = 0.35
ALPHA = 0.013


def alone(number: Tensor) -> Tensor:
    return number


def options(exclusive: bool) -> NetworkOptions:
    return NetworkOptions(CLASSES, 32, 1, exclusive=exclusive)


def statistics() -> PixelStatistics:
    random = np.random.default_rng(2)
    mean, std = random.uniform(0.2, 0.8, (2, 1, 32, 32)).astype(np.float32)
    return PixelStatistics(mean, std)


def capsule_objective(
    exclusive: bool = False,
    margin_on: Literal["lengths", "softmax"] = "lengths",
    alpha: float = ALPHA,
) -> CapsuleObjective:
    torch.manual_seed(0)
    network = TinyCapsNet(options(exclusive))
    network.standardise.set(statistics())
    with torch.no_grad():
        # Lengths on both sides of both margins.
        network.classes.weight.mul_(40)
    return CapsuleObjective(network, WEIGHTS, LAMBDA, alpha, margin_on).double().eval()


def logit_objective(exclusive: bool) -> LogitObjective:
    torch.manual_seed(0)
    network = ConvNet(options(exclusive))
    with torch.no_grad():
        network.logits.weight.mul_(60)
    return LogitObjective(network, WEIGHTS, LAMBDA).eval()


def some_images(count: int, seed: int = 0) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.uniform(0, 1, (count, 1, 32, 32)))


def some_labels(count: int, exclusive: bool) -> Tensor:
    random = np.random.default_rng(7)
    if exclusive:
        one_hot = np.eye(CLASSES, dtype=np.int8)
        return torch.from_numpy(one_hot[random.integers(0, CLASSES, count)])
    return torch.from_numpy(random.integers(-1, 2, (count, CLASSES), dtype=np.int8))


@torch.no_grad()
def capsules(objective: CapsuleObjective, images: Tensor) -> NDArray[np.float64]:
    v: NDArray[np.float64] = objective.network(images).numpy()
    return v


def paper_margin(lengths: NDArray[np.float64], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Section 3: w_c (T_c max(0, m+ - |v_c|)^2 + lambda (1 - T_c) max(0, |v_c| - m-)^2)."""
    present = labels == 1
    present_cost = present * np.maximum(0, 0.9 - lengths) ** 2
    absent_cost = (1 - present) * np.maximum(0, lengths - 0.1) ** 2
    return WEIGHTS.double().numpy() * (present_cost + LAMBDA * absent_cost)


@torch.no_grad()
def paper_reconstruction(
    objective: CapsuleObjective, images: Tensor, labels: NDArray[np.int8]
) -> float:
    """Squared errors from the capsules of the classes present, summed over each image."""
    v = capsules(objective, images)
    v[labels != 1] = 0
    pictures = objective.network.decoder(torch.from_numpy(v.reshape(len(v), -1))).numpy()
    found = statistics()
    standardised = (images.numpy() - found.mean.astype(float)) / found.std.astype(float)
    errors: NDArray[np.float64] = ((pictures - standardised) ** 2).sum(axis=(1, 2, 3))
    return float(errors.mean())


def assert_terms(terms: dict[str, Tensor], margin: float, reconstruction: float) -> None:
    expected = {
        "loss": margin + ALPHA * reconstruction,
        "margin": margin,
        "reconstruction": reconstruction,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-7)


def test_action_units_have_the_papers_loss_over_known_labels() -> None:
    objective, images, labels = capsule_objective(), some_images(9), some_labels(9, False)
    found = labels.numpy()
    lengths = np.linalg.norm(capsules(objective, images), axis=2)
    for present in (0, 1):
        of_these = lengths[found == present]
        assert of_these.min() < 0.1 < 0.9 < of_these.max()
    known = found != -1
    assert 0 < (~known).sum() < known.sum()
    margin = paper_margin(lengths, found)[known].mean()
    reconstruction = paper_reconstruction(objective, images, found)
    assert_terms(objective(images, labels, alone), margin, reconstruction)


@pytest.mark.parametrize("margin_on", ["lengths", "softmax"])
def test_emotions_have_the_papers_loss(margin_on: Literal["lengths", "softmax"]) -> None:
    objective = capsule_objective(exclusive=True, margin_on=margin_on)
    images, labels = some_images(9), some_labels(9, True)
    lengths = np.linalg.norm(capsules(objective, images), axis=2)
    if margin_on == "softmax":
        lengths = np.exp(lengths) / np.exp(lengths).sum(axis=1, keepdims=True)
    margin = paper_margin(lengths, labels.numpy()).mean()
    reconstruction = paper_reconstruction(objective, images, labels.numpy())
    assert_terms(objective(images, labels, alone), margin, reconstruction)


def test_logistic_cross_entropy_is_weighted_like_the_margin_loss() -> None:
    objective, images, labels = (
        logit_objective(False),
        some_images(9).float(),
        some_labels(9, False),
    )
    with torch.no_grad():
        logits = objective.network(images).double().numpy()
    found = labels.numpy()
    assert logits.std() > 0.5
    scores = 1 / (1 + np.exp(-logits))
    costs = np.where(found == 1, -np.log(scores), -LAMBDA * np.log(1 - scores))
    expected = (WEIGHTS.double().numpy() * costs)[found != -1].mean()
    terms = objective(images, labels, alone)
    assert list(terms) == ["loss"]
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_softmax_cross_entropy_is_weighted_by_the_class_that_is_present() -> None:
    objective, images, labels = logit_objective(True), some_images(9).float(), some_labels(9, True)
    with torch.no_grad():
        logits = objective.network(images).double().numpy()
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shown = labels.numpy().argmax(1)
    expected = -(WEIGHTS.double().numpy()[shown] * np.log(scores[np.arange(9), shown])).mean()
    assert objective(images, labels, alone)["loss"].item() == pytest.approx(expected, rel=1e-5)


def both(exclusive: bool) -> list[Objective]:
    return [capsule_objective(exclusive), logit_objective(exclusive).double()]


def on_devices(
    objective: Objective, shares: list[tuple[Tensor, Tensor]]
) -> list[dict[str, Tensor]]:
    """The terms that devices find which see a share of a batch each and average their counts."""
    counted: list[list[Tensor]] = []
    for share in shares:
        counted.append([])
        objective(*share, noting(counted[-1]))
    means = [torch.stack(numbers).mean() for numbers in zip(*counted, strict=True)]
    return [objective(*share, one_by_one(means)) for share in shares]


def noting(numbers: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def note(number: Tensor) -> Tensor:
        numbers.append(number.double())
        return number

    return note


def one_by_one(means: list[Tensor]) -> Callable[[Tensor], Tensor]:
    left = iter(means)
    return lambda _: next(left)


@pytest.mark.parametrize("exclusive", [False, True])
def test_devices_together_learn_what_one_does(exclusive: bool) -> None:
    images, labels = some_images(8), some_labels(8, exclusive)
    if not exclusive:
        labels[:3] = -1
    shares = [(images[part], labels[part]) for part in (slice(4), slice(4, 8))]
    for objective in both(exclusive):
        whole = objective(images, labels, alone)
        parts = on_devices(objective, shares)
        for name, term in whole.items():
            mean = sum(part[name].item() for part in parts) / 2
            assert mean == pytest.approx(term.item(), rel=1e-6), name


def test_a_batch_of_which_nothing_is_known_costs_nothing() -> None:
    images, labels = some_images(2), torch.full((2, CLASSES), -1, dtype=torch.int8)
    assert capsule_objective()(images, labels, alone)["margin"].item() == 0
    assert logit_objective(False).double()(images, labels, alone)["loss"].item() == 0


def test_reconstruction_teaches_only_the_capsules_of_classes_present() -> None:
    objective, images, labels = capsule_objective(), some_images(9), some_labels(9, False)
    caught: list[Tensor] = []

    def catch(_: object, __: object, v: Tensor) -> None:
        v.retain_grad()
        caught.append(v)

    hook = objective.network.classes.register_forward_hook(catch)
    objective(images, labels, alone)["reconstruction"].backward()
    hook.remove()
    (v,) = caught
    reached = v.grad.abs().sum(2) > 0
    assert torch.equal(reached, labels == 1)


def test_nothing_unknown_teaches_anything() -> None:
    images, labels = some_images(9), some_labels(9, False)
    for objective in both(False):
        caught: list[Tensor] = []
        last = "logits" if isinstance(objective, LogitObjective) else "classes"

        def catch(_: object, __: object, v: Tensor, caught: list[Tensor] = caught) -> None:
            v.retain_grad()
            caught.append(v)

        hook = objective.network.get_submodule(last).register_forward_hook(catch)
        objective(images, labels, alone)["loss"].backward()
        hook.remove()
        (v,) = caught
        reached = v.grad.reshape(9, CLASSES, -1).abs().sum(2) > 0
        assert not reached[labels == -1].any()
        assert reached[labels == 1].all()


def test_alpha_makes_both_terms_equal() -> None:
    objective = capsule_objective(alpha=math.nan)
    batches = [(some_images(5, seed), some_labels(5, False)) for seed in range(3)]
    before = [parameter.clone() for parameter in objective.parameters()]
    alpha = matching_alpha(objective, batches, alone)
    for one, other in zip(objective.parameters(), before, strict=True):
        assert torch.equal(one, other)
        assert one.grad is None
    margin = reconstruction = 0.0
    for images, labels in batches:
        found = labels.numpy()
        lengths = np.linalg.norm(capsules(objective, images), axis=2)
        margin += paper_margin(lengths, found)[found != -1].mean()
        reconstruction += paper_reconstruction(objective, images, found)
    assert alpha * reconstruction == pytest.approx(margin, rel=1e-6)
