"""Pictures of a person in a state, drawn from a face rig by casting rays."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import Person, Picture, State
from fastcaps.training.synthetic.rigged.appearance import Appearance, background, paint
from fastcaps.training.synthetic.rigged.expressions import activations, expression_weights
from fastcaps.training.synthetic.rigged.head import Head
from fastcaps.training.synthetic.rigged.mesh import Camera, Hits, cast
from fastcaps.training.synthetic.rigged.rig import PARTS, Rig
from fastcaps.training.synthetic.rigged.shading import (
    EYE_SHININESS,
    SHININESS,
    Lights,
    eye_colours,
    to_bytes,
)
from fastcaps.training.synthetic.rigged.skin_map import SkinMap
from fastcaps.training.synthetic.rigged.wrinkles import wrinkle_maps, wrinkles

__all__ = ["RigRenderer"]

Floats = NDArray[np.float32]

SMALL_SIDE = 128
RAYS_ACROSS_SMALL, RAYS_ACROSS_LARGE = 2.0, 1.5
"""Rays along each side of a pixel; their light is averaged. Large pictures need fewer, as their
steps are finer."""
LARGEST_COEFFICIENT = 2.2
IDENTITY_SCALE = 0.85
"""Shape coefficients are scaled and cut off so that no face is grotesque."""

EYEBALL = PARTS.index("eyeball")
LAST_OF_SKIN = PARTS.index("head_neck")
LONGEST_ROW = 16384
"""OpenCV looks up images of no more than 32767 columns."""


@dataclass(frozen=True)
class Sitter:
    """What is computed once for a person: vertices at rest [V, 3], and colours."""

    key: tuple[bytes | float, ...]
    at_rest: Floats
    appearance: Appearance


class RigRenderer:
    """Draws people with a face rig. Keeps the last person's shape and colours for the next picture.

    Args:
        rig: of a head.
    """

    def __init__(self, rig: Rig) -> None:
        self.canvas = SkinMap(rig)
        self.head = Head(rig)
        self.wrinkle_maps = wrinkle_maps(self.canvas)
        self.sitter: Sitter | None = None

    def render(self, person: Person, state: State, side: int) -> Picture:
        """Draw a square picture of ``side`` pixels."""
        sitter = self._sit(person)
        vertices = self.head.pose(sitter.at_rest, expression_weights(person, state), state)
        camera = Camera.of(state, side)
        across = round(side * (RAYS_ACROSS_SMALL if side <= SMALL_SIDE else RAYS_ACROSS_LARGE))
        light = cv2.resize(
            background(state.background, side), (across, across), interpolation=cv2.INTER_LINEAR
        ).reshape(-1, 3)
        light *= state.brightness
        facets = self.head.normals.of_triangles(vertices)
        seen = self._seen(vertices, facets, camera)
        samples, pixels = _sample_grid(camera.project(vertices), side, across)
        hits = cast(vertices, self.head.triangles[seen], camera.position, camera.directions(pixels))
        hits = Hits(samples[hits.sample], seen[hits.triangle], hits.weights)
        shade = wrinkles(self.wrinkle_maps, activations(person, state))
        normals = self.head.normals.of_vertices(facets)
        openness = self.head.openness_now(vertices)
        attributes = np.column_stack([normals, self.head.places, openness])
        light[hits.sample] = self._colours(hits, attributes, sitter.appearance, shade, state)
        small = cv2.resize(
            light.reshape(across, across, 3), (side, side), interpolation=cv2.INTER_AREA
        )
        return Picture(to_bytes(small), camera.project(vertices[self.head.landmarks]))

    def _sit(self, person: Person) -> Sitter:
        colours = (person.skin_tone, person.iris, person.brow, person.lip, float(person.detail))
        key = (person.identity.tobytes(), *colours)
        if self.sitter is None or self.sitter.key != key:
            appearance = paint(person, self.canvas)
            coefficients = IDENTITY_SCALE * np.clip(
                person.identity, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT
            )
            at_rest = self.head.at_rest(coefficients, appearance.hair, appearance.hair_depth)
            self.sitter = Sitter(key, at_rest, appearance)
        return self.sitter

    def _seen(self, vertices: Floats, facets: Floats, camera: Camera) -> NDArray[np.intp]:
        """Which triangles show the camera their outside."""
        towards = camera.position - vertices[self.head.triangles[:, 0]]
        return np.flatnonzero(np.einsum("ij,ij->i", facets, towards) > 0)

    def _colours(
        self, hits: Hits, attributes: Floats, appearance: Appearance, shade: Floats, state: State
    ) -> Floats:
        """Light from each hit to the camera, [K, 3]."""
        head = self.head
        corners = head.triangles[hits.triangle]
        mixed = np.einsum("kc,kca->ka", hits.weights, attributes[corners])
        normal, place, openness = mixed[:, :3], mixed[:, 3:5], mixed[:, 5]
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        part = head.triangle_part[hits.triangle]
        surface = appearance.parts[part]
        skin, eye = np.flatnonzero(part <= LAST_OF_SKIN), np.flatnonzero(part == EYEBALL)
        on_map = place[skin]
        surface[skin] = _look_up(appearance.skin, on_map)
        surface[skin, :3] *= _look_up(shade, (on_map - 0.5) / 2)[:, None]
        surface[eye, :3] = eye_colours(place[eye], appearance.iris)
        lights = Lights.of(state)
        diffuse, cosine = lights.on(normal, openness)
        reflex = surface[:, 3] * lights.reflex(cosine, SHININESS) * openness * 0.3
        reflex[eye] = lights.reflex(cosine[eye], EYE_SHININESS)
        return surface[:, :3] * diffuse + reflex[:, None]


def _look_up(image: Floats, places: Floats) -> Floats:
    """Bilinear values of ``image`` at columns and rows [N, 2]."""
    rows = len(places) // LONGEST_ROW + 1
    padded = np.zeros((2, rows * LONGEST_ROW), np.float32)
    padded[:, : len(places)] = places.T
    x, y = padded.reshape(2, rows, LONGEST_ROW)
    found = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    values = found.reshape(rows * LONGEST_ROW, *image.shape[2:])[: len(places)]
    return values.astype(np.float32, copy=False)


def _sample_grid(projected: Floats, side: int, across: int) -> tuple[NDArray[np.intp], Floats]:
    """The rays that may meet the head: their numbers, and their places in pixels [N, 2].

    Args:
        projected: where the head's vertices are, in pixels [V, 2].
        side: of the picture.
        across: rays along the picture's side.
    """
    finer = across / side
    low, high = projected.min(axis=0), projected.max(axis=0)
    first = np.clip(np.floor((low + 0.5) * finer), 0, across).astype(int)
    last = np.clip(np.ceil((high + 0.5) * finer), 0, across).astype(int)
    columns, rows = (np.arange(a, b) for a, b in zip(first, last, strict=True))
    numbers = (rows[:, None] * across + columns).ravel()
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return numbers, ((grid + 0.5) / finer - 0.5).astype(np.float32)
