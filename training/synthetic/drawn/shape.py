"""The 68 landmarks of a drawn face in space: neutral shape, identity, action units, head pose.

Points are float64 [N, 3] in units of the distance between the outer eye corners, from the middle
between them: x to the person's left (to the right of the picture), y downwards, z to the viewer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fastcaps.training.action_units import ACTION_UNITS, LARGEST_INTENSITY
from fastcaps.training.faces.landmarks import COUNT, MEAN_FACE, MIRRORED
from fastcaps.training.synthetic.people import SIDES, Person, Pose, State

__all__ = ["EYE_DISTANCE", "Points", "amounts", "expressive_face", "neutral_face", "turn"]

Points = NDArray[np.float64]

EYE_DISTANCE = float(MEAN_FACE[45, 0] - MEAN_FACE[36, 0])
"""Between the outer eye corners of the mean face, in its pixels."""

# Of the same scans as the mean face, in its pixels; those of the right half mirror the left's.
DEPTHS = np.fromstring(
    """
    -24.7 -23.4 -20.4 -17.1 -12.4 -6.3 0.8 8.3 9.1 8.3 0.8 -6.3 -12.4 -17.1 -20.4 -23.4 -24.7
    -3.5 1.9 6.1 9.4 10.6 10.6 9.4 6.1 1.9 -3.5 10.7 14.6 18.5 22.3 11.3 14.1 14.8 14.1 11.3
    0 3.8 4.6 3.0 4.1 3.1 3.0 4.6 3.8 0 3.1 4.1
    7.9 13.1 15.6 16.2 15.6 13.1 7.9 11.5 13.9 14.7 13.9 11.5 7.6 12.4 13.4 12.4 7.6 12.2 13.2 12.2
    """,
    sep=" ",
)

TURNING_POINT = np.array([0.0, 0.3, -0.6])
"""What the head turns about, inside the skull."""

Offsets = Mapping[int, tuple[float, float]]

MOVES: Mapping[int, Offsets] = {
    1: {22: (-0.02, -0.17), 23: (0, -0.12), 24: (0, -0.04), 26: (0, 0.02), 43: (0, -0.01)},
    2: {22: (0, -0.01), 23: (0, -0.04), 24: (0, -0.10), 25: (0.01, -0.15), 26: (0.02, -0.15)}
    | {44: (0, -0.015)},
    4: {22: (-0.055, 0.10), 23: (-0.05, 0.09), 24: (-0.04, 0.08), 25: (-0.02, 0.05)}
    | {26: (0, 0.03), 43: (0, 0.012), 44: (0, 0.008)},
    5: {43: (0, -0.07), 44: (0, -0.07), 46: (0, 0.012), 47: (0, 0.012)},
    6: {45: (-0.01, 0), 46: (-0.01, -0.035), 47: (0, -0.015), 44: (0, 0.015), 25: (0, 0.015)}
    | {26: (-0.01, 0.03)},
    7: {43: (0, 0.016), 44: (0, 0.016), 46: (0, -0.036), 47: (0, -0.036), 42: (-0.01, 0)},
    9: {22: (-0.03, 0.06), 23: (-0.01, 0.04), 30: (0, -0.03), 33: (0, -0.05), 34: (0.01, -0.06)}
    | {35: (0.025, -0.07), 51: (0, -0.035), 52: (0, -0.045), 53: (0, -0.03), 62: (0, -0.02)}
    | {63: (0, -0.02), 42: (0, 0.01), 47: (0, -0.02)},
    10: {35: (0.03, -0.02), 51: (0, -0.07), 52: (0.005, -0.10), 53: (0.01, -0.10)}
    | {54: (0.01, -0.01), 62: (0, -0.045), 63: (0, -0.055), 65: (0, -0.02), 66: (0, -0.015)},
    12: {54: (0.13, -0.12), 53: (0.075, -0.05), 55: (0.075, -0.03), 64: (0.12, -0.11)}
    | {63: (0.05, -0.01), 65: (0.05, -0.01), 52: (0.03, 0.01), 56: (0.03, 0.02), 51: (0, 0.02)}
    | {57: (0, 0.02), 62: (0, 0.012), 66: (0, 0.012), 35: (0.015, 0), 12: (0.01, -0.01)},
    14: {54: (0.06, 0.01), 64: (0.06, 0.01), 53: (0.02, 0.012), 55: (0.02, -0.012)}
    | {13: (-0.01, 0)},
    15: {54: (0.02, 0.12), 64: (0.02, 0.11), 53: (0.01, 0.045), 55: (0.015, 0.05)}
    | {63: (0, 0.015), 65: (0, 0.02), 52: (0, 0.005)},
    17: {57: (0, -0.07), 56: (0, -0.06), 55: (0.01, -0.02), 66: (0, -0.055), 65: (0, -0.05)}
    | {62: (0, -0.045), 63: (0, -0.04), 51: (0, -0.03), 52: (0, -0.03), 53: (0, -0.015)}
    | {54: (-0.01, 0.03), 64: (-0.01, 0.025), 8: (0, -0.05), 9: (0, -0.045), 10: (0, -0.025)},
    20: {54: (0.17, 0.035), 64: (0.16, 0.03), 53: (0.09, 0.01), 55: (0.09, 0.01)}
    | {63: (0.06, 0), 65: (0.06, 0), 52: (0.04, 0.015), 56: (0.04, -0.015), 57: (0, -0.015)}
    | {51: (0, 0.015), 12: (0.02, 0), 11: (0.015, 0)},
    23: {54: (-0.09, 0), 64: (-0.075, 0), 53: (-0.04, 0.035), 55: (-0.04, -0.03)}
    | {52: (-0.02, 0.045), 51: (0, 0.04), 56: (-0.02, -0.04), 57: (0, -0.04)}
    | {63: (-0.03, 0), 65: (-0.03, 0)},
    24: {54: (-0.02, 0), 64: (-0.015, 0), 53: (-0.005, 0.06), 52: (0, 0.085), 51: (0, 0.08)}
    | {55: (0, -0.045), 56: (0, -0.075), 57: (0, -0.08), 62: (0, 0.01), 63: (0, 0.01)}
    | {65: (0, -0.005), 66: (0, -0.005), 8: (0, -0.015), 9: (0, -0.01)},
    25: {62: (0, -0.035), 63: (0, -0.03), 51: (0, -0.025), 52: (0, -0.025), 53: (0, -0.015)}
    | {66: (0, 0.085), 65: (0, 0.075), 57: (0, 0.07), 56: (0, 0.065), 55: (0, 0.04)}
    | {8: (0, 0.02), 9: (0, 0.015)},
    26: {66: (0, 0.24), 65: (0, 0.20), 57: (0, 0.22), 56: (0, 0.20), 55: (-0.02, 0.12)}
    | {64: (-0.04, 0.06), 54: (-0.04, 0.06), 63: (-0.01, 0), 53: (-0.01, 0.01), 8: (0, 0.24)}
    | {9: (0, 0.24), 10: (-0.01, 0.22), 11: (-0.02, 0.17), 12: (-0.02, 0.09), 13: (-0.02, 0.03)},
}
"""Where each action unit at intensity 5 moves the landmarks of the left side: outwards, down.

After the descriptions of FACS (Ekman, Friesen and Hager, 2002). Landmarks of the middle move by
half for each side.
"""

UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
UPPER_INNER_LIP, LOWER_INNER_LIP = [61, 62, 63], [67, 66, 65]
UPPER_OUTER_LIP, LOWER_OUTER_LIP = [50, 51, 52], [58, 57, 56]
MOUTH = slice(48, COUNT)


def neutral_face(person: Person) -> Points:
    """The person's landmarks without any action unit.

    The first coefficients of ``identity`` change the proportions gently: width, jaw, chin, eye
    distance and size, brow height, nose length and width, mouth width, lips, mouth height, slant
    of the eyes.
    """
    mode = dict(enumerate(np.clip(person.identity[:12], -2.5, 2.5).astype(np.float64)))
    face = np.column_stack([MEAN_FACE, DEPTHS]).astype(np.float64)
    face[:, :2] -= MEAN_FACE[[36, 45]].astype(np.float64).mean(axis=0)
    face /= EYE_DISTANCE
    side = np.sign(face[:, 0])
    jaw, brows, nose, eyes = slice(0, 17), slice(17, 27), slice(29, 36), slice(36, 48)
    middle = np.repeat([face[36:42].mean(axis=0), face[42:48].mean(axis=0)], 6, axis=0)
    face[eyes, :2] += (0.07 * mode[4] * (face[eyes] - middle) * (1.0, 2.0, 0.0))[:, :2]
    face[eyes, 1] += 0.012 * mode[11] * (1.0 - 2.2 * np.abs(face[eyes, 0]))
    face[17:48, 0] += 0.014 * mode[3] * side[17:48] * (np.abs(face[17:48, 0]) > 0.15)
    face[brows, 1] -= 0.018 * mode[5]
    face[nose, 1] += 0.025 * mode[6]
    face[31:36, 0] *= 1.0 + 0.09 * mode[7]
    face[MOUTH, 0] *= 1.0 + 0.06 * mode[8]
    face[48:60, 1] += 0.15 * mode[9] * (face[48:60, 1] - face[[60, 64], 1].mean())
    face[MOUTH, 1] += 0.02 * mode[10]
    lower = np.clip((face[jaw, 1] - 0.5) / 0.7, 0.0, 1.0)
    face[jaw, 0] *= 1.0 + 0.05 * mode[1] * np.sin(np.pi * np.minimum(lower, 0.8))
    face[jaw, 1] += 0.03 * mode[2] * lower
    face[:, 0] *= 1.0 + 0.04 * mode[0]
    return face


def amounts(person: Person, state: State) -> Points:
    """How much of its full movement each action unit makes [17, 2], 0 .. 1 for most people."""
    return state.intensities.astype(np.float64) / LARGEST_INTENSITY * person.strength


def expressive_face(person: Person, state: State) -> Points:
    """The person's landmarks with action units and blink, before the head turns."""
    face = neutral_face(person)
    face[:, :2] += np.tensordot(amounts(person, state), DISPLACEMENTS, axes=2)
    _keep_below(face, UPPER_LIDS, LOWER_LIDS, 0.004)
    closed = 0.3 * face[UPPER_LIDS, 1] + 0.7 * face[LOWER_LIDS, 1]
    for lid in (UPPER_LIDS, LOWER_LIDS):
        face[lid, 1] += state.blink * (closed - face[lid, 1])
    _keep_below(face, UPPER_INNER_LIP, LOWER_INNER_LIP, 0.0)
    # Lips become thin, but do not vanish.
    face[UPPER_OUTER_LIP, 1] = np.minimum(
        face[UPPER_OUTER_LIP, 1], face[UPPER_INNER_LIP, 1] - 0.015
    )
    face[LOWER_OUTER_LIP, 1] = np.maximum(
        face[LOWER_OUTER_LIP, 1], face[LOWER_INNER_LIP, 1] + 0.015
    )
    return face


def turn(points: Points, pose: Pose) -> Points:
    """Points [..., 3] as the head turns."""
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    rotation = np.array(about_z) @ np.array(about_x) @ np.array(about_y)
    return (points - TURNING_POINT) @ rotation.T + TURNING_POINT


def _keep_below(face: Points, upper: list[int], lower: list[int], gap: float) -> None:
    """Move points that would cross to ``gap`` from each other, about their middle."""
    missing = np.maximum(face[upper, 1] + gap - face[lower, 1], 0.0)
    face[upper, 1] -= missing / 2
    face[lower, 1] += missing / 2


def _displacements() -> Points:
    """The moves of all landmarks [17, 2, 68, 2] at intensity 5, for each side."""
    moves = np.zeros((len(ACTION_UNITS), SIDES, COUNT, 2))
    for row, unit in enumerate(ACTION_UNITS):
        for point, (outwards, down) in MOVES[unit].items():
            if MIRRORED[point] == point:
                moves[row, :, point] = 0.0, down / 2
            else:
                moves[row, 0, point] = outwards, down
                moves[row, 1, MIRRORED[point]] = -outwards, down
    return moves


DISPLACEMENTS = _displacements()
