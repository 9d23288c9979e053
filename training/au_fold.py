"""One fold of a run: trained, or taken up where it was stopped, and its frames scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray

from fastcaps.training.au_training import AUTraining
from fastcaps.training.batches import Shuffled, load
from fastcaps.training.console import progress_bar
from fastcaps.training.devices import Resources, is_first_process, make_trainer
from fastcaps.training.epoch_measures import epoch_measures
from fastcaps.training.errors import InputError
from fastcaps.training.finite import StopOnNonFinite
from fastcaps.training.fold_parts import augmentation_of, first_batches, make_objective
from fastcaps.training.fold_task import FoldResult, FoldTask, Trained
from fastcaps.training.objectives import CapsuleObjective, Objective
from fastcaps.training.run_files import LAST
from fastcaps.training.run_folder import (
    EpochLog,
    Measures,
    SaveCheckpoints,
    load_checkpoint,
    quiet,
    sigterm_is_an_error,
)
from fastcaps.training.run_network import OBJECTIVE
from fastcaps.training.scoring import score_frames

__all__ = ["check_checkpoint", "train_network"]


def train_network(
    task: FoldTask, resources: Resources, callbacks: Iterable[lightning.Callback] = ()
) -> Trained:
    """Train, or continue to train, the network of one fold.

    Args:
        task: what is to be trained, seen by :func:`check_network`.
        resources: what to work with.
        callbacks: further Lightning callbacks.

    Raises:
        InputError: the settings do not fit the data, or the folder holds something else.
    """
    settings, folder = task.settings, task.folder
    objective = make_objective(task, resources.progress and is_first_process())
    order = Shuffled(task.train_rows, settings.batch_size, settings.seed, resources.place)
    log = EpochLog(folder, _EpochMeasures(task, resources))
    checkpoint = _resume(folder, log, objective)
    order.start_at(*log.position)
    steps = len(order)
    module = AUTraining(
        objective, settings, augmentation_of(task), steps, lambda: first_batches(task, order)
    )
    if settings.precision == "64-true":
        module.double()  # Lightning does so after it has loaded a checkpoint, into float32
    if settings.compile:
        module.network.compile()
    saving = SaveCheckpoints(folder, log, resources.save_seconds)
    batches = load(
        task.prepared.frames,
        task.targets.labels,
        order,
        resources.readers,
        pinned=resources.on_gpu,
    )
    with _torch_as_it_was(), quiet(), sigterm_is_an_error():
        trainer = make_trainer(
            resources,
            settings.precision,
            settings.epochs,
            [StopOnNonFinite(folder), log, saving, *callbacks],
            folder,
            title=task.folder.name,
            first_step=len(log.rows) * steps + log.steps,
            steps_per_epoch=steps,
        )
        device = trainer.strategy.root_device
        trainer.fit(module, batches, ckpt_path=checkpoint)
    assert len(log.rows) == settings.epochs, "Lightning ended before the last epoch"

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with progress_bar("scores", resources.progress) as progress:
            # Lightning leaves the network on the CPU.
            return score_frames(
                module.network.to(device),
                task.prepared.frames,
                rows,
                batch_size=settings.batch_size,  # what is trained fits the device's memory
                workers=resources.readers,
                arithmetic=trainer.precision_plugin.forward_context,
                progress=progress,
            )

    return Trained(score, _result(objective, log, order, resources))


class _EpochMeasures:
    """Scores the test frames after each epoch, where the settings ask for that."""

    def __init__(self, task: FoldTask, resources: Resources) -> None:
        self.task = task
        self.resources = resources

    def __call__(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> Measures:
        task = self.task
        if not task.settings.test_each_epoch or not trainer.is_global_zero:
            return {}
        assert isinstance(module, AUTraining)
        scores = score_frames(
            module.network,
            task.prepared.frames,
            task.test_rows,
            batch_size=task.settings.batch_size,
            workers=self.resources.readers,
            arithmetic=trainer.precision_plugin.forward_context,
        )
        labels = task.targets.labels[task.test_rows]
        return epoch_measures(labels, scores, exclusive=task.targets.exclusive)


def check_checkpoint(task: FoldTask) -> None:
    """See that a fold that was stopped can go on.

    Raises:
        InputError: its files cannot be read, or are of another network.
    """
    if (task.folder / LAST).exists():
        _resume(task.folder, EpochLog(task.folder, lambda *_: {}), make_objective(task, False))


def _resume(folder: Path, log: EpochLog, objective: Objective) -> Path | None:
    """The checkpoint to continue from, if there is one; ``log`` is brought to where it stands."""
    path = folder / LAST
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    wanted = {f"{OBJECTIVE}.{name}": part.shape for name, part in objective.state_dict().items()}
    found = {name: part.shape for name, part in checkpoint["state_dict"].items()}
    if wanted != found:
        names = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise InputError(
            f"checkpoint: {path} is of another network: {names[0]} is "
            f"{found.get(names[0], 'missing')} there, expected {wanted.get(names[0], 'none')}"
        )
    states = checkpoint.get("callbacks", {})
    if log.state_key not in states:
        raise InputError(f"checkpoint: {path} is not one to go on from; delete it to start anew")
    log.load_state_dict(states[log.state_key])
    return path


def _result(
    objective: Objective, log: EpochLog, order: Shuffled, resources: Resources
) -> FoldResult:
    step_ms = log.median_step_ms
    timed = not math.isnan(step_ms)
    is_capsules = isinstance(objective, CapsuleObjective)
    return FoldResult(
        epochs=len(log.rows),
        parameters=_count(objective.network),
        decoder_parameters=_count(objective.network.decoder) if is_capsules else 0,
        images_per_second=1000 * order.batch_size / step_ms if timed else None,
        seconds=len(log.rows) * len(order) * step_ms / 1000 if timed else None,
        device=resources.device_name,
        alpha=float(objective.alpha) if is_capsules else None,
    )


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Take back what Lightning sets for the whole program, which may go on with something else."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
