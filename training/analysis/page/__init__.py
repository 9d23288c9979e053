"""A page whose sliders change class capsules, and whose decoder redraws the face meanwhile."""

from __future__ import annotations

from fastcaps.training.analysis.page.sliders import slider_fragment, write_slider_page

__all__ = ["slider_fragment", "write_slider_page"]
