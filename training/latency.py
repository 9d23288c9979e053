"""How long a trained network takes to tell what is in an image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fastcaps.training.comparison import Latency
from fastcaps.training.devices import Resources
from fastcaps.training.errors import InputError
from fastcaps.training.hog_svm import HogSvm
from fastcaps.training.prepared import Shape
from fastcaps.training.run_files import LAST, RESULT, fold_folder
from fastcaps.training.run_network import load_network, read_run
from fastcaps.training.run_settings import HOG_SVM
from fastcaps.training.svm_fold import SVM

__all__ = ["measure_latency"]

BATCH_SIZE = 128
SECONDS = 2.0
FEWEST_CALLS = 3


@torch.inference_mode()
def measure_latency(run: Path, resources: Resources) -> Latency:
    """Time the network of the first fold that has ended and kept its weights, on images in memory.

    Args:
        run: the run's folder.
        resources: whose device is to be used; SVMs use one processor.

    Returns:
        Medians over some seconds, in the run's precision; that of float64 in float32.

    Raises:
        InputError: the run or its network cannot be read, or there is no such fold.
    """
    settings, data = read_run(run)
    weights = SVM if settings.network == HOG_SVM else LAST
    ended = [n for n in range(1, data["folds"] + 1) if (fold_folder(run, n) / RESULT).exists()]
    if not ended:
        raise InputError(f"run: no fold of {run} has ended; train it first")
    kept = [n for n in ended if (fold_folder(run, n) / weights).exists()]
    if not kept:
        raise InputError(
            f"run: expected {weights} in an ended fold of {run}, found none; it cannot be timed "
            "without weights (--no-latency)"
        )
    if settings.network == HOG_SVM:
        shape = Shape(data["input_side"], data["colour"])
        return _svm_latency(HogSvm.load(fold_folder(run, kept[0]) / SVM), shape)
    device = resources.torch_device
    network = load_network(run, kept[0]).to(device)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(settings.precision)

    def seconds(batch_size: int) -> float:
        options = network.options
        images = torch.rand(batch_size, options.channels, options.side, options.side, device=device)

        def call() -> None:
            with torch.autocast(device.type, half, enabled=half is not None):
                # To the CPU, which waits for the device.
                network.scores(network(images)).cpu()

        return _median_seconds(call)

    return _latency(seconds, resources.device_name)


def _svm_latency(svm: HogSvm, shape: Shape) -> Latency:
    """From stored frames, whose features are most of the work."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (BATCH_SIZE, *shape.dimensions), dtype=np.uint8)

    def seconds(count: int) -> float:
        rows = np.arange(count, dtype=np.int64)
        return _median_seconds(lambda: svm.scores(frames, rows))

    return _latency(seconds, "CPU, 1 process")


def _latency(seconds: Callable[[int], float], device: str) -> Latency:
    """From how long so many images take together."""
    return Latency(
        milliseconds=1000 * seconds(1),
        images_per_second=BATCH_SIZE / seconds(BATCH_SIZE),
        batch_size=BATCH_SIZE,
        device=device,
    )


def _median_seconds(call: Callable[[], object]) -> float:
    call()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < FEWEST_CALLS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
