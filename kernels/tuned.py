"""Tiles that ``fastcaps.tune`` found on this machine's GPUs, kept in a file between processes."""

from __future__ import annotations

import json
import os
import warnings
from functools import cache
from pathlib import Path

import torch
import triton

from fastcaps.kernels.tiles import RoutingTile

__all__ = ["forget", "lookup", "remember", "tuned_file"]

Tiles = dict[str, dict[str, list[int]]]
"""By GPU and Triton version, then by kernel and sizes."""


def tuned_file() -> Path:
    """Where they are kept: the environment's ``FASTCAPS_TUNED``, else in the user's cache."""
    named = os.environ.get("FASTCAPS_TUNED")
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(named) if named else cache_folder / "fastcaps" / "tiles.json"


def lookup(device: torch.device, key: str) -> RoutingTile | None:
    """The tile found on this device for ``key``, None where none was."""
    found = _read(tuned_file()).get(_machine(device), {}).get(key)
    return None if found is None else RoutingTile(*found)


def remember(device: torch.device, found: dict[str, RoutingTile]) -> None:
    """Add tiles by key to the file; what it has of other devices stays."""
    path = tuned_file()
    tiles = _read(path)
    tiles.setdefault(_machine(device), {}).update({key: list(x) for key, x in found.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process sees the old file or the new one, never half of one.
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_text(json.dumps(tiles, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    half.replace(path)
    forget()


def forget() -> None:
    """Read the file again when it is next needed."""
    _read.cache_clear()


@cache
def _read(path: Path) -> Tiles:
    if not path.exists():
        return {}
    try:
        tiles: Tiles = json.loads(path.read_text(encoding="utf-8"))
        for found in tiles.values():
            for tile in found.values():
                RoutingTile(*map(int, tile))
    except (AttributeError, OSError, TypeError, ValueError) as error:
        warnings.warn(f"{path}: not a file of tiles, left alone ({error})", stacklevel=2)
        return {}
    return tiles


@cache
def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}, triton {triton.__version__}"
