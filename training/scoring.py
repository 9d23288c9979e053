"""What a network says about the frames of a data set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from fastcaps.training.augmentation import centre_crop
from fastcaps.training.batches import InOrder, load
from fastcaps.training.networks.network import Network

__all__ = ["score_frames"]


@torch.inference_mode()
def score_frames(
    network: Network,
    frames: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    workers: int = 0,
    arithmetic: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: Callable[[int, int], object] | None = None,
) -> NDArray[np.float32]:
    """The scores of some frames, each the middle of a stored crop.

    Args:
        network: in whatever mode, which it is left in; on the device that is to work.
        frames: uint8 [F, stored_side, stored_side] or [..., 3].
        rows: int64 [M].
        batch_size: frames at once.
        workers: processes that read ahead.
        arithmetic: a context for the network to compute in.
        progress: is told after each batch how many frames are done, and how many there are.

    Returns:
        float32 [M, N] in 0 .. 1.
    """
    parameter = next(network.parameters())
    was_training = network.training
    network.eval()
    scores = np.empty((len(rows), network.options.classes), dtype=np.float32)
    no_labels = np.empty((len(frames), 0), dtype=np.int8)
    batches = load(
        frames,
        no_labels,
        InOrder(rows, batch_size),
        workers,
        pinned=parameter.device.type == "cuda",
    )
    done = 0
    for batch in batches:
        images = centre_crop(batch.frames.to(parameter.device), network.options.side)
        with arithmetic():
            output = network(images.to(parameter.dtype))
        count = len(batch.rows)
        scores[done : done + count] = network.scores(output).cpu().numpy()
        done += count
        if progress is not None:
            progress(done, len(rows))
    network.train(was_training)
    return scores
