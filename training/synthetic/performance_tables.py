"""Which action units come together, how often, and in which of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "ANTAGONISTS",
    "EMOTION_UNITS",
    "EXPRESSIONS",
    "ONE_SIDED",
    "SAME_ON_BOTH_SIDES",
    "SINGLE_UNIT_SHARE",
    "TASK_EXPRESSIONS",
]

EXPRESSIONS: Mapping[str, Mapping[int, float]] = {
    "amusement": {6: 0.85, 7: 0.8, 10: 0.85, 12: 0.98, 14: 0.6, 17: 0.15, 23: 0.1, 25: 0.5},
    "talking": {10: 0.75, 12: 0.4, 14: 0.65, 17: 0.5, 23: 0.2, 24: 0.2, 25: 0.8, 26: 0.5},
    "emphasis": {1: 0.95, 2: 0.95, 5: 0.15},
    "sadness": {1: 0.85, 4: 0.6, 7: 0.3, 14: 0.4, 15: 0.85, 17: 0.85, 24: 0.2},
    "surprise": {1: 0.95, 2: 0.9, 5: 0.7, 25: 0.8, 26: 0.7},
    "embarrassment": {6: 0.5, 10: 0.6, 12: 0.75, 14: 0.85, 15: 0.4, 17: 0.5, 23: 0.5, 24: 0.7},
    "fear": {1: 0.7, 2: 0.6, 4: 0.65, 5: 0.8, 7: 0.3, 10: 0.3, 20: 0.8, 25: 0.7, 26: 0.3},
    "pain": {4: 0.6, 6: 0.85, 7: 0.9, 9: 0.5, 10: 0.85, 14: 0.3, 20: 0.2, 25: 0.6},
    "anger": {4: 0.65, 5: 0.3, 7: 0.85, 10: 0.3, 14: 0.3, 15: 0.25, 17: 0.6, 23: 0.85, 24: 0.7},
    "disgust": {4: 0.4, 6: 0.4, 7: 0.8, 9: 0.7, 10: 0.95, 14: 0.3, 15: 0.4, 17: 0.75, 25: 0.2},
}
"""How often an action unit takes part in an expression.

The prototypes are those of EMFACS (Friesen and Ekman, 1983); the numbers are chosen so that over
all tasks the units that BP4D has coded occur about as often as there (Zhang et al., 2014).
"""

TASK_EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "T1": {"amusement": 0.75, "talking": 0.5, "emphasis": 0.1},
    "T2": {"sadness": 0.6, "talking": 0.35, "amusement": 0.3},
    "T3": {"surprise": 0.5, "amusement": 0.65},
    "T4": {"embarrassment": 0.75, "amusement": 0.5, "emphasis": 0.1},
    "T5": {"fear": 0.5, "amusement": 0.6},
    "T6": {"pain": 0.6, "amusement": 0.45, "emphasis": 0.1},
    "T7": {"anger": 0.6, "embarrassment": 0.35, "amusement": 0.4, "emphasis": 0.1},
    "T8": {"disgust": 0.6, "amusement": 0.5, "emphasis": 0.1},
}
"""Which part of a task's time shows an expression; they overlap. Tasks are in BP4D's order."""

SINGLE_UNIT_SHARE = 0.02
"""The part of the time that an action unit is shown for itself, in every task."""

EMOTION_UNITS: Mapping[str, Sequence[int]] = {
    "neutral": (),
    "anger": (4, 5, 7, 23),
    "contempt": (14,),
    "disgust": (9, 10, 17),
    "fear": (1, 2, 4, 5, 20, 25),
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
}
"""The prototypes of EMFACS; contempt is shown on one side."""

ONE_SIDED = {14: 0.5, 10: 0.08, 2: 0.08}
"""How often these action units are shown on one side only."""

SAME_ON_BOTH_SIDES = (17, 24, 25, 26)

ANTAGONISTS = ((24, 25, 1.0), (24, 26, 1.0), (15, 12, 0.6), (5, 7, 0.5), (20, 24, 0.5))
"""An action unit, another that works against it, and which part of the first this can take."""
