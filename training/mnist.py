"""Train the capsule network of Sabour et al. (2017) on handwritten digits.

    python -m fastcaps.training.mnist --data mnist.npz

One convolution, 32 x 8-D primary capsules, ten 16-D digit capsules with three routing iterations,
and a decoder; margin loss plus 0.0005 times the squared error of the reconstruction; training
images moved by up to two pixels. A run that was stopped, in whatever way, continues when the same
command is given again, and ends as if it had not been.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytorch_lightning as lightning
import torch
import typer

from fastcaps.backends import BACKENDS, BackendError, choose_backend
from fastcaps.training.errors import InputError
from fastcaps.training.folders import claim_folder, write_json
from fastcaps.training.mnist_data import Batches, Digits, InOrder, load_digits
from fastcaps.training.mnist_network import NETWORKS, DigitTraining
from fastcaps.training.run_files import BEST, LAST, RESULT
from fastcaps.training.run_folder import (
    CONTENTS,
    AtomicCheckpointIO,
    EpochLog,
    SaveCheckpoints,
    load_checkpoint,
    quiet,
    sigterm_is_an_error,
)

__all__ = ["Result", "Settings", "app", "evaluate", "train"]

app = typer.Typer(add_completion=False)

Precision = Literal["32-true", "64-true", "bf16-mixed"]
Device = Literal["auto", "cpu", "cuda"]

EVALUATION_BATCH = 500
DEFAULT_EPOCHS = {"full": 5, "small": 6}
DEFAULT_LR = {"full": 1e-3, "small": 3e-3}


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run, apart from its length; see the command's ``--help``.

    Raises:
        InputError: a value is out of range.
    """

    network: str = "full"
    batch_size: int = 128
    lr: float = 1e-3
    lr_decay: float = 0.6
    reconstruction_weight: float = 0.0005
    seed: int = 0
    validation_fraction: float = 0.05
    precision: Precision = "32-true"
    backend: str | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("network", NETWORKS), ("backend", (*BACKENDS, None))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name}: expected one of {', '.join(map(str, choices))}, "
                    f"got {getattr(self, name)}"
                )
        for name, fits, expected in (
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**31, "0 .. 2^31 - 1"),
            ("lr", 0 < self.lr < math.inf, "a finite number above 0"),
            ("lr_decay", 0 < self.lr_decay <= 1, "a number in (0, 1]"),
            ("reconstruction_weight", 0 <= self.reconstruction_weight < math.inf, "at least 0"),
            ("validation_fraction", 0 < self.validation_fraction < 1, "a number in (0, 1)"),
        ):
            if not fits:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Result:
    """How a run ended: errors as parts of the images, times in milliseconds."""

    epochs: int
    validation_error: float
    test_error: float
    median_step_ms: float | None


def train(
    digits: Digits,
    settings: Settings,
    out: Path,
    epochs: int,
    *,
    device: Device = "auto",
    save_seconds: float = 60.0,
    progress: bool = True,
    callbacks: tuple[lightning.Callback, ...] = (),
) -> Result:
    """Train, or continue training, in the folder ``out``, and test the best epoch's network.

    Args:
        digits: what to train, validate and test on.
        settings: what decides the result; a folder with other settings is refused.
        out: the run's folder, made if it is missing.
        epochs: how many epochs the run has in all; may be raised when it is continued.
        device: "auto" for a GPU where there is one.
        save_seconds: time between two checkpoints within an epoch.
        progress: whether to show a progress bar.
        callbacks: further Lightning callbacks.

    Raises:
        InputError: ``out`` holds another run, or one of more epochs.
        BackendError: the backend cannot run on this device.
    """
    log = EpochLog(out, _validation_error)
    trainer = _trainer(
        settings.precision,
        device,
        max_epochs=epochs,
        callbacks=[log, SaveCheckpoints(out, log, save_seconds, "validation_error"), *callbacks],
        enable_progress_bar=progress,
    )
    _check_backend(settings.backend, trainer)
    # Only now, so that a run that cannot start leaves no folder behind.
    claim_folder(out, {**asdict(settings), "data": digits.digest}, CONTENTS)
    checkpoint = _resume(out, log, epochs)
    batches = Batches(digits.train, settings.batch_size, settings.seed)
    batches.start_at(*log.position)
    torch.manual_seed(settings.seed)
    module = DigitTraining(
        settings.network,
        settings.backend,
        settings.lr,
        settings.lr_decay,
        settings.reconstruction_weight,
        len(batches),
    )
    if settings.precision == "64-true":
        module.double()  # Lightning does so after it has loaded a checkpoint, into float32
    if settings.compile:
        module.network.compile()
    validation = InOrder(digits.validation, EVALUATION_BATCH)
    with quiet(), sigterm_is_an_error():
        trainer.fit(module, batches, validation, ckpt_path=checkpoint)
    result = Result(
        epochs=len(log.rows),
        validation_error=min(log.values("validation_error")),
        test_error=evaluate(
            out / BEST, digits, settings.precision, backend=settings.backend, device=device
        ),
        median_step_ms=None if math.isnan(log.median_step_ms) else log.median_step_ms,
    )
    write_json(out / RESULT, asdict(result))
    return result


def evaluate(
    checkpoint: Path,
    digits: Digits,
    precision: Precision = "32-true",
    *,
    backend: str | None = None,
    device: Device = "auto",
) -> float:
    """The part of the test images that the network in ``checkpoint`` classifies wrongly.

    Raises:
        InputError: the checkpoint cannot be read or is not one of this program.
        BackendError: the backend cannot run on this device.
    """
    loaded = load_checkpoint(checkpoint)
    try:
        module = DigitTraining(**{**loaded["hyper_parameters"], "backend": backend})
        if precision == "64-true":
            module.double()
        module.load_state_dict(loaded["state_dict"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"checkpoint: {checkpoint} is not of this program: {error}") from error
    trainer = _trainer(precision, device, enable_checkpointing=False, enable_progress_bar=False)
    _check_backend(backend, trainer)
    with quiet():
        trainer.test(module, InOrder(digits.test, EVALUATION_BATCH), verbose=False)
    return float(trainer.callback_metrics["test_error"])


def _validation_error(
    trainer: lightning.Trainer, module: lightning.LightningModule
) -> dict[str, float | None]:
    return {"validation_error": float(trainer.callback_metrics["validation_error"])}


def _resume(out: Path, log: EpochLog, epochs: int) -> Path | None:
    """The checkpoint to continue from, if there is one; ``log`` is brought to where it stands."""
    path = out / LAST
    if not path.exists():
        return None
    log.load_state_dict(load_checkpoint(path)["callbacks"][log.state_key])
    trained, batches = log.position
    if trained + (batches > 0) > epochs:
        raise InputError(f"epochs: {out} holds a run that is past epoch {trained}, got {epochs}")
    return path


def _trainer(precision: Precision, device: Device, **options: Any) -> lightning.Trainer:
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: expected auto or cpu, as torch finds no CUDA GPU; got cuda")
    return lightning.Trainer(
        accelerator=device,
        devices=1,
        precision=precision,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def _check_backend(backend: str | None, trainer: lightning.Trainer) -> None:
    for operator in ("squash", "routed_capsules"):
        choose_backend(backend, operator, torch.empty(0, device=trainer.strategy.root_device))


@app.command()
def main(
    data: Annotated[
        str, typer.Option(help="An npz file with MNIST, or 'digits' for scikit-learn's digits.")
    ] = "mnist.npz",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; continues the run it holds.  [runs/mnist-NETWORK]"),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="A small network: minutes on two cores.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="In all.  [5; small: 6]")] = None,
    batch_size: Annotated[int, typer.Option()] = 128,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate at the start.  [0.001; small: 0.003]")
    ] = None,
    lr_decay: Annotated[
        float, typer.Option(help="Factor of the learning rate in each epoch; 0.9 for long runs.")
    ] = 0.6,
    reconstruction_weight: Annotated[
        float, typer.Option(help="Weight of the squared error of an image's reconstruction.")
    ] = 0.0005,
    validation_fraction: Annotated[
        float, typer.Option(help="Part of the training images held out to choose the best epoch.")
    ] = 0.05,
    seed: Annotated[int, typer.Option()] = 0,
    precision: Annotated[Precision, typer.Option()] = "32-true",
    backend: Annotated[
        str | None, typer.Option(help=f"{', '.join(BACKENDS)}.  [the fastest that runs]")
    ] = None,
    compile: Annotated[bool, typer.Option(help="Run the network through torch.compile.")] = False,
    device: Annotated[Device, typer.Option()] = "auto",
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
    checkpoint: Annotated[
        Path | None, typer.Option("--evaluate", help="Only test the network in this checkpoint.")
    ] = None,
) -> None:
    """Train a capsule network on handwritten digits, or continue a run that was stopped."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    network = "small" if small else "full"
    try:
        settings = Settings(
            network=network,
            batch_size=batch_size,
            lr=DEFAULT_LR[network] if lr is None else lr,
            lr_decay=lr_decay,
            reconstruction_weight=reconstruction_weight,
            seed=seed,
            validation_fraction=validation_fraction,
            precision=precision,
            backend=backend,
            compile=compile,
        )
        digits = load_digits(data, validation_fraction)
        if checkpoint is not None:
            error = evaluate(checkpoint, digits, precision, backend=backend, device=device)
            typer.echo(f"test error {error:.2%} ({checkpoint})")
            return
        out = out or Path("runs") / f"mnist-{network}"
        result = train(
            digits,
            settings,
            out,
            epochs or DEFAULT_EPOCHS[network],
            device=device,
            progress=progress,
        )
    except (InputError, BackendError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _report(result, out)


def _report(result: Result, out: Path) -> None:
    typer.echo(f"validation error {result.validation_error:.2%} (best of {result.epochs} epochs)")
    typer.echo(f"test error       {result.test_error:.2%}")
    if result.median_step_ms is not None:
        typer.echo(f"median step time {result.median_step_ms:.1f} ms")
    typer.echo(f"checkpoints, log.csv and result.json are in {out}")


if __name__ == "__main__":
    app()
