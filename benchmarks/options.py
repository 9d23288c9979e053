"""The choices that define a run, and how they are read from text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import torch

from benchmarks.contestants import CONTESTANTS
from benchmarks.shapes import DEFAULT_SHAPES, MODES
from fastcaps.functional import SoftmaxOver

__all__ = [
    "DTYPES",
    "SOFTMAX_OVER",
    "Settings",
    "choose_device",
    "parse_choice",
    "parse_modes",
    "parse_names",
]

Choice = TypeVar("Choice", bound=str)

SOFTMAX_OVER: tuple[SoftmaxOver, ...] = get_args(SoftmaxOver)

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


@dataclass(frozen=True)
class Settings:
    """What to measure and how.

    Attributes:
        shapes, contestants, modes: names from SHAPES, CONTESTANTS and MODES.
        batch: batch size for every shape; each shape's own where None.
        dtype: a name from :data:`DTYPES`.
        backend: what fastcaps is told to use; its own choice where None.
        softmax_over: "outputs" or "inputs".
        iterations: iterations of routing.
        repeats: timed repeats of each contestant, at least 3.
        patience: seconds of timing after which a contestant far from the lead stops early;
            multiples of it decide who is left out, see :mod:`benchmarks.race`.
        device: "cpu" or "cuda".
        tf32: let every contestant multiply float32 as TF32, on GPUs that can.
        graphs: on CUDA, time replays of every contestant's CUDA graph: the GPU's time, without
            what launching costs the processor.
        mnist: file with the digits; None to look for one.
    """

    shapes: tuple[str, ...] = DEFAULT_SHAPES
    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    modes: tuple[str, ...] = MODES
    batch: int | None = None
    dtype: str = "float32"
    backend: str | None = None
    softmax_over: SoftmaxOver = "outputs"
    iterations: int = 3
    repeats: int = 7
    patience: float = 1.0
    device: str = "cpu"
    tf32: bool = False
    graphs: bool = False
    mnist: Path | None = None


def parse_names(text: str, known: Iterable[str], *, default: Sequence[str] = ()) -> tuple[str, ...]:
    """Names from a list like "au96,mnist"; "all" stands for all, "default" for ``default``.

    Raises:
        ValueError: a name is not among ``known``, or there is none.
    """
    known = tuple(known)
    groups = {"all": known, "default": tuple(default)}
    if text.strip() in groups and groups[text.strip()]:
        return groups[text.strip()]
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        given = ", ".join(map(repr, unknown)) or repr(text)
        raise ValueError(f"expected all, or some of {', '.join(known)}; got {given}")
    return names


def parse_choice(text: str, known: Iterable[Choice]) -> Choice:
    """The one of ``known`` that is ``text``.

    Raises:
        ValueError: ``text`` is not among ``known``.
    """
    known = tuple(known)
    for choice in known:
        if choice == text:
            return choice
    raise ValueError(f"expected one of {', '.join(known)}; got {text!r}")


def parse_modes(text: str) -> tuple[str, ...]:
    """The modes to time: "forward", "forward+backward", or the two of them from "both".

    Raises:
        ValueError: ``text`` is none of the three.
    """
    return MODES if text == "both" else (parse_choice(text, ("both", *MODES)),)


def choose_device(text: str) -> str:
    """ "cpu" or "cuda"; "auto" is "cuda" where there is one.

    Raises:
        ValueError: ``text`` is none of the three, or "cuda" without a usable GPU.
    """
    text = parse_choice(text, ("auto", "cpu", "cuda"))
    if text == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected cpu or auto, as PyTorch finds no usable GPU here; got 'cuda'")
    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return text
