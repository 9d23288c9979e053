"""Made-up data sets: the same bytes always, whatever stops the work, and errors that say why."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fastcaps.training.errors import InputError
from fastcaps.training.folders import held
from fastcaps.training.synthetic import synthesis
from fastcaps.training.synthetic.drawn.renderer import DrawnRenderer
from fastcaps.training.synthetic.people import Person, Picture, State
from fastcaps.training.synthetic.recordings import Recording, person_of, states_of
from fastcaps.training.synthetic.settings import LAYOUTS, Settings, recordings_of
from fastcaps.training.synthetic.synthesis import synthesize
from tests.training.synthetic_trees import files_of, truth_in

RIG = Path(__file__).parents[4] / "shared" / "data" / "ict_face_rig.npz"

SETTINGS = {
    layout: Settings(layout, subjects=2, frames_per_subject=9, side=32) for layout in LAYOUTS
}


class Stop(BaseException):
    """Raised instead of a kill."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of each layout, written without a stop."""
    folder = tmp_path_factory.mktemp("expected")
    for layout, settings in SETTINGS.items():
        synthesize(folder / layout, settings)
    return {layout: files_of(folder / layout) for layout in LAYOUTS}


@contextmanager
def stop_at(step: int) -> Iterator[None]:
    """Stop before the given rename; work folders stay, as after a kill."""
    rename, cleanup = os.replace, synthesis.tempfile.TemporaryDirectory.cleanup
    left = step

    def counted(*arguments: Any) -> None:
        nonlocal left
        if left == 0:
            raise Stop
        left -= 1
        rename(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", counted)
        patch.setattr(
            synthesis.tempfile.TemporaryDirectory,
            "__exit__",
            lambda self, kind, *_: None if kind is Stop else cleanup(self),
        )
        yield


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("layout", "imagenet", "layout: expected one of bp4d, disfa, ckplus, prepared, got imag"),
        ("subjects", 0, "subjects: expected 1 .. 900, got 0"),
        ("subjects", 901, "subjects: expected 1 .. 900, got 901"),
        ("frames_per_subject", 0, "frames_per_subject: expected 1 .. 1000000, got 0"),
        ("side", 15, "side: expected 16 .. 2048, got 15"),
        ("seed", -1, "seed: expected 0 .. 2147483647, got -1"),
        ("colour", True, "colour: are of the layout prepared only, got layout bp4d"),
    ],
)
def test_settings_out_of_range(option: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**{option: value})


def test_settings_of_layouts() -> None:
    with pytest.raises(InputError, match=r"frames_per_subject: expected 8 \.\. .*got 7"):
        Settings("ckplus", frames_per_subject=7)
    with pytest.raises(InputError, match="96 or 224, got 100"):
        Settings("prepared", input_side=100)
    assert Settings("disfa").picture_side == Settings("prepared").picture_side == 192
    assert Settings("prepared", input_side=224).picture_side == 448


def test_no_workers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers: expected at least 1, got 0"):
        synthesize(tmp_path / "out", SETTINGS["bp4d"], workers=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_left_over(expected: dict[str, dict[str, bytes]], layout: str) -> None:
    files = expected[layout]
    assert not [name for name in files if "unfinished" in name or name.endswith(".part")]
    assert json.loads(files["settings.json"])["side"] == 32


def test_processes_write_the_same_bytes(
    expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    synthesize(tmp_path, SETTINGS["disfa"], workers=2)
    assert files_of(tmp_path) == expected["disfa"]


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
# Smaller failures are not worth the minutes that looking for them takes.
@hypothesis_settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_a_run_that_is_stopped_again_and_again(
    expected: dict[str, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    data: st.DataObject,
) -> None:
    out = tmp_path_factory.mktemp("stopped")
    for _ in range(3):
        with stop_at(data.draw(st.integers(0, len(expected[layout])), label="renames")):
            try:
                synthesize(out, SETTINGS[layout])
            except Stop:
                continue
        break
    synthesize(out, SETTINGS[layout])
    assert files_of(out) == expected[layout]


def test_a_killed_program(expected: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from fastcaps.training.synthetic.settings import Settings
from fastcaps.training.synthetic.synthesis import synthesize

synthesize(Path({str(tmp_path)!r}), Settings("bp4d", subjects=2, frames_per_subject=9, side=32))
"""
    program = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path.parent)
    deadline = time.monotonic() + 60
    truth = tmp_path / "unfinished" / "truth"
    while program.poll() is None and not list(truth.glob("*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    program.send_signal(signal.SIGKILL)
    program.wait()
    synthesize(tmp_path, SETTINGS["bp4d"])
    assert files_of(tmp_path) == expected["bp4d"]


def test_finished_recordings_are_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    run = synthesis._run

    def counted(job: Any) -> int:
        drawn.append(job.recording.name)
        if len(drawn) == 8:
            raise Stop
        return run(job)

    monkeypatch.setattr(synthesis, "_run", counted)
    told: list[tuple[int, int]] = []
    with pytest.raises(Stop):
        synthesize(tmp_path, SETTINGS["bp4d"], progress=lambda *step: told.append(step))
    last = told[-1]
    # Nine frames in eight tasks: two in the first, one in each of the others.
    assert told == [(0, 18), *((done, 18) for done in range(2, 9))]
    told.clear()
    summary = synthesize(tmp_path, SETTINGS["bp4d"], progress=lambda *step: told.append(step))
    assert (told[0], told[-1]) == (last, (18, 18))
    names = [recording.name for recording in recordings_of(SETTINGS["bp4d"])]
    assert drawn == names[:8] + names[7:]
    assert (summary.subjects, summary.recordings, summary.frames) == (2, 16, 18)
    before = files_of(tmp_path)
    assert synthesize(tmp_path, SETTINGS["bp4d"]) == summary
    assert files_of(tmp_path) == before
    assert len(drawn) == 17


def test_another_data_set_is_refused(tmp_path: Path) -> None:
    synthesize(tmp_path, SETTINGS["bp4d"])
    before = files_of(tmp_path)
    for other in (
        SETTINGS["disfa"],
        Settings("bp4d", subjects=2, frames_per_subject=9, side=32, seed=1),
        Settings("bp4d", subjects=3, frames_per_subject=9, side=32),
    ):
        with pytest.raises(InputError, match="other settings"):
            synthesize(tmp_path, other)
    assert files_of(tmp_path) == before


def test_a_real_data_set_is_not_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "F001" / "T1" / "1.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"has F001 but no settings\.json"):
        synthesize(tmp_path, SETTINGS["bp4d"])
    assert files_of(tmp_path) == {"F001/T1/1.jpg": b"mine"}


def test_a_folder_at_work_is_refused(tmp_path: Path) -> None:
    with stop_at(3), pytest.raises(Stop):
        synthesize(tmp_path, SETTINGS["bp4d"])
    with held(tmp_path), pytest.raises(InputError, match="another program is at work"):
        synthesize(tmp_path, SETTINGS["bp4d"])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"out: .*file.* cannot be made a folder"):
        synthesize(tmp_path / "file", SETTINGS["bp4d"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk(expected: dict[str, dict[str, bytes]], tmp_path: Path, layout: str) -> None:
    largest = max(expected[layout].values(), key=len)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(largest) - 1, limits[1]))
    try:
        with pytest.raises(InputError, match=r"out: .* cannot be written: .*; what is done stays"):
            synthesize(tmp_path, SETTINGS[layout])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    synthesize(tmp_path, SETTINGS[layout])
    assert files_of(tmp_path) == expected[layout]


def test_a_bad_rig_leaves_no_folder(tmp_path: Path) -> None:
    rig = tmp_path / "rig.npz"
    rig.write_bytes(b"PK cut off")
    for path in (rig, tmp_path / "none.npz"):
        with pytest.raises(InputError, match="rig: "):
            synthesize(tmp_path / "out", Settings(rig=path))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not RIG.exists(), reason="needs ../shared/data/ict_face_rig.npz")
def test_a_rig(tmp_path: Path) -> None:
    settings = Settings("bp4d", subjects=1, frames_per_subject=2, side=32, rig=RIG)
    synthesize(tmp_path / "rig", settings)
    decisive = json.loads((tmp_path / "rig" / "settings.json").read_text())
    assert len(decisive["rig"]) == 64
    drawn = Settings("bp4d", subjects=1, frames_per_subject=2, side=32)
    synthesize(tmp_path / "drawn", drawn)
    rig, plane = truth_in(tmp_path / "rig"), truth_in(tmp_path / "drawn")
    same = [name for name in rig.columns if not re.fullmatch(r"[xy]\d+", name)]
    assert rig[same].equals(plane[same])
    assert not np.allclose(rig["x30"], plane["x30"], atol=0.1)
    with pytest.raises(InputError, match="rig is None there"):
        synthesize(tmp_path / "drawn", settings)


def test_more_subjects_leave_the_first_as_they_are(tmp_path: Path) -> None:
    for layout, settings in SETTINGS.items():
        larger = Settings(layout, subjects=3, frames_per_subject=9, side=32)
        assert recordings_of(larger)[: len(recordings_of(settings))] == recordings_of(settings)


def test_seeds_people_and_recordings_differ() -> None:
    def shown(person: int, number: int, seed: int) -> bytes:
        recording = Recording("S001", "T1", person, number, "T1", frames=5)
        return b"".join(state.intensities.tobytes() for state in states_of(recording, seed))

    keys = [(person, number, seed) for person in range(3) for number in range(3) for seed in (0, 1)]
    assert len({shown(*key) for key in keys}) == len(keys)
    assert len({person_of(person, seed).detail for person, _, seed in keys}) == 6


def test_memory_does_not_grow_with_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: list[weakref.ref[Picture]] = []
    alive: list[int] = []

    class Watching:
        def render(self, person: Person, state: State, side: int) -> Picture:
            picture = DrawnRenderer().render(person, state, side)
            pictures.append(weakref.ref(picture))
            alive.append(sum(seen() is not None for seen in pictures))
            return picture

    monkeypatch.setattr(synthesis, "_renderer", lambda *_: Watching())
    for layout in LAYOUTS:
        synthesize(tmp_path / layout, Settings(layout, 1, frames_per_subject=16, side=16))
    assert len(alive) >= 5 * 16
    assert max(alive) <= 2
