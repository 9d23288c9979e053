"""Which units of a network gradient ascent climbs, as they are chosen by name or by number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fastcaps.training.analysis.places import MEASURED_REGIONS, REGIONS, Place
from fastcaps.training.errors import InputError

__all__ = ["REGION_TARGETS", "Target", "parse_targets"]

ROW_AND_COLUMN = re.compile(r"(\d{1,6}),(\d{1,6})")


@dataclass(frozen=True)
class Target:
    """A place of the map of primary capsules, and maybe one of the capsules there.

    Attributes:
        where: name of a part of the face, see
            :data:`fastcaps.training.analysis.places.REGIONS`, or the row and the column.
        unit: which primary capsule; None for the one that gives most to the classes.
    """

    where: str | Place
    unit: int | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        if isinstance(self.where, str):
            return self.where
        return f"row {self.where[0]}, column {self.where[1]}"


REGION_TARGETS = tuple(map(Target, MEASURED_REGIONS))
"""What is climbed if nothing is chosen."""


def parse_targets(texts: Iterable[str], unit: int | None = None) -> tuple[Target, ...]:
    """Targets from texts like ``mouth`` or ``5,6``, each once; without texts the usual ones.

    Args:
        texts: names of parts of the face, or rows and columns from 0.
        unit: of all of them.

    Raises:
        InputError: a text is neither.
    """
    found = [Target(_where(text), unit) for text in dict.fromkeys(texts)]
    return tuple(found or (Target(region, unit) for region in MEASURED_REGIONS))


def _where(text: str) -> str | Place:
    if text in REGIONS:
        return text
    numbers = ROW_AND_COLUMN.fullmatch(text)
    if numbers is None:
        raise InputError(f"at: expected ROW,COLUMN or one of {', '.join(REGIONS)}, got {text!r}")
    return int(numbers[1]), int(numbers[2])
