"""YAML as presets are written in: plain values only, and each key once."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from fastcaps.training.errors import InputError

__all__ = ["parse_yaml", "read_yaml"]


class OnceLoader(yaml.SafeLoader):
    """Refuses mappings in which a key stands twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping at ``node``."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} stands here again", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: it cannot be read, is no YAML, or has a key twice in a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return parse_yaml(str(path), text)


def parse_yaml(name: str, text: str) -> Any:
    """What ``text`` says in YAML.

    Args:
        name: where it comes from, for the error.
        text: a document, or a single value.

    Raises:
        InputError: it is no YAML, or has a key twice in a mapping.
    """
    try:
        return yaml.load(text, OnceLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" in line {mark.line + 1}" if mark else ""
        problem = error.problem or error.context
        raise InputError(f"{name}: expected YAML, got something else{place}: {problem}") from error
    # A date, for one, may be no day of any calendar.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{name}: expected YAML, got something else: {problem}") from error
