"""The ways to show made-up people, by what they need."""

from __future__ import annotations

from pathlib import Path

from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.people import Renderer
from fastcaps.training.synthetic.rigged.renderer import RigRenderer
from fastcaps.training.synthetic.rigged.rig import load_rig

__all__ = ["make_renderer"]


def make_renderer(rig: Path | None) -> Renderer:
    """A renderer of faces in three dimensions from a rig, or of drawn ones without.

    Raises:
        InputError: the rig cannot be used, or packages are missing.
    """
    return DrawnRenderer() if rig is None else RigRenderer(load_rig(rig))
