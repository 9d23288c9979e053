"""The page in a browser: what its sliders draw is what PyTorch draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from fastcaps.training.analysis.page import write_slider_page
from fastcaps.training.analysis.page.exported import rounding_error
from tests.training.analysis.page.chromium import launched, move, opened, pixels, settled
from tests.training.analysis.page.made import Shown, content_of, random_faces

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

LONG = "A caption much longer than a phone is wide, " * 4
SMALLEST_CONTRAST = 4.5
"""Of text, from WCAG 2.1, success criterion 1.4.3."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def gray() -> Shown:
    return random_faces(1, ("AU01", "AU12 </script>", LONG), (LONG, "second", "third", "nobody"))


@pytest.fixture(scope="module")
def coloured() -> Shown:
    return random_faces(3, ("AU12",), ("first", "second"))


@pytest.fixture(scope="module")
def path(gray: Shown, coloured: Shown, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_slider_page(path, "Faces", gray.fragment("gray"), coloured.fragment("coloured"))
    return path


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    with opened(browser, path) as page:
        yield page


def reconstruction(part: Locator) -> NDArray[np.uint8]:
    return pixels(part.get_by_role("img", name="Reconstruction", exact=True))


def slider(part: Locator, name: str) -> Locator:
    return part.get_by_role("slider", name=name, exact=True)


def dimension(part: Locator, number: int) -> Locator:
    """The slider of a dimension, counted from 0, wherever it stands."""
    if number not in shown_dimensions(part):
        part.locator("details").evaluate("(details) => { details.open = true; }")
    return slider(part, f"Dimension {number}")


def shown_dimensions(part: Locator) -> list[int]:
    """Numbers of the dimensions that are not folded away, counted from 0, in their order."""
    labels = part.locator(".dimension:visible label").all_inner_texts()
    return [int(label.removeprefix("Dimension ")) for label in labels]


def assert_draws(part: Locator, shown: Shown, v: Tensor, present: Tensor) -> None:
    """The canvas shows what the network reconstructs, as near as weights in 8 bits allow."""
    expected = shown.picture(v, present).permute(1, 2, 0).numpy()
    drawn = reconstruction(part)
    # Half a level for whole numbers; a capsule of another length is as far off in proportion.
    near = 0.5 + 2 * rounding_error(shown.network, shown.v, shown.labels)
    np.testing.assert_allclose(drawn[..., :3], np.broadcast_to(expected, (37, 37, 3)), atol=near)
    assert (drawn[..., 3] == 255).all()


def resized(v: Tensor, length: float) -> Tensor:
    return v * length / v.norm()


def with_dimension(v: Tensor, number: int, value: float) -> Tensor:
    turned = v.clone()
    turned[number] = value
    return resized(turned, float(v.norm()))


@pytest.mark.parametrize("name", ["gray", "coloured"])
def test_first_pictures(page: Page, name: str, request: pytest.FixtureRequest) -> None:
    shown: Shown = request.getfixturevalue(name)
    part = page.locator(f"#{name}")
    faces = part.get_by_role("radio")
    assert faces.count() == len(shown.captions)
    for number, (v, labels) in enumerate(zip(shown.v, shown.labels, strict=True)):
        faces.nth(number).check()
        assert_draws(part, shown, v, labels)
        assert part.locator(".original").get_attribute("alt") == shown.captions[number]
        boxes = part.get_by_role("group", name="Classes present").get_by_role("checkbox")
        assert [box.is_checked() for box in boxes.all()] == (labels == 1).tolist()
    assert reconstruction(part).std() > 10


def test_a_slider_changes_the_picture_and_reset_takes_it_back(page: Page, gray: Shown) -> None:
    part, other = page.locator("#gray"), page.locator("#coloured")
    before, untouched = reconstruction(part), reconstruction(other)
    telling = shown_dimensions(part)[0]
    move(dimension(part, telling), 0.45)
    after = reconstruction(part)
    assert abs(after.astype(int) - before).max() > 5
    v = gray.v[0].clone()
    v[0] = with_dimension(v[0], telling, 0.45)
    assert_draws(part, gray, v, gray.labels[0])
    # The length stays, and what changed is told.
    length = f"{float(gray.v[0, 0].norm()):.2f}"
    assert part.locator("[data-number=length]").inner_text() == length
    root = np.sqrt(np.square(after.astype(float) - before)[..., :3].mean())
    told = float(part.locator("[data-number=change]").inner_text())
    assert told == pytest.approx(root, abs=0.2)
    cosine = float((v[0] @ gray.v[0, 0]) / (v[0].norm() * gray.v[0, 0].norm()))
    angle = part.locator("[data-number=angle]").inner_text()
    assert float(angle.rstrip("\u00b0")) == pytest.approx(np.degrees(np.arccos(cosine)), abs=0.51)
    assert np.array_equal(reconstruction(other), untouched)

    part.get_by_role("button", name="Reset").click()
    settled(page)
    assert np.array_equal(reconstruction(part), before)
    assert part.locator("[data-number=change]").inner_text() == "0.0"
    assert not pixels(part.locator(".change"))[..., 3].any()


def test_several_sliders_and_the_length(page: Page, coloured: Shown) -> None:
    part = page.locator("#coloured")
    v = coloured.v[0].clone()
    values = {7: -0.5, 30: 0.31}
    for number, value in values.items():
        move(dimension(part, number), value)
        v[0, number] = value
    assert_draws(part, coloured, resized(v, float(coloured.v[0].norm())), coloured.labels[0])
    for length in (1, 0):
        move(slider(part, "Length"), length)
        assert_draws(part, coloured, resized(v, length), coloured.labels[0])
        assert part.locator("[data-number=length]").inner_text().endswith(f"{length:.2f}")


def test_classes_come_and_go(page: Page, gray: Shown) -> None:
    part = page.locator("#gray")
    part.get_by_role("radio", name="second").check()
    v, present = gray.v[1].clone(), gray.labels[1].clone()
    part.get_by_role("checkbox", name="AU01").check()
    present[0] = 1
    settled(page)
    assert_draws(part, gray, v, present)
    # A class whose capsule is changed becomes present.
    part.get_by_role("combobox", name="Capsule of").select_option("2")
    move(slider(part, "Length"), 0.55)
    v[2], present[2] = resized(v[2], 0.55), 1
    assert_draws(part, gray, v, present)
    part.get_by_role("checkbox", name="The same length for all").check()
    move(slider(part, "Length"), 0.8)
    v = v / v.norm(dim=1, keepdim=True) * 0.8
    assert_draws(part, gray, v, present)
    for box in part.get_by_role("group", name="Classes present").get_by_role("checkbox").all():
        box.uncheck()
    settled(page)
    assert_draws(part, gray, v, present * 0)


def test_dimensions_that_change_most_come_first(page: Page, gray: Shown) -> None:
    part = page.locator("#gray")
    effects = content_of(gray.fragment())["effects"]
    for number in range(3):
        part.get_by_role("combobox").select_option(str(number))
        order = np.argsort(-np.array(effects[number]), kind="stable")
        assert shown_dimensions(part) == order[:8].tolist()
        assert f"size {number}, {effects[number][0]:.1f} grey levels" in (part.text_content() or "")
    part.get_by_text("24 dimensions").click()
    assert shown_dimensions(part) == order.tolist()


def test_the_keyboard_reaches_everything(page: Page, gray: Shown) -> None:
    part = page.locator("#gray")
    part.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowRight")
    assert_draws(part, gray, gray.v[1], gray.labels[1])
    stops = []
    for _ in range(8):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.type"))
    assert stops == [*["checkbox"] * 3, "select-one", "button", "range", "checkbox", "range"]
    page.keyboard.press("End")
    settled(page)
    v = gray.v[1].clone()
    v[1] = with_dimension(v[1], shown_dimensions(part)[0], 0.5)
    assert_draws(part, gray, v, gray.labels[1])
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.value") == "0.49"
    assert page.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "0.49"
    settled(page)
    assert "grey levels" in part.get_by_role("status").inner_text()


@pytest.mark.parametrize("width", [320, 375, 667, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, path: Path, width: int) -> None:
    with opened(browser, path, width, has_touch=True, is_mobile=width < 1000) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        part = page.locator("#coloured")
        boxes = [picture.bounding_box() for picture in part.locator("figure").all()[:2]]
        assert boxes[0] is not None
        assert boxes[1] is not None
        assert boxes[0]["y"] == boxes[1]["y"]
        assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
        # Fingers are as wide as 44 pixels (WCAG 2.1, success criterion 2.5.5).
        for control in part.locator("input:visible, button:visible, .boxes label").all():
            box = control.bounding_box()
            assert box is not None
            if control.get_attribute("type") != "checkbox":
                assert min(box["width"], box["height"]) >= 44


def test_a_finger_moves_a_slider(browser: Browser, path: Path, coloured: Shown) -> None:
    with opened(browser, path, 375, has_touch=True, is_mobile=True) as page:
        part = page.locator("#coloured")
        length = slider(part, "Length")
        box = length.bounding_box()
        assert box is not None
        length.tap(position={"x": box["width"] / 4, "y": box["height"] / 2})
        settled(page)
        value = float(length.input_value())
        assert value == pytest.approx(0.25, abs=0.03)
        v = resized(coloured.v[0], value)
        assert_draws(part, coloured, v, coloured.labels[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, path: Path, scheme: str) -> None:
    with opened(browser, path, color_scheme=scheme) as page:
        paper = luminance(page, "body", "backgroundColor")
        assert (paper > 0.5) == (scheme == "light")
        for text in (
            "h1",
            "legend",
            ".hint",
            ".dimension small",
            ".brighter",
            ".darker",
            "summary",
        ):
            ink = luminance(page, text, "color")
            contrast = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
            assert contrast >= SMALLEST_CONTRAST, text


def luminance(page: Page, selector: str, name: str) -> float:
    """Relative luminance of a colour of an element, as WCAG 2.1 defines it."""
    colour = page.locator(selector).first.evaluate(f"(it) => getComputedStyle(it).{name}")
    levels = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(levels <= 0.03928, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
