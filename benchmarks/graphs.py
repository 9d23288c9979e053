"""CUDA graphs: what a call does on the GPU, recorded once and replayed without the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["captured"]

WARM_UP = 3
"""Calls before the recording, so that nothing is compiled or set up within it."""


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """Replays of ``call``, which always takes and leaves the same memory."""
    cuda: Any = torch.cuda  # not all of it is typed
    stream = cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
