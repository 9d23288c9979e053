"""What faces do in made-up recordings: tasks like BP4D's, emotions like CK+'s, and their coding.

A performance is a list of :class:`~fastcaps.training.synthetic.people.State`, one for each frame.
Faces show whole expressions, in which action units come together, and now and then single ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from fastcaps.training.action_units import ACTION_UNITS, EMOTIONS, LARGEST_INTENSITY
from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.people import SIDES, Pose, State
from fastcaps.training.synthetic.performance_tables import (
    ANTAGONISTS,
    EMOTION_UNITS,
    EXPRESSIONS,
    ONE_SIDED,
    SAME_ON_BOTH_SIDES,
    SINGLE_UNIT_SHARE,
    TASK_EXPRESSIONS,
)

__all__ = [
    "FRAMES_PER_SECOND",
    "TASKS",
    "coded_intensities",
    "occurrences",
    "perform",
    "perform_emotion",
]

Series = NDArray[np.float64]

FRAMES_PER_SECOND = 25

EVENT_SECONDS = (1.2, 4.5)
"""The shortest and the longest time that an expression is shown at once."""

TASKS = tuple(TASK_EXPRESSIONS)
"""In BP4D's order."""

ROWS = {unit: row for row, unit in enumerate(ACTION_UNITS)}


def perform(task: str, frames: int, random: np.random.Generator) -> list[State]:
    """A smooth sequence of states at 25 frames a second, from the middle of a task.

    Args:
        task: one of ``TASKS``.
        frames: how many, at least 1.
        random: what to draw from; the same draws give the same performance.

    Raises:
        InputError: there is no such task, or too few frames.
    """
    _check("task", task, TASKS)
    _check_frames(frames)
    shares = {unit: SINGLE_UNIT_SHARE for unit in ACTION_UNITS}
    shown: list[tuple[Mapping[int, float], float]] = [({u: 1.0}, s) for u, s in shares.items()]
    shown += [(EXPRESSIONS[name], share) for name, share in TASK_EXPRESSIONS[task].items()]
    intensities = np.zeros((frames, len(ACTION_UNITS), SIDES))
    for units, share in shown:
        for start, end in _events(share, frames / FRAMES_PER_SECOND, random):
            _show(intensities, units, start, end, random)
    intensities *= 1.0 + 0.05 * _drift((frames, len(ACTION_UNITS), 1), 0.3, random)
    return _states(
        _consistent(intensities),
        pose=_drift((frames, 3), 1.0, random) * (9.0, 5.0, 3.5),
        gaze=_fixations(frames, random) * (8.0, 4.0),
        blink=_blinks(frames, random),
        random=random,
    )


def perform_emotion(emotion: str, frames: int, random: np.random.Generator) -> list[State]:
    """A frontal sequence like CK+'s: neutral in the first frame, the emotion's peak in the last.

    Args:
        emotion: one of ``EMOTIONS``.
        frames: how many, at least 1; one frame alone shows the peak.
        random: what to draw from.

    Raises:
        InputError: there is no such emotion, or too few frames.
    """
    _check("emotion", emotion, EMOTIONS)
    _check_frames(frames)
    rise = np.linspace(1.0, 0.0, frames)[::-1]  # 1 where there is one frame only
    intensities = np.zeros((frames, len(ACTION_UNITS), SIDES))
    strength = random.uniform(3.0, 5.0)
    for unit in EMOTION_UNITS[emotion]:
        sides = _sides(unit, random, one_sided=emotion == "contempt")
        apex = np.clip(strength * random.normal(1.0, 0.12), 2.0, LARGEST_INTENSITY) * sides
        curve = _smoothstep(rise ** random.uniform(0.8, 1.25))
        intensities[:, ROWS[unit]] = curve[:, None] * apex
    return _states(
        _consistent(intensities),
        pose=_drift((frames, 3), 1.0, random) * (2.0, 2.0, 1.5),
        gaze=_drift((frames, 2), 1.0, random),
        blink=np.zeros(frames),
        random=random,
    )


def coded_intensities(states: Sequence[State]) -> NDArray[np.int8]:
    """What a FACS coder writes: the rounded intensity of the stronger side.

    Returns:
        int8 [frames, 17], 0 .. 5; columns as in ``ACTION_UNITS``; below 0.5 is 0.
    """
    shown = np.array([state.intensities for state in states]).reshape(-1, len(ACTION_UNITS), SIDES)
    rounded = np.floor(shown.max(axis=2) + 0.5)
    return np.clip(rounded, 0, LARGEST_INTENSITY).astype(np.int8)


def occurrences(intensities: NDArray[np.int8]) -> NDArray[np.int8]:
    """1 where an action unit is present, from intensity 1 (A) on as in BP4D; else 0."""
    return (intensities >= 1).astype(np.int8)


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{name}: expected one of {', '.join(known)}, got {value}")


def _check_frames(frames: int) -> None:
    if frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}")


def _events(
    share: float, seconds: float, random: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Start and end of events that take ``share`` of the time, in seconds from the first frame."""
    time = -random.uniform(10.0, 20.0)
    while time < seconds:
        length = random.uniform(*EVENT_SECONDS)
        yield time, time + length
        time += length + random.exponential(np.mean(EVENT_SECONDS) * (1.0 - share) / share)


def _show(
    intensities: Series,
    units: Mapping[int, float],
    start: float,
    end: float,
    random: np.random.Generator,
) -> None:
    """Add one event, in which each action unit takes part with its probability."""
    strength = random.uniform(1.0, 3.0) + 2.0 * random.beta(1.2, 2.5)
    for unit, probability in units.items():
        takes_part = random.uniform() < probability
        apex = np.clip(strength * random.lognormal(0.0, 0.25), 0.8, LARGEST_INTENSITY)
        sides = apex * _sides(unit, random, random.uniform() < ONE_SIDED.get(unit, 0.0))
        first, last = start + random.uniform(-0.15, 0.25), end + random.uniform(-0.25, 0.3)
        onset, offset = random.uniform(0.25, 0.6), random.uniform(0.35, 0.9)
        frames = slice(*(max(0, int(t * FRAMES_PER_SECOND)) for t in (first, last + 1.0)))
        place = intensities[frames, ROWS[unit]]
        if takes_part and len(place):
            time = (np.arange(len(place)) + frames.start) / FRAMES_PER_SECOND
            curve = np.minimum(
                _smoothstep((time - first) / onset), _smoothstep((last - time) / offset)
            )
            np.maximum(place, curve[:, None] * sides, out=place)


def _sides(unit: int, random: np.random.Generator, one_sided: bool) -> Series:
    """How much of an action unit the left and the right side show, 1 on the stronger one."""
    weaker = random.uniform(0.0, 0.08) if one_sided else 1.0 - min(random.exponential(0.08), 0.5)
    sides = random.permutation([1.0, weaker])
    return np.ones(SIDES) if unit in SAME_ON_BOTH_SIDES else sides


def _consistent(intensities: Series) -> Series:
    """Damp what cannot be seen together, in 0 .. 5; a dropped jaw parts the lips."""
    intensities = np.clip(intensities, 0.0, LARGEST_INTENSITY)
    jaw, lips = ROWS[26], ROWS[25]
    intensities[:, lips] = np.maximum(intensities[:, lips], 0.7 * intensities[:, jaw])
    for unit, against, part in ANTAGONISTS:
        taken = part * _smoothstep(intensities[:, ROWS[against]].max(axis=1) / 3.0)
        intensities[:, ROWS[unit]] *= 1.0 - taken[:, None]
    return intensities


def _states(
    intensities: Series, pose: Series, gaze: Series, blink: Series, random: np.random.Generator
) -> list[State]:
    """Put states together; camera, light and background are of one sequence, with mild drift."""
    frames = len(intensities)
    offset = random.normal(0.0, 0.015, 2) + 0.008 * _drift((frames, 2), 1.5, random)
    zoom = random.uniform(0.92, 1.06) + 0.012 * _drift((frames,), 1.5, random)
    light = random.uniform((-60.0, 0.0), (60.0, 50.0)) + 1.5 * _drift((frames, 2), 2.0, random)
    brightness = random.uniform(0.8, 1.15) + 0.015 * _drift((frames,), 2.0, random)
    contrast = float(random.uniform(0.3, 0.8))
    background = int(random.integers(2**31))
    return [
        State(
            intensities=intensities[i].astype(np.float32),
            pose=Pose(*map(float, pose[i])),
            gaze=(float(gaze[i, 0]), float(gaze[i, 1])),
            blink=float(blink[i]),
            offset=(float(offset[i, 0]), float(offset[i, 1])),
            zoom=float(zoom[i]),
            light=(float(light[i, 0]), float(light[i, 1])),
            contrast=contrast,
            brightness=float(brightness[i]),
            background=background,
        )
        for i in range(frames)
    ]


def _drift(shape: tuple[int, ...], seconds: float, random: np.random.Generator) -> Series:
    """Low-passed noise of unit variance along the first axis; ``seconds`` is its time scale."""
    width = seconds * FRAMES_PER_SECOND
    margin = int(4 * width)
    noise = random.normal(size=(shape[0] + 2 * margin, *shape[1:]))
    smooth = gaussian_filter1d(noise, width, axis=0, mode="constant")[margin : margin + shape[0]]
    return smooth * np.sqrt(2.0 * width * np.sqrt(np.pi))


def _fixations(frames: int, random: np.random.Generator) -> Series:
    """Gaze [frames, 2] that rests, then jumps; unit variance, at most 2.5."""
    lengths = random.integers(8, 50, size=frames // 8 + 1)
    places = np.clip(random.normal(size=(len(lengths), 2)), -2.5, 2.5)
    return np.repeat(places, lengths, axis=0)[:frames]


def _blinks(frames: int, random: np.random.Generator) -> Series:
    """How far eyes are closed [frames], 0 .. 1: a blink of a quarter second every few seconds."""
    count = frames // FRAMES_PER_SECOND + 2
    times = np.cumsum(random.uniform(1.5, 6.0, count)) - random.uniform(0.0, 6.0)
    distance = np.abs(np.arange(frames)[:, None] / FRAMES_PER_SECOND - times)
    return _smoothstep(1.3 - distance.min(axis=1) / 0.12)


def _smoothstep(x: Series) -> Series:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
