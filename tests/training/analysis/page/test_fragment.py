"""The HTML fragment: whole, escaped, and refused where its parts do not fit."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fastcaps.training.analysis.page import write_slider_page
from fastcaps.training.errors import InputError
from tests.training.analysis.page.made import SIDE, Shown, content_of, random_faces
from tests.training.html_page import HtmlPage

NASTY = """</script><script>alert("1")</script><!-- ' & &amp; {{ 7 * 7 }} \u2028 \\"""


@pytest.fixture(scope="module")
def shown() -> Shown:
    return random_faces(1, ("AU01", "AU12", "AU25"), ("one", "two", "three", "four"))


def test_page_is_whole_and_needs_nothing_else(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_slider_page(path, "Two of them", shown.fragment("first"), shown.fragment("second"))
    page = HtmlPage(path.read_text("utf-8"))
    assert page.words.count("Two of them") == 2
    assert page.tags.count("section") == 2
    assert len(page.ids) == len(set(page.ids)) == 2 * (1 + 1 + 2 * (1 + 32))
    assert all(name.startswith(("first", "second")) for name in page.ids)
    assert set(page.pointers) <= set(page.ids)
    assert page.links == []
    assert len(page.pictures) == 8
    assert all(source.startswith("data:image/png;base64,") for _, source in page.pictures)
    assert "http" not in re.sub(r'"base64": "[^"]*"', "", path.read_text("utf-8"))


def test_faces_are_the_images(shown: Shown) -> None:
    coloured = random_faces(3, ("AU01",), ("one", "two"))
    for faces in (shown, coloured):
        for (_, source), image in zip(
            HtmlPage(faces.fragment()).pictures, faces.images, strict=True
        ):
            data = np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
            expected = (image * 255).round().byte().permute(1, 2, 0).expand(SIDE, SIDE, 3)
            assert np.array_equal(pixels, expected.numpy())


def test_faces_bring_their_capsules_and_labels(shown: Shown) -> None:
    content = content_of(shown.fragment())
    for face, v, labels in zip(content["faces"], shown.v, shown.labels, strict=True):
        capsules = np.frombuffer(base64.b64decode(face["capsules"]["base64"]), "<f4")
        assert np.array_equal(capsules, v.numpy().ravel())
        assert face["present"] == [label == 1 for label in labels.tolist()]


def test_any_text_is_shown_as_it_is(tmp_path: Path) -> None:
    shown = random_faces(1, (NASTY, "AU12"), (NASTY, "two"))
    path = tmp_path / "page.html"
    write_slider_page(path, NASTY, shown.fragment())
    page = HtmlPage(path.read_text("utf-8"))
    assert page.tags.count("script") == 2
    assert page.words.count(NASTY) == 5  # title, heading, face, check box, choice
    content = content_of(shown.fragment())
    assert content["classes"][0] == content["faces"][0]["caption"] == NASTY


def test_effects_are_of_the_faces_that_show_the_class(shown: Shown) -> None:
    effects = content_of(shown.fragment())["effects"]
    assert np.shape(effects) == (3, 32)
    # The second face alone shows the second class.
    assert (shown.labels[:, 1] == 1).nonzero().flatten().tolist() == [1]
    for dimension in (0, 17):
        ends = []
        for value in (-0.5, 0.5):
            v = shown.v[1].clone()
            v[1, dimension] = value
            v[1] *= shown.v[1, 1].norm() / v[1].norm()
            ends.append(shown.picture(v, shown.labels[1]))
        expected = (ends[1] - ends[0]).square().mean().sqrt().item()
        assert effects[1][dimension] == pytest.approx(expected, abs=2e-3)


def test_effects_of_a_class_that_no_face_shows(shown: Shown) -> None:
    never = replace(shown, labels=torch.zeros_like(shown.labels))
    assert np.min(content_of(never.fragment())["effects"]) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("AU01",)}, r"classes: expected \[3\].*got \[1\]"),
        ({"images": torch.zeros(4, 3, SIDE, SIDE)}, r"images: expected \[4, 1, 37, 37\]"),
        ({"v": torch.zeros(4, 3, 16)}, r"v: expected \[4, 3, 32\].*got \[4, 3, 16\]"),
        ({"v": torch.full((4, 3, 32), torch.nan)}, "v: expected finite"),
        ({"labels": torch.zeros(4, 2)}, r"labels: expected \[4, 3\]"),
        ({"captions": ("one",)}, r"images: expected \[1, 1, 37, 37\].*got \[4"),
        (
            {
                "captions": (),
                "images": torch.zeros(0, 1, SIDE, SIDE),
                "v": torch.zeros(0, 3, 32),
                "labels": torch.zeros(0, 3),
            },
            "at least one face",
        ),
    ],
)
def test_what_does_not_fit_is_told(shown: Shown, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(shown, **changes).fragment()


@pytest.mark.parametrize("name", ["", "1st", "two words", 'a"b', "\u00e9"])
def test_names_that_no_id_can_begin_with(shown: Shown, name: str) -> None:
    with pytest.raises(InputError, match="name: expected letters"):
        shown.fragment(name)


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_slider_page(tmp_path / "missing" / "page.html", "title")
