"""A headless Chromium with a page in it, and what went wrong there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

__all__ = ["launched", "move", "opened", "pixels", "settled"]

COPIED = """(canvas) => {
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return [[...copy.getImageData(0, 0, width, height).data], height, width];
}"""
"""Pixels of a copy: browsers warn of reading from one canvas again and again."""

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed, and CHROMIUM does not name one")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, **options: Any) -> Iterator[Page]:
    """A page from a file, in which nothing may go wrong and which may ask for nothing else."""
    context = browser.new_context(viewport={"width": width, "height": 800}, **options)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


def settled(page: Page) -> None:
    """Wait until what was changed is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def move(slider: Locator, value: float) -> None:
    """Set a slider, as dragging it does."""
    slider.fill(f"{value:.2f}")
    settled(slider.page)


def pixels(canvas: Locator) -> NDArray[np.uint8]:
    """What is drawn on a canvas, [height, width, 4]."""
    numbers, height, width = canvas.evaluate(COPIED)
    return np.array(numbers, np.uint8).reshape(height, width, 4)
