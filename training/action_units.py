"""Names of what is labelled: facial action units (FACS) and the emotions of CK+."""

from __future__ import annotations

__all__ = [
    "ACTION_UNITS",
    "BP4D_ACTION_UNITS",
    "DISFA_ACTION_UNITS",
    "EMOTIONS",
    "LARGEST_INTENSITY",
    "UNKNOWN",
    "column",
]

ACTION_UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    14: "dimpler",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}
"""Number and name of each action unit that the program knows (Ekman, Friesen and Hager, 2002)."""

BP4D_ACTION_UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
DISFA_ACTION_UNITS = (1, 2, 4, 6, 9, 12, 25, 26)

EMOTIONS = (
    "neutral",
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
)
"""CK+'s emotions at the place of their code there."""

LARGEST_INTENSITY = 5
"""Intensities are 0 (absent) and 1 .. 5 for FACS' A .. E."""

UNKNOWN = -1
"""The label of what was not coded."""


def column(action_unit: int) -> str:
    """The column of an action unit in a prepared data set: AU06 for 6."""
    return f"AU{action_unit:02d}"
