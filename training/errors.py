"""The error that a program reports in one line, without a traceback."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Something the user gave - a file, an option, a folder - cannot be used; says what and why."""
