"""The fragment of a report with the sliders, and a page that holds nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor

from fastcaps.training.analysis.page.exported import exported_decoder, packed, rounding_error
from fastcaps.training.analysis.reconstructions import dimension_effects
from fastcaps.training.analysis.templates import png_address, read_text, render
from fastcaps.training.errors import InputError
from fastcaps.training.folders import write_atomically
from fastcaps.training.networks.network import CapsuleNetwork
from fastcaps.training.tables.html import page_style

__all__ = ["slider_fragment", "write_slider_page"]

SHOWN_DIMENSIONS = 8
"""The rest is folded away."""

SCRIPTS = ("decoder.js", "capsules.js", "drawing.js", "sliders.js")
WHITE = 255


def slider_fragment(
    network: CapsuleNetwork,
    classes: Sequence[str],
    images: Tensor,
    v: Tensor,
    labels: Tensor,
    captions: Sequence[str],
    *,
    names: Sequence[Sequence[str]] | None = None,
    name: str = "sliders",
) -> str:
    """HTML with sliders for class capsules, and the faces that the decoder makes of them.

    It needs no other file and no network: style, script, faces and the decoder's weights are
    within. Dimensions of a capsule are sorted by how much they change the pictures of the faces
    that show its class.

    Args:
        network: in evaluation.
        classes: names of its N classes.
        images: B faces to choose from, [B, C, side, side] in 0 .. 1.
        v: what the network gives for them, [B, N, D].
        labels: [B, N]: 1 for the classes present at first.
        captions: of the faces.
        names: what the D dimensions of each class go with; "" for nothing.
        name: with which all ids begin: letters, digits, - and _, a letter first; another one for
            each fragment of a report.

    Raises:
        InputError: arguments do not fit each other, or weights or capsules are not finite.
    """
    _check(network, classes, images, v, labels, captions, name)
    present = labels == 1
    pictures = map(_address, images)
    capsules = [packed(own.float().cpu().numpy()) for own in v.detach()]
    return render(
        "page/fragment.html",
        name=name,
        classes=classes,
        faces=[
            {"caption": caption, "picture": picture}
            for caption, picture in zip(captions, pictures, strict=True)
        ],
        side=network.options.side,
        dimensions=v.shape[2],
        shown=min(SHOWN_DIMENSIONS, v.shape[2]),
        # Rounded up: no pixel is further off.
        levels_off=f"{math.ceil(rounding_error(network, v, labels) * 100 + 1) / 100:.2f}",
        style=read_text("page/sliders.css"),
        scripts=[read_text(f"page/{script}") for script in SCRIPTS],
        data={
            "classes": list(classes),
            "decoder": exported_decoder(network),
            "effects": _effects(network, v, labels),
            "names": names or [[""] * v.shape[2]] * v.shape[1],
            "faces": [
                {"caption": caption, "present": shown, "capsules": vectors}
                for caption, shown, vectors in zip(
                    captions, present.tolist(), capsules, strict=True
                )
            ],
        },
    )


def write_slider_page(path: Path, title: str, *fragments: str) -> None:
    """Write what :func:`slider_fragment` gives as a page of its own.

    Args:
        path: of the page; its folder exists.
        title: of the page.
        fragments: one below the other, made with different names.

    Raises:
        InputError: the page cannot be written.
    """
    page = render("page/page.html", title=title, style=page_style(), fragments=fragments)
    try:
        write_atomically(path, lambda file: file.write(page.encode()))
    except OSError as error:
        raise InputError(
            f"path: {path} cannot be written: {error.strerror or error}; choose another"
        ) from error


def _check(
    network: CapsuleNetwork,
    classes: Sequence[str],
    images: Tensor,
    v: Tensor,
    labels: Tensor,
    captions: Sequence[str],
    name: str,
) -> None:
    options, count = network.options, len(captions)
    capsules = (count, options.classes, network.decoder[0].in_features // options.classes)
    for argument, got, expected in (
        ("classes", (len(classes),), (options.classes,)),
        ("images", images.shape, (count, options.channels, options.side, options.side)),
        ("v", v.shape, capsules),
        ("labels", labels.shape, capsules[:2]),
    ):
        if tuple(got) != expected:
            raise InputError(
                f"{argument}: expected {list(expected)} for this network and {count} captions, "
                f"got {list(got)}"
            )
    if not count:
        raise InputError("images: expected at least one face, got none")
    if not torch.isfinite(v).all():
        raise InputError("v: expected finite capsules, got others")
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise InputError(f"name: expected letters, digits, - and _, a letter first, got {name!r}")


def _effects(network: CapsuleNetwork, v: Tensor, labels: Tensor) -> list[list[float]]:
    """How much each dimension [D] of each class [N] changes the pictures of faces that show the
    class, or of all where none does, in grey levels."""
    all_effects = []
    for number in range(v.shape[1]):
        showing = labels[:, number] == 1
        faces = showing if showing.any() else torch.ones_like(showing)
        effects = dimension_effects(network, v[faces], labels[faces], number).change * WHITE
        all_effects.append([round(effect, 3) for effect in effects.tolist()])
    return all_effects


def _address(image: Tensor) -> str:
    """Of a picture [C, side, side] in 0 .. 1."""
    pixels = (image.detach().clamp(0, 1) * WHITE).round().byte().permute(1, 2, 0).cpu().numpy()
    _, data = cv2.imencode(".png", pixels[..., ::-1])
    return png_address(data.tobytes())
