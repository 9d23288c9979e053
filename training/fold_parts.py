"""What the training of one fold is made of, as its settings say: the loss of a new network, the
augmentation of its images, and the first batches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import torch

from fastcaps.training.au_training import check_lr_factors
from fastcaps.training.augmentation import COLOUR_224, GRAY_96, AugmentationSettings
from fastcaps.training.batches import Batch, Shuffled, load
from fastcaps.training.console import progress_bar
from fastcaps.training.devices import Resources, is_first_process
from fastcaps.training.errors import InputError
from fastcaps.training.fold_task import FoldTask
from fastcaps.training.initial_weights import set_initial_weights
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import CapsuleNetwork, LogitNetwork
from fastcaps.training.objectives import CapsuleObjective, LogitObjective, Objective
from fastcaps.training.run_network import network_options
from fastcaps.training.run_settings import AUTO
from fastcaps.training.statistics import PixelStatistics, class_weights, pixel_statistics

__all__ = ["augmentation_of", "check_network", "check_shares", "first_batches", "make_objective"]

STATISTICS = "statistics.npz"
BATCHES_FOR_ALPHA = 8


def check_network(task: FoldTask, resources: Resources) -> None:
    """See, before anything is written, that settings fit network, weights and devices.

    All folds of a run have the same.

    Raises:
        InputError: they do not.
    """
    settings = task.settings
    if settings.precision == "16-mixed" and not resources.on_gpu:
        raise InputError("precision: 16-mixed is for GPUs, expected bf16-mixed or 32-true on a CPU")
    options = network_options(settings, len(task.targets.classes), task.prepared.shape)
    # Of shapes only: nothing is drawn at random, and no memory is taken.
    with torch.device("meta"):
        network = make_network(settings.network, options)
    check_lr_factors(network, settings)
    set_initial_weights(network, settings, task.initial)


def check_shares(task: FoldTask, resources: Resources) -> None:
    """See that the devices can share out the batches of this fold.

    Raises:
        InputError: they cannot.
    """
    Shuffled(task.train_rows, task.settings.batch_size, task.settings.seed, resources.place)


def make_objective(task: FoldTask, show_progress: bool) -> Objective:
    """The loss of a new network, whose weights follow from the seed."""
    settings, targets = task.settings, task.targets
    weights = torch.from_numpy(class_weights(targets.labels, task.train_rows, targets.classes))
    torch.manual_seed(settings.seed)
    options = network_options(settings, len(targets.classes), task.prepared.shape)
    network = make_network(settings.network, options)
    network.standardise.set(_statistics(task, show_progress))
    set_initial_weights(network, settings, task.initial)
    if isinstance(network, LogitNetwork):
        return LogitObjective(network, weights, settings.absent_weight)
    assert isinstance(network, CapsuleNetwork)
    alpha = math.nan if settings.alpha == AUTO else float(settings.alpha)
    return CapsuleObjective(network, weights, settings.absent_weight, alpha, settings.margin_on)


def _statistics(task: FoldTask, show_progress: bool) -> PixelStatistics:
    path = task.folder / STATISTICS
    if path.exists():
        return PixelStatistics.load(path)
    frames, side = task.prepared.frames, task.prepared.shape.input_side
    with progress_bar("mean of pixels", show_progress) as progress:
        found = pixel_statistics(frames, task.train_rows, side, progress)
    if is_first_process():
        found.save(path)
    return found


def augmentation_of(task: FoldTask) -> AugmentationSettings:
    usual = GRAY_96 if task.prepared.shape.input_side == GRAY_96.side else COLOUR_224
    return replace(usual, seed=task.settings.seed, **task.settings.augmentation)


def first_batches(task: FoldTask, order: Shuffled) -> Iterable[Batch]:
    first = Shuffled(order.rows, order.batch_size, order.seed, (order.number, order.devices))
    batches = load(task.prepared.frames, task.targets.labels, first, workers=0, pinned=False)
    return islice(batches, BATCHES_FOR_ALPHA)
