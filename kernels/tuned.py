"""Tiles that ``fastcaps.tune`` found on this machine's GPUs, kept in a file between processes."""

from __future__ import annotations

import json
import os
import warnings
from functools import cache
from pathlib import Path

import torch
import triton

from fastcaps.kernels.tiles import MIN_DOT, RoutingTile

__all__ = ["TRIALS", "forget", "lookup", "remember", "tuned_file"]

Tiles = dict[str, dict[str, list[int]]]
"""By GPU and Triton version, then by kernel and sizes."""
TRIALS: dict[str, RoutingTile] = {}
"""Tiles being measured, by kernel and sizes: they come before those that are kept."""


def tuned_file() -> Path | None:
    """Where they are kept: the environment's ``FASTCAPS_TUNED``, else in the user's cache.

    None where there is no user's folder to have one in.
    """
    named = os.environ.get("FASTCAPS_TUNED")
    if named:
        return Path(named)
    cache_folder = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(cache_folder) if cache_folder else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "fastcaps" / "tiles.json"


def lookup(device: torch.device, key: str) -> RoutingTile | None:
    """The tile on trial for ``key``, or else the one kept for this device; None without either."""
    if key in TRIALS:
        return TRIALS[key]
    path = tuned_file()
    found = None if path is None else _read(path).get(_machine(device), {}).get(key)
    return None if found is None else RoutingTile(*found)


def remember(device: torch.device, found: dict[str, RoutingTile]) -> None:
    """Add tiles by key to the file; what it has of other devices stays.

    Raises:
        OSError: there is no such file, and none can be made.
    """
    path = tuned_file()
    if path is None:
        raise FileNotFoundError("no folder for tuned tiles: FASTCAPS_TUNED can name a file")
    kept = {machine: dict(tiles) for machine, tiles in _read(path).items()}
    kept.setdefault(_machine(device), {}).update({key: list(x) for key, x in found.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process sees the old file or the new one, never half of one.
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    half.replace(path)
    forget()


def forget() -> None:
    """Read the file again when it is next needed."""
    _read.cache_clear()


@cache
def _read(path: Path) -> Tiles:
    try:
        if not path.exists():
            return {}
        tiles: Tiles = json.loads(path.read_text(encoding="utf-8"))
        for found in tiles.values():
            for tile in found.values():
                _check(RoutingTile(*tile))
    except (AttributeError, OSError, TypeError, ValueError) as error:
        warnings.warn(f"{path}: not a file of tiles, not used ({error})", stacklevel=2)
        return {}
    return tiles


def _check(tile: RoutingTile) -> None:
    """Raise ValueError unless a kernel can be compiled for the tile."""
    powers = all(isinstance(x, int) and x > 0 and x & (x - 1) == 0 for x in tile[:3])
    if not powers or tile.samples < MIN_DOT or not isinstance(tile.stages, int):
        raise ValueError(f"expected powers of two and a number of stages, got {tuple(tile)}")


@cache
def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}, triton {triton.__version__}"
