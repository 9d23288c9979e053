"""How well made-up faces, whose landmarks are known, come to lie on the mean face.

    python benchmarks/au_alignment.py [--rig ict_face_rig.npz]

For people at rest, with each action unit alone, and as they move in a made-up data set, prints how
far their landmarks are from the mean face's after alignment by the known landmarks, in pixels of a
picture of 96 x 96; and how far off dlib's landmarks are, in percent of the distance between the
outer corners of the eyes. Both are means over the 51 landmarks without the jaw.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from fastcaps.training.action_units import ACTION_UNITS, LARGEST_INTENSITY
from fastcaps.training.faces.aligned import aligned_face
from fastcaps.training.faces.detectors import choose_face
from fastcaps.training.faces.dlib_detector import DlibDetector
from fastcaps.training.faces.landmarks import ALIGNMENT_POINTS, Landmarks
from fastcaps.training.synthetic.people import SIDES, State
from fastcaps.training.synthetic.recordings import person_of, states_of
from fastcaps.training.synthetic.renderers import make_renderer
from fastcaps.training.synthetic.settings import Settings, recordings_of

SIDE = 192
OUTER_CORNERS = (36, 45)
SEED = 0
FRAMES = 40
"""Of each person's performance."""


def states_at_rest(_: int) -> list[State]:
    """The neutral frontal face."""
    return [State(np.zeros((len(ACTION_UNITS), SIDES), dtype=np.float32))]


def states_of_action_units(_: int) -> list[State]:
    """The frontal face with each action unit alone, at its greatest intensity."""
    states = []
    for place in range(len(ACTION_UNITS)):
        intensities = np.zeros((len(ACTION_UNITS), SIDES), dtype=np.float32)
        intensities[place] = LARGEST_INTENSITY
        states.append(State(intensities))
    return states


def states_that_move(number: int) -> list[State]:
    """Some frames of all tasks of this subject: expressions, poses, blinks."""
    settings = Settings("prepared", number + 1, FRAMES, seed=SEED)
    return [
        state
        for recording in recordings_of(settings)
        if recording.person == number
        for state in states_of(recording, SEED)
    ]


CASES = {
    "frontal, at rest": states_at_rest,
    "frontal, one action unit": states_of_action_units,
    "moving": states_that_move,
}


def main(
    rig: Annotated[Path | None, typer.Option(help="A face rig.  [drawn faces]")] = None,
    people: Annotated[int, typer.Option(min=2, help="How many.")] = 20,
) -> None:
    """Print residuals and dlib's errors on made-up faces."""
    renderer, detector = make_renderer(rig), DlibDetector()
    table = Table("", title="rendered faces" if rig else "drawn faces")
    for name in (
        "pictures",
        "residual (px)",
        "95% below",
        "found by dlib",
        "dlib's error",
        "worst",
    ):
        table.add_column(name, justify="right")
    console = Console(stderr=True)
    for name, states in CASES.items():
        residuals, errors = [], []
        for number in track(range(people), name, console=console):
            person = person_of(number, SEED)
            for state in states(number):
                picture = renderer.render(person, state, SIDE)
                aligned = aligned_face(picture.image, picture.landmarks, 96, colour=False)
                residuals.append(aligned.residual)
                face = choose_face(detector.find([picture.image])[0], None)
                if face is not None:
                    errors.append(_error(face.landmarks, picture.landmarks))
        table.add_row(
            name,
            f"{len(residuals)}",
            f"{np.median(residuals):.2f}",
            f"{np.percentile(residuals, 95):.2f}",
            f"{len(errors)}",
            f"{np.median(errors):.1%}",
            f"{max(errors):.1%}",
        )
    Console(width=120).print(table)


def _error(found: Landmarks, known: Landmarks) -> float:
    """Mean distance, as part of that between the eyes' outer corners."""
    distances = np.hypot(*(found - known)[ALIGNMENT_POINTS].T)
    right, left = known[list(OUTER_CORNERS)]
    return float(distances.mean() / np.hypot(*(left - right)))


if __name__ == "__main__":
    typer.run(main)
