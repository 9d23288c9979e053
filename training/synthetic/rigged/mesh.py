"""The geometry of a picture: vertices of a person in a state, camera, and what each ray meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.people import Pose, State

__all__ = ["Camera", "Hits", "NormalSums", "cast", "rotation", "scene_of"]

Floats = NDArray[np.float32]

DISTANCE = 75.0
"""Of the camera from the rig's origin."""
LOOKS_AT = np.array([0.0, 2.4, 0.0], dtype=np.float32)
"""What is in the middle of the picture when the head is not shifted."""
PICTURE_HEIGHT = 26.5
"""Height of what the picture shows at the depth of the cheeks, ``FACE_DEPTH``."""
FACE_DEPTH = 5.0
TURNS_ABOUT = np.array([0.0, 0.0, -1.0], dtype=np.float32)
"""Where the head turns: the top of the neck."""


@dataclass(frozen=True)
class Camera:
    """A perspective camera on the z axis that looks at the head.

    Attributes:
        focal: pixels that a length shows on at distance 1.
        centre: x and y of the pixel that looks along the axis, in pixels.
    """

    focal: float
    centre: tuple[float, float]

    @classmethod
    def of(cls, state: State, side: int) -> Camera:
        """The camera for a picture of ``side`` pixels."""
        focal = state.zoom * side * (DISTANCE - FACE_DEPTH) / PICTURE_HEIGHT
        middle = (side - 1) / 2
        right, down = state.offset
        return cls(focal, (middle + right * side, middle + down * side))

    @property
    def position(self) -> Floats:
        """Of the camera, float32 [3]."""
        return np.array([LOOKS_AT[0], LOOKS_AT[1], DISTANCE], dtype=np.float32)

    def project(self, points: Floats) -> Floats:
        """Where points [N, 3] are in the picture: x and y in pixels, float32 [N, 2]."""
        from_camera = points - self.position
        return (
            from_camera[:, :2] * (self.focal, -self.focal) / -from_camera[:, 2:] + self.centre
        ).astype(np.float32)

    def directions(self, pixels: Floats) -> Floats:
        """Of the rays through places [N, 2] in the picture, float32 [N, 3]; z is -1."""
        rays = np.full((len(pixels), 3), -1.0, dtype=np.float32)
        rays[:, :2] = (pixels - self.centre) / (self.focal, -self.focal)
        return rays


@dataclass(frozen=True)
class Hits:
    """What rays meet first.

    Attributes:
        sample: numbers of the rays that meet a triangle, int [K].
        triangle: which triangle, int [K].
        weights: of the triangle's three corners, float32 [K, 3], 1 in sum.
    """

    sample: NDArray[np.intp]
    triangle: NDArray[np.intp]
    weights: Floats


def scene_of(vertices: Floats, triangles: NDArray[np.int32]) -> Any:
    """An embreex scene of triangles [T, 3] with these vertices [V, 3].

    Raises:
        InputError: embreex is not installed.
    """
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise InputError(
            f"rig: drawing from a rig needs embreex: pip install 'fastcaps[rig]' ({error})"
        ) from error
    scene = EmbreeScene()
    TriangleMesh(scene, vertices, triangles)
    return scene


def cast(
    vertices: Floats,
    triangles: NDArray[np.int32],
    origin: Floats,
    directions: Floats,
) -> Hits:
    """Follow rays from one point to the triangles.

    Args:
        vertices: [V, 3].
        triangles: [T, 3].
        origin: [3].
        directions: [N, 3].
    """
    # Copying the mesh takes embreex longest: only the vertices that are needed.
    used = np.zeros(len(vertices), dtype=bool)
    used[triangles] = True
    new_number = (np.cumsum(used) - 1).astype(np.int32)
    scene = scene_of(vertices[used], new_number[triangles])
    origins = np.broadcast_to(origin, directions.shape).astype(np.float32)
    met = scene.run(origins, directions, output=1)
    sample = np.flatnonzero(met["primID"] >= 0)
    u, v = met["u"][sample], met["v"][sample]
    return Hits(sample, met["primID"][sample], np.stack([1 - u - v, u, v], axis=1))


class NormalSums:
    """Normals of a mesh whose triangles stay the same.

    Args:
        triangles: [T, 3].
        vertices: how many there are.
    """

    def __init__(self, triangles: NDArray[np.int32], vertices: int) -> None:
        self.triangles = triangles
        corner = triangles.ravel()
        triangle = np.repeat(np.arange(len(triangles)), 3)
        ones = np.ones(len(corner), dtype=np.float32)
        self.sums = csr_matrix((ones, (corner, triangle)), shape=(vertices, len(triangles)))

    def of_triangles(self, vertices: Floats) -> Floats:
        """Outward normals [T, 3], twice the triangles' areas long."""
        first, second, third = (vertices.take(corner, axis=0) for corner in self.triangles.T)
        (ax, ay, az), (bx, by, bz) = (second - first).T, (third - first).T
        return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)

    def of_vertices(self, triangle_normals: Floats) -> Floats:
        """Unit normals [V, 3]: the mean of the triangles' around, by area."""
        normals = self.sums @ triangle_normals
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def rotation(pose: Pose) -> Floats:
    """The matrix [3, 3] that turns the head: first roll, then pitch, then yaw."""
    yaw, pitch, roll = np.deg2rad([pose.yaw, pose.pitch, pose.roll])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return (np.array(about_y) @ about_x @ about_z).astype(np.float32)
