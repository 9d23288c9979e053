"""Presets: the settings of each row of the paper's tables, and protocols that change them.

A preset is a YAML file with keys of :class:`fastcaps.training.run_settings.RunSettings`; those
here follow the paper. A protocol is a list of sections, of which each changes the keys in ``set``
where the settings have the values in ``when``, one or a list for each key; without ``when``,
always. A key with a point in it, ``augmentation.scale``, is one entry of a mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fastcaps.training.errors import InputError
from fastcaps.training.networks import make_network
from fastcaps.training.networks.network import NetworkOptions
from fastcaps.training.presets.yaml_files import parse_yaml, read_yaml
from fastcaps.training.run_settings import HOG_SVM, RunSettings

__all__ = ["PAPER", "PRESETS", "PROTOCOLS", "load_preset", "parse_changes"]

FOLDER = Path(__file__).parent
PAPER = "paper"

PRESETS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""Names of the presets that come with the program."""

PROTOCOLS = (PAPER, *sorted(path.stem for path in FOLDER.glob("protocols/*.yaml")))
"""Names of the protocols; the paper's is what presets are written in."""


def load_preset(
    preset: str | Path, protocol: str = PAPER, changes: Mapping[str, Any] | None = None
) -> RunSettings:
    """The settings of a preset under a protocol, with changes of one's own.

    The protocol looks at the settings with the changes, and the changes have the last word. Where
    another network takes the place of the preset's, its title is not kept, nor are factors of the
    learning rate for parts that the other one does not have, nor weights to start from where it
    has none. Where convolutions start at random in place of the preset's weights, its factors for
    them are not kept either: they are there to spare these weights.

    Args:
        preset: one of :data:`PRESETS`, or a YAML file.
        protocol: one of :data:`PROTOCOLS`.
        changes: values of some keys; texts are read as YAML. ``lr_factors.conv5`` is one entry of
            ``lr_factors``.

    Raises:
        InputError: there is no such preset or protocol, or something in the preset or in the
            changes is unknown, of the wrong type or out of range.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol}")
    written, settings = _read_preset(preset)
    parsed = {
        key: parse_yaml(key, value) if isinstance(value, str) else value
        for key, value in (changes or {}).items()
    }
    if parsed.get("network") == HOG_SVM:
        parsed.setdefault("weights", "random")
    wanted = RunSettings.from_dict(_changed(written, parsed))
    if wanted.network != settings.network:
        parsed.setdefault("title", "")
        written["lr_factors"] = _of_parts(written.get("lr_factors", {}), wanted)
    if wanted.weights == "random" != settings.weights:
        factors = written.get("lr_factors", {})
        written["lr_factors"] = {
            name: factor for name, factor in factors.items() if not name.startswith("conv")
        }
    return RunSettings.from_dict(_changed(_changed(written, _overlay(protocol, wanted)), parsed))


def parse_changes(texts: Iterable[str], option: str = "set") -> dict[str, str]:
    """The changes for :func:`load_preset` in texts like ``lr=3e-4``.

    Args:
        texts: a change each.
        option: what errors call them.

    Raises:
        InputError: a text is something else, or a key comes twice.
    """
    changes: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InputError(f"{option}: expected KEY=VALUE, got {text!r}")
        if key in changes:
            raise InputError(f"{option}: expected each key once, got {key} again")
        changes[key] = value
    return changes


def _read_preset(preset: str | Path) -> tuple[dict[str, Any], RunSettings]:
    """What a preset's file says, and the settings that this makes."""
    path = FOLDER / f"{preset}.yaml" if preset in PRESETS else Path(preset)
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"preset: expected one of {', '.join(PRESETS)}, or a file .yaml, got {preset}"
        )
    written = read_yaml(path)
    if not isinstance(written, dict):
        raise InputError(f"{path}: expected KEY: VALUE in each line, got {written!r}")
    try:
        return written, RunSettings.from_dict(written)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _overlay(protocol: str, settings: RunSettings) -> dict[str, Any]:
    """What a protocol changes of these settings; of two sections the later one counts."""
    if protocol == PAPER:
        return {}
    values = asdict(settings)
    overlay: dict[str, Any] = {}
    for section in read_yaml(FOLDER / "protocols" / f"{protocol}.yaml"):
        conditions = section.get("when", {}).items()
        if all(values[key] in _listed(wanted) for key, wanted in conditions):
            overlay |= section["set"]
    return overlay


def _changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with other values; ``a.b`` is the entry b of the mapping a."""
    changed = dict(settings)
    for key, value in changes.items():
        name, point, entry = key.partition(".")
        if not point:
            changed[name] = value
            continue
        entries = changed.get(name)
        others = entries.items() if isinstance(entries, Mapping) else ()
        # Epochs are numbers in a file and texts in a key.
        changed[name] = {k: v for k, v in others if str(k) != entry} | {entry: value}
    return changed


def _of_parts(factors: Mapping[str, float], settings: RunSettings) -> dict[str, float]:
    """Those of the factors that are for parts of the network."""
    if settings.network == HOG_SVM:
        return {}
    with torch.device("meta"):
        parts = make_network(settings.network, NetworkOptions(1, side=224, channels=3)).parts()
    return {name: factor for name, factor in factors.items() if name in parts}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
