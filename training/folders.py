"""Folders of long work: claimed by what made them, held by one program at a time, always whole."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fastcaps.training.errors import InputError

__all__ = [
    "LOCK",
    "SETTINGS",
    "claim_folder",
    "claim_shared_folder",
    "claimed",
    "held",
    "read_json",
    "write_atomically",
    "write_json",
]

SETTINGS = "settings.json"
LOCK = ".lock"


def claim_folder(folder: Path, settings: Mapping[str, Any], contents: Sequence[str]) -> None:
    """Make ``folder`` the place of work with these settings, or check that it already is.

    Args:
        folder: made if it is missing.
        settings: all that decides the result; numbers, texts, lists and None.
        contents: names of the files that such work leaves in its folder.

    Raises:
        InputError: work with other settings, or something else, is there.
    """
    path = folder / SETTINGS
    try:
        if path.exists():
            _check_same(folder, _settings_in(path), json.loads(json.dumps(settings)))
            return
        strange = [name for name in contents if (folder / name).exists()]
        if strange:
            raise InputError(
                f"out: {folder} has {', '.join(strange)} but no {SETTINGS}; choose another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, settings)
    except OSError as error:
        raise InputError(f"out: {folder} cannot be made a folder: {error}") from error


def claim_shared_folder(folder: Path, settings: Mapping[str, Any], contents: Sequence[str]) -> None:
    """:func:`claim_folder` for several programs that may come at the same time.

    Each waits until it is the only one that claims; none keeps the folder.
    """
    with _open_lock(folder) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _claim_or_leave(folder, settings, contents)


@contextmanager
def claimed(folder: Path, settings: Mapping[str, Any], contents: Sequence[str]) -> Iterator[None]:
    """Be the only program at work in a folder that is claimed for these settings.

    See :func:`held` and :func:`claim_folder`.
    """
    with held(folder):
        _claim_or_leave(folder, settings, contents)
        yield


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other programs from working in ``folder``; a killed program lets go of it.

    What is left of OSErrors within comes from writing there, and is told as InputError.

    Args:
        folder: made if it is missing.

    Raises:
        InputError: another program is at work there, or it cannot be written.
    """
    with _open_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"out: another program is at work in {folder}; wait for it") from error
        try:
            yield
        except OSError as error:
            raise InputError(
                f"out: {folder} cannot be written: {error.strerror or error}; what is done stays "
                "there, give the same command again to go on"
            ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(content, indent=2)
    write_atomically(path, lambda file: file.write(text.encode()))


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then put it in its place."""
    beside = path.with_name(path.name + ".part")
    with open(beside, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _claim_or_leave(folder: Path, settings: Mapping[str, Any], contents: Sequence[str]) -> None:
    """Claim a folder that is locked; leave no lock in one that belongs to something else."""
    try:
        claim_folder(folder, settings, contents)
    except InputError:
        if not (folder / SETTINGS).exists():
            (folder / LOCK).unlink(missing_ok=True)
        raise


def _open_lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / LOCK, "w")
    except OSError as error:
        raise InputError(f"out: {folder} cannot be made a folder: {error}") from error


def _settings_in(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except InputError as error:
        raise InputError(f"out: {error}") from error


def _check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differences = [
        f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} here"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise InputError(
            f"out: {folder} holds work with other settings: {'; '.join(differences)}; "
            "choose another folder, or these settings"
        )
