"""Training steps of networks for action units, whole and in parts, without Lightning around them.

They compute what :class:`fastcaps.training.au_training.AUTraining` does on one device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.timing import synchronize
from fastcaps import squash
from fastcaps.training.augmentation import GRAY_96, augment
from fastcaps.training.batches import Batch
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import CapsuleNetwork, NetworkOptions
from fastcaps.training.objectives import CapsuleObjective, LogitObjective, Objective

__all__ = ["CLASSES", "PARTS", "PRECISIONS", "TrainedNetwork"]

CLASSES = 12
"""Action units of BP4D."""

PRECISIONS = ("32-true", "bf16-mixed")

PARTS = (
    "read",
    "augment",
    "convolutions",
    "capsules",
    "decoder and loss",
    "decoder and loss, backward",
    "capsules, backward",
    "convolutions, backward",
    "optimiser",
)
"""Of a training step of a capsule network. Frames go to the device as part of "augment"."""


class TrainedNetwork:
    """A network for gray images of 96 x 96 pixels with its loss and its optimiser.

    Args:
        name: of the network.
        device: "cpu" or "cuda".
        backend: of its capsule layers; None for fastcaps' own choice.

    Attributes:
        objective: the loss, which has the network.
        optimizer: Adam.
    """

    def __init__(self, name: str, device: str, backend: str | None = None) -> None:
        torch.manual_seed(0)
        options = NetworkOptions(CLASSES, GRAY_96.side, channels=1, backend=backend)
        network = make_network(name, options)
        weights = torch.ones(CLASSES)
        self.objective: Objective = (
            CapsuleObjective(network, weights, 0.5, 1e-7, "lengths")
            if isinstance(network, CapsuleNetwork)
            else LogitObjective(network, weights, 0.5)
        )
        self.objective.to(device)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
        self.device = device

    def random_batch(self, batch: int) -> tuple[Tensor, Tensor]:
        """Images [B, 1, 96, 96] and labels int8 [B, 12]."""
        images = torch.rand(batch, 1, GRAY_96.side, GRAY_96.side, device=self.device)
        labels = torch.randint(0, 2, (batch, CLASSES), dtype=torch.int8, device=self.device)
        return images, labels

    def step(self, images: Tensor, labels: Tensor, precision: str) -> None:
        """Forward, loss, backward, and Adam."""
        with self._arithmetic(precision):
            loss = self.objective(images, labels, lambda number: number)["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.inference_mode()
    def scores(self, images: Tensor, precision: str) -> Tensor:
        """What the network says about images [B, 1, 96, 96]: [B, 12]."""
        network = self.objective.network.eval()
        with self._arithmetic(precision):
            output = network(images)
        network.train()
        scores: Tensor = network.scores(output)
        return scores

    def capsule_part(self, images: Tensor, precision: str) -> Callable[[], object]:
        """A call that squashes, routes and goes back, from the last convolution's maps on."""
        network = self.objective.network
        primary, classes = network.primary, network.classes
        with self._arithmetic(precision), torch.no_grad():
            maps = primary.conv(network.features(network.standardise(images)))
            grad_v = torch.randn_like(network(images))
        maps.requires_grad_()

        def call() -> object:
            with self._arithmetic(precision):
                s = maps.unflatten(1, (primary.capsules, primary.dim)).permute(0, 1, 3, 4, 2)
                v = classes(squash(s.flatten(1, 3), backend=primary.backend))
            return torch.autograd.grad(v, (maps, classes.weight), grad_v)

        return call

    def parts(self, batches: Iterator[Batch], precision: str) -> list[float]:
        """Seconds that each of :data:`PARTS` takes of a step with the next batch.

        The device finishes each part before the next one starts.
        """
        marks: list[float] = []

        def mark(*_: object) -> None:
            synchronize(self.device)
            marks.append(time.perf_counter())

        def mark_both_ways(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
            mark()
            torch.autograd.graph.register_multi_grad_hook([output], mark)

        network = self.objective.network
        with ExitStack() as hooks:
            for hook in (
                network.primary.conv.register_forward_hook(mark_both_ways),
                network.classes.register_forward_hook(mark_both_ways),
                self.objective.register_forward_hook(mark),
                self.optimizer.register_step_pre_hook(mark),
                self.optimizer.register_step_post_hook(mark),
            ):
                hooks.enter_context(hook)
            mark()
            batch = next(batches)
            mark()
            frames, labels, rows = (tensor.to(self.device, non_blocking=True) for tensor in batch)
            images = augment(frames, rows, 0, GRAY_96)
            mark()
            self.step(images, labels, precision)
        return [later - earlier for earlier, later in pairwise(marks)]

    def _arithmetic(self, precision: str) -> torch.autocast:
        # As Lightning has it.
        return torch.autocast(
            self.device, torch.bfloat16, enabled=precision == "bf16-mixed", cache_enabled=False
        )
