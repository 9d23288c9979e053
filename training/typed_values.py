"""Values from YAML, JSON or a command line as what a type hint says, or a clear error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from fastcaps.training.errors import InputError

__all__ = ["check_known", "converted"]

NAMES: Mapping[Any, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}


def converted(name: str, value: object, kind: Any) -> Any:
    """``value`` as a ``kind``.

    Numbers may be given as text, since YAML reads 1e-4, which has no point, as text, and JSON has
    no other keys.

    Args:
        name: of the value, for the error.
        value: what was read: texts, numbers, true, false, null, lists and mappings of these.
        kind: ``str``, ``int``, ``float``, ``bool``, ``None``, ``Any``, ``Literal`` of texts, or
            a union, ``Mapping`` or ``tuple`` of such.

    Raises:
        InputError: it is something else.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or (origin is Literal and isinstance(value, str) and value in parts):
        return value
    if origin in (Union, UnionType):
        for part in parts:
            try:
                return converted(name, value, part)
            except InputError:
                continue
    if origin is Mapping and isinstance(value, Mapping):
        return _mapping(name, value, *parts)
    if origin is tuple and isinstance(value, (list, tuple)):
        parts = parts[:1] * len(value) if parts[1:] == (...,) else parts
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) == len(parts):
        return tuple(converted(name, item, part) for item, part in zip(value, parts, strict=True))
    if kind in (int, float) and isinstance(value, (kind, int, str)) and not isinstance(value, bool):
        try:
            return kind(value)
        except (ValueError, OverflowError):
            pass
    if kind in (str, bool, NoneType) and isinstance(value, kind):
        return value
    raise InputError(f"{name}: expected {_described(kind)}, got {value!r}")


def check_known(names: Iterable[object], known: Iterable[str], prefix: str = "") -> None:
    """See that all names are known.

    Args:
        names: those given.
        known: those that are.
        prefix: what stands before the names in the error.

    Raises:
        InputError: one is not; it tells those that look like it, or else all.
    """
    known = sorted(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"{prefix}{name}: expected the name of a setting; {hint}")


def _mapping(name: str, value: Mapping[Any, Any], key_kind: Any, kind: Any) -> dict[Any, Any]:
    found = {
        converted(f"{name}, a key", key, key_kind): converted(f"{name}.{key}", item, kind)
        for key, item in value.items()
    }
    if len(found) < len(value):
        raise InputError(f"{name}: expected each key once, got {', '.join(map(str, value))}")
    return found


def _described(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(parts)
    if origin in (Union, UnionType):
        return " or ".join(map(_described, parts))
    if origin is Mapping:
        return "a mapping"
    if origin is tuple and parts[1:] == (...,):
        return f"a list of which each is {_described(parts[0])}"
    if origin is tuple:
        return f"a list of {len(parts)}: {', '.join(map(_described, parts))}"
    return NAMES[kind]
