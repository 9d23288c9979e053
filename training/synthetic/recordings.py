"""Which recordings a made-up data set has, and who does what in each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastcaps.training.synthetic.people import Person, State, draw_person
from fastcaps.training.synthetic.performances import TASKS, perform, perform_emotion

__all__ = ["Recording", "draws_of_plan", "person_of", "split_into_tasks", "states_of"]

PLAN, PERSON, PERFORMANCE = range(3)
"""What is drawn."""


@dataclass(frozen=True)
class Recording:
    """One sequence of one subject.

    Attributes:
        subject: name in the data set.
        sequence: name in the data set; a subject has no other of this name.
        person: number of the subject from 0.
        number: of the performance from 0; recordings of the same person and number show the same.
        performance: one of ``TASKS`` or of ``EMOTIONS``.
        frames: how many are labelled.
        first: number of the first frame, as the data set counts.
        extra: how many frames follow without labels.
        turn: by how many degrees the camera stands to the person's right.
    """

    subject: str
    sequence: str
    person: int
    number: int
    performance: str
    frames: int
    first: int = 1
    extra: int = 0
    turn: float = 0.0

    @property
    def pictures(self) -> int:
        """How many frames are drawn."""
        return self.frames + self.extra

    @property
    def name(self) -> str:
        """Of subject and sequence; no other recording of the data set has it."""
        return f"{self.subject}_{self.sequence}"


def split_into_tasks(frames: int) -> list[int]:
    """How many of a subject's frames each task has; they differ by one at most."""
    return [frames // len(TASKS) + (place < frames % len(TASKS)) for place in range(len(TASKS))]


def draws_of_plan(seed: int, person: int) -> np.random.Generator:
    """What the recordings of a subject are drawn from."""
    return _draws(seed, PLAN, person)


def person_of(number: int, seed: int) -> Person:
    """The subject of this number, from 0: the same in all of the subject's recordings."""
    return draw_person(_draws(seed, PERSON, number))


def states_of(recording: Recording, seed: int) -> list[State]:
    """What is shown in each picture, as the recording's camera sees it."""
    random = _draws(seed, PERFORMANCE, recording.person, recording.number)
    act = perform if recording.performance in TASKS else perform_emotion
    states = act(recording.performance, recording.pictures, random)
    return [_turned(state, recording.turn) for state in states] if recording.turn else states


def _draws(seed: int, *numbers: int) -> np.random.Generator:
    """Draws of their own for each seed and each list of numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=numbers))


def _turned(state: State, degrees: float) -> State:
    """Seen from a camera that stands further to the person's right."""
    pose = replace(state.pose, yaw=state.pose.yaw + degrees)
    return replace(state, pose=pose, light=(state.light[0] + degrees, state.light[1]))
