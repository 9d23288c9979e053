"""Pages from the templates that lie beside the code, and pictures within them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["png_address", "read_text", "render"]

FOLDER = Path(__file__).parent

TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, /, **values: Any) -> str:
    """A template, by its path from this folder, with values in it; texts are escaped."""
    return TEMPLATES.get_template(template).render(**values)


def read_text(name: str) -> str:
    """A style or a script, by its path from this folder."""
    return (FOLDER / name).read_text("utf-8")


def png_address(png: bytes) -> str:
    """A PNG file as an address, for a page that needs no other file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
