"""The page with sliders for class capsules, as a part of the report."""

from __future__ import annotations

import torch

from fastcaps.training.analysis.context import Context, Progress, places_of, silently, spread
from fastcaps.training.analysis.page import slider_fragment
from fastcaps.training.analysis.section import Section

__all__ = ["sliders"]

FACES = 10


def sliders(context: Context, progress: Progress = silently) -> Section:
    """Faces whose class capsules can be changed, and the decoder that redraws them.

    Raises:
        InputError: the network has no capsules or no trained decoder, or no test image is right in
            every class.
    """
    fold, network = context.fold, context.fold.drawing_capsules
    shown = spread(context.selected, FACES)
    places = places_of(shown)
    images = fold.images(places)
    with torch.inference_mode():
        v = network(images)
    captions = [f"{one.subject}, {fold.tested.classes[one.class_index]}" for one in shown]
    fragment = slider_fragment(
        network,
        fold.tested.classes,
        images,
        v,
        fold.labels(places),
        captions,
        names=context.dimension_names,
    )
    progress(1, 1)
    return Section(
        text=(
            "The decoder of the network runs in this page. Make a capsule longer or shorter, or "
            "turn it, and see what becomes of the face.",
        ),
        fragment=fragment,
    )
