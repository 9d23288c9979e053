"""The part of a rig that can be seen, made ready for drawing many pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.synthetic.people import Pose, State
from fastcaps.training.synthetic.rigged.mesh import TURNS_ABOUT, NormalSums, rotation, scene_of
from fastcaps.training.synthetic.rigged.rig import PARTS, Rig
from fastcaps.training.synthetic.rigged.skin_map import blurred, map_places

__all__ = ["Head"]

Floats = NDArray[np.float32]

SHALLOWEST = {
    "gums_tongue": 6.0,
    "teeth": 7.5,
    "eye_socket": 8.0,
    "eyeball": 8.4,
    "head_neck": -6.0,
}
"""Parts have nothing to be seen behind these depths, in cm."""
OPENNESS_RAYS = 48
OPENNESS_REACH = 5.0
"""What is farther away, in cm, keeps no light off."""

MOUTH_DEPTHS = (4.0, 8.0, 10.0, 11.0)
OPENNESS_IN_MOUTH = (0.04, 0.15, 0.5, 0.8)
"""Of the inside of an open mouth, at each of these depths in cm."""

INNER_LIPS = np.array([[61, 62, 63], [67, 66, 65]])
"""Landmarks above and below the mouth's opening."""
BRIGHT_GAP = 0.6
"""Between lips, in cm, that lets all light in."""

GAPS = (
    ((61, 67), ("mouthLowerDown_R", "mouthUpperUp_R"), 1.4),
    ((63, 65), ("mouthLowerDown_L", "mouthUpperUp_L"), 1.4),
    ((37, 41), ("eyeBlink_R",), 0.6),
    ((44, 46), ("eyeBlink_L",), 0.6),
)
"""Upper and lower landmark of what opens, what opens or closes it, and how far that is evened."""

CONVERGENCE = 2.4
"""Degrees by which each eye turns inwards to look at the camera."""


class Head:
    """Vertices and triangles of what can be seen, and what belongs to each vertex.

    Attributes:
        triangles: int32 [T, 3].
        triangle_part: the place in ``PARTS``, uint8 [T].
        landmarks: vertices, int [68].
        places: of vertices on the skin map; of eyeballs x and y from the pupil, in cm; [V, 2].
        openness: how much of the room each vertex sees at rest, 0 .. 1, [V].
        normals: sums over the triangles.
    """

    def __init__(self, rig: Rig) -> None:
        kept = _can_be_seen(rig)
        used, inverse = np.unique(
            np.concatenate([rig.triangles[kept].ravel(), rig.landmarks]), return_inverse=True
        )
        self.triangles = inverse[: 3 * kept.sum()].reshape(-1, 3).astype(np.int32)
        self.triangle_part = rig.triangle_part[kept]
        self.landmarks = inverse[3 * kept.sum() :]
        self.neutral = rig.neutral[used]
        self.identity = rig.identity[:, used].astype(np.float32).reshape(len(rig.identity), -1)
        self.expression = (
            rig.expression[:, used].astype(np.float32).reshape(len(rig.expression), -1)
        )
        self.expression_place = {name: i for i, name in enumerate(rig.expression_names)}
        self.normals = NormalSums(self.triangles, len(used))
        self.places = map_places(self.neutral)
        self.eyeballs = self._find_eyeballs()
        self.on_skin = self._vertices_of("face", "head_neck")
        self.in_mouth = np.flatnonzero(
            self._vertices_of("mouth_socket", "gums_tongue", "teeth") & ~self.on_skin
        )
        self.openness = self._measure_openness()

    def at_rest(self, coefficients: Floats, hair: Floats, hair_depth: float) -> Floats:
        """Vertices [V, 3] of a person with a face at rest.

        Args:
            coefficients: of the shape modes.
            hair: where hair is on the skin map, 0 .. 1.
            hair_depth: how far it stands off, in cm.
        """
        vertices = self.neutral + (coefficients @ self.identity).reshape(-1, 3)
        self._relax(vertices)
        # The hair's edge is a slope, for the outline's sake.
        slope = blurred(hair, 6.0)
        column, row = np.round(self.places).astype(int).clip(0, len(hair) - 1).T
        thickness = hair_depth * slope[row, column] * self.on_skin
        normals = self.normals.of_vertices(self.normals.of_triangles(vertices))
        return (vertices + thickness[:, None] * normals).astype(np.float32)

    def pose(self, at_rest: Floats, weights: Mapping[str, float], state: State) -> Floats:
        """Vertices [V, 3] with an expression, the eyes and the head turned as in ``state``."""
        vertices = at_rest.copy()
        for name, weight in weights.items():
            if weight:
                offsets = self.expression[self.expression_place[name]]
                vertices += (np.float32(weight) * offsets).reshape(-1, 3)
        left, up = state.gaze
        turn = rotation(Pose(yaw=left, pitch=up))
        for eyeball, from_mean in self.eyeballs:
            ball = vertices[eyeball]
            centre = ball.mean(axis=0) + from_mean
            vertices[eyeball] = (ball - centre) @ turn.T + centre
        return (vertices - TURNS_ABOUT) @ rotation(state.pose).T + TURNS_ABOUT

    def _relax(self, vertices: Floats) -> None:
        """Close the mouth, and bring eyes of extreme opening nearer to the mean, in place.

        The shape modes come from scans, in which some people's lips were apart; that would be an
        action unit.
        """
        for (upper, lower), shapes, part in GAPS:
            ends = self.landmarks[[upper, lower]]
            added = sum(self.expression[self.expression_place[shape]] for shape in shapes)
            offsets = added.reshape(-1, 3)
            change, now, usual = (
                where[ends[0], 1] - where[ends[1], 1] for where in (offsets, vertices, self.neutral)
            )
            # A little over the aim, as the landmarks are not where the lips are farthest apart.
            vertices += (part * (usual - now) / change) * offsets

    def openness_now(self, vertices: Floats) -> Floats:
        """How much of the room each vertex sees, [V]; the mouth's inside by how far lips part."""
        upper, lower = vertices[self.landmarks[INNER_LIPS]]
        gap = np.linalg.norm(upper - lower, axis=1).max()
        openness = self.openness.copy()
        openness[self.in_mouth] *= np.clip(gap / BRIGHT_GAP, 0, 1) ** 2
        return openness

    def _vertices_of(self, *parts: str) -> NDArray[np.bool_]:
        chosen = np.isin(self.triangle_part, [PARTS.index(part) for part in parts])
        inside = np.zeros(len(self.neutral), dtype=bool)
        inside[self.triangles[chosen]] = True
        return inside

    def _find_eyeballs(self) -> list[tuple[NDArray[np.intp], Floats]]:
        """Each eyeball's vertices, and where its centre is from their mean; turns both ahead.

        The rig's eyes look past each other; here they look at the camera.
        """
        found = []
        for sign in (-1, 1):
            side = self._vertices_of("eyeball") & (self.neutral[:, 0] * sign > 0)
            eyeball = np.flatnonzero(side)
            ball = self.neutral[eyeball]
            centre = _sphere_centre(ball)
            apex = ball[ball[:, 2].argmax()] - centre
            outwards = np.rad2deg(np.arctan2(apex[0], apex[2]))
            turned = (ball - centre) @ rotation(Pose(yaw=-outwards)).T
            self.places[eyeball] = turned[:, :2] - turned[turned[:, 2].argmax(), :2]
            converging = -sign * CONVERGENCE
            self.neutral[eyeball] = turned @ rotation(Pose(yaw=converging)).T + centre
            found.append((eyeball, centre - self.neutral[eyeball].mean(axis=0)))
        return found

    def _measure_openness(self) -> Floats:
        """Part of the directions around each normal, by cosine, in which nothing is near."""
        vertices = self.neutral
        normals = self.normals.of_vertices(self.normals.of_triangles(vertices))
        directions = _cosine_directions(OPENNESS_RAYS)
        rays = (normals[:, None] + directions).reshape(-1, 3).astype(np.float32)
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-6)
        origins = np.repeat(vertices + 0.05 * normals, OPENNESS_RAYS, axis=0)
        distance = scene_of(vertices, self.triangles).run(origins, rays, query="DISTANCE")
        free = np.minimum(distance / OPENNESS_REACH, 1).reshape(-1, OPENNESS_RAYS)
        openness = free.mean(axis=1).astype(np.float32)
        # The mouth is closed at rest: this is for a mouth that is open.
        depth = vertices[self.in_mouth, 2]
        openness[self.in_mouth] = np.interp(depth, MOUTH_DEPTHS, OPENNESS_IN_MOUTH)
        return openness


def _can_be_seen(rig: Rig) -> NDArray[np.bool_]:
    depth = rig.neutral[rig.triangles, 2].max(axis=1)
    shallowest = np.full(len(PARTS), -np.inf)
    for part, limit in SHALLOWEST.items():
        shallowest[PARTS.index(part)] = limit
    behind_cornea = rig.triangle_part == PARTS.index("iris")
    return (depth > shallowest[rig.triangle_part]) & ~behind_cornea


def _sphere_centre(points: Floats) -> Floats:
    """Of the sphere nearest to points [N, 3], by linear least squares."""
    unknowns = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(unknowns, (points**2).sum(axis=1), rcond=None)[0]
    return solution[:3].astype(np.float32)


def _cosine_directions(count: int) -> Floats:
    """Points evenly on the unit sphere [count, 3]; added to a normal they are spread by cosine."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=1).astype(
        np.float32
    )
