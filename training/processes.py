"""Worker processes that end with the program that started them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

import cv2
import torch

from fastcaps.training.errors import InputError

__all__ = ["result_of", "worker_pool"]

Result = TypeVar("Result")


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each; when the body raises, they are ended at once.

    Args:
        workers: how many.
    """
    others = set(active_children())
    # Started afresh: a fork would inherit threads of PyTorch and OpenCV that do not run.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - others:
            process.kill()
        raise
    pool.shutdown()


def result_of(future: Future[Result]) -> Result:
    """What a worker gave back.

    Raises:
        InputError: it was killed.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "workers: a process was killed, perhaps for want of memory; "
            "give the same command again to go on, with fewer workers"
        ) from error


def _start() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed program cannot stop its workers itself."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
