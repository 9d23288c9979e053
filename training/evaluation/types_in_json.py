"""Whether what was read from a JSON file is of a type."""

from __future__ import annotations

import math
import types
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from fastcaps.training.errors import InputError

__all__ = ["check_type"]

NAMES = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
}


def check_type(found: Any, wanted: Any, place: str) -> None:
    """See that a value is of a type; entries that a TypedDict does not name may be anything.

    Args:
        found: as the json module gives it.
        wanted: Any, bool, int, float, str, ``dict[str, ...]``, ``list[...]``, a Literal of texts, a
            TypedDict of such types, or ``... | None``. A float must be finite.
        place: what errors call the value.

    Raises:
        InputError: it is of another type.
    """
    kind, arguments = get_origin(wanted) or wanted, get_args(wanted)
    if kind is Any or (kind is types.UnionType and found is None):
        return
    if kind is types.UnionType:
        check_type(found, arguments[0], place)
    elif kind is Literal:
        _expect(found in arguments, " or ".join(arguments), found, place)
    elif is_typeddict(kind):
        _expect(isinstance(found, dict), NAMES[dict], found, place)
        for name, type_ in get_type_hints(kind).items():
            _expect(name in found, name, "an object without it", place)
            check_type(found[name], type_, f"{place}, {name}")
    elif kind is float:
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        _expect(is_number and math.isfinite(found), NAMES[float], found, place)
    else:
        fits = isinstance(found, kind) and (kind is bool or not isinstance(found, bool))
        _expect(fits, NAMES[kind], found, place)
        if kind is dict:
            for name, entry in found.items():
                check_type(entry, arguments[1], f"{place}, {name}")
        if kind is list:
            for number, entry in enumerate(found):
                check_type(entry, arguments[0], f"{place}, {number}")


def _expect(fits: bool, expected: str, got: object, place: str) -> None:
    if not fits:
        raise InputError(f"{place}: expected {expected}, got {str(got)[:80]}")
