"""What a run works on: processors, GPUs, nodes; and Lightning's trainer for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only

from fastcaps.training.errors import InputError
from fastcaps.training.faces.detectors import Device, choose_device
from fastcaps.training.run_folder import AtomicCheckpointIO
from fastcaps.training.run_settings import Precision

__all__ = ["Resources", "is_first_process", "make_trainer"]

GPU_WORKERS = 2
"""Processes that read frames for one GPU."""

STEPS_BETWEEN_LOGS = 10

MOST_LINES = 20
"""Epochs of a fold that each keep their progress bar."""

LONGEST_WAIT = timedelta(hours=12)
"""For the first process, which scores all frames of a fold alone."""


@dataclass(frozen=True)
class Resources:
    """What a run works with.

    The result does not depend on it but for rounding, unless several devices share the batches of
    a network with dropout, whose numbers are then drawn for each device, or several processes on
    CPUs those of one with batch normalisation, DRML, where each normalises its own share.

    Attributes:
        device: "auto" for GPUs where there are any.
        devices: GPUs, or processes on CPUs, of each node; None for one, or as many as torchrun or
            SLURM started.
        nodes: how many machines; None for one, or as many as torchrun or SLURM started. More
            than one have to be started by these, and to share the run's folder.
        workers: processes for each device that read frames ahead of it; None for 2 on a GPU; on a
            CPU, where reading takes no time beside the rest, 0.
        save_seconds: time between two checkpoints within an epoch.
        progress: whether to show progress bars.

    Raises:
        InputError: GPUs are asked for that are not there, a number is too small, or there are
            other processes than torchrun or SLURM started.
    """

    device: Device = "auto"
    devices: int | None = None
    nodes: int | None = None
    workers: int | None = None
    save_seconds: float = 60.0
    progress: bool = True

    def __post_init__(self) -> None:
        choose_device(self.device)
        for name, smallest in (("devices", 1), ("nodes", 1), ("workers", 0), ("save_seconds", 0)):
            value = getattr(self, name)
            if value is not None and not value >= smallest:
                raise InputError(f"{name}: expected at least {smallest}, got {value}")
        devices, nodes = self.layout
        if self.on_gpu and devices > torch.cuda.device_count():
            raise InputError(
                f"devices: expected up to {torch.cuda.device_count()}, as many as this process "
                f"sees, got {devices}"
            )
        started, of_node = _started()
        if started > 1 and (devices, devices * nodes) != (of_node, started):
            raise InputError(
                f"devices, nodes: expected {of_node} of each node and {started} in all, as many "
                f"as were started, got {devices} x {nodes}"
            )
        if started == 1 and nodes > 1:
            raise InputError(
                f"nodes: expected 1, or processes started by torchrun or srun, got {nodes}"
            )

    @property
    def on_gpu(self) -> bool:
        """Whether GPUs are used."""
        return choose_device(self.device) == "cuda"

    @property
    def torch_device(self) -> torch.device:
        """The device of a program that uses one."""
        return torch.device(choose_device(self.device))

    @property
    def readers(self) -> int:
        """Processes that read frames for this process."""
        if self.workers is not None:
            return self.workers
        return GPU_WORKERS if self.on_gpu else 0

    @property
    def device_name(self) -> str:
        """For people: the GPU's name, or the number of threads of the CPU."""
        if self.on_gpu:
            return torch.cuda.get_device_name()
        return f"CPU, {torch.get_num_threads()} threads"

    @property
    def layout(self) -> tuple[int, int]:
        """Devices of each node, and nodes."""
        started, of_node = _started()
        devices = self.devices or of_node
        return devices, self.nodes or max(1, started // devices)

    @property
    def place(self) -> tuple[int, int]:
        """The number of this process, from 0, and how many there are."""
        devices, nodes = self.layout
        return _rank(), devices * nodes


def is_first_process() -> bool:
    """Whether this process is the one that writes files."""
    return _rank() == 0


def make_trainer(
    resources: Resources,
    precision: Precision,
    epochs: int,
    callbacks: Sequence[lightning.Callback],
    folder: Path,
    title: str,
    first_step: int,
    steps_per_epoch: int,
) -> lightning.Trainer:
    """A trainer that logs for TensorBoard into ``folder`` from step ``first_step`` on.

    Its progress bars begin with ``title``.
    """
    devices, nodes = resources.layout
    logger = TensorBoardLogger(
        folder, name="", version="tensorboard", default_hp_metric=False, purge_step=first_step
    )
    return lightning.Trainer(
        accelerator="cuda" if resources.on_gpu else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(timeout=LONGEST_WAIT) if devices * nodes > 1 else "auto",
        precision=precision,
        max_epochs=epochs,
        callbacks=[*callbacks, *([_ProgressBar(title, epochs)] if resources.progress else [])],
        plugins=[AtomicCheckpointIO(), _environment()],
        logger=logger,
        default_root_dir=folder,
        log_every_n_steps=min(STEPS_BETWEEN_LOGS, steps_per_epoch),
        # What no deterministic kernel exists for still runs, with a warning.
        deterministic="warn",
        sync_batchnorm=resources.on_gpu and devices * nodes > 1,
        use_distributed_sampler=False,
        enable_progress_bar=resources.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


class _ProgressBar(RichProgressBar):
    """Steps a second, time left, and the loss; a line for each epoch, unless there are many."""

    def __init__(self, title: str, epochs: int) -> None:
        super().__init__(leave=epochs <= MOST_LINES)
        self.title = title

    def get_metrics(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> dict[str, Any]:
        """All but the name of the logger's folder."""
        found = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in found.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.title}, epoch {current_epoch + 1} of {self.trainer.max_epochs}"


def _rank() -> int:
    return int(getattr(rank_zero_only, "rank", 0) or 0)


def _started() -> tuple[int, int]:
    """How many processes torchrun or SLURM started in all, and on this node."""
    environment = os.environ
    if _by_torchrun():
        return int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
    # srun sets these; within a mere allocation nothing is started.
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    return tasks, tasks // int(environment.get("SLURM_STEP_NUM_NODES", 1))


def _by_torchrun() -> bool:
    return "LOCAL_WORLD_SIZE" in os.environ


def _environment() -> ClusterEnvironment:
    """Who started the processes, so that Lightning does not guess it otherwise."""
    if _by_torchrun():
        return TorchElasticEnvironment()
    if _started()[0] > 1:
        try:
            # Requeueing would leave checkpoints that other runs then start from.
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:
            raise InputError(f"srun: {error}") from error
    return LightningEnvironment()
