"""Folders that several programs claim."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.folders import SETTINGS, claim_shared_folder, read_json

PROGRAMS = 4


@pytest.mark.parametrize("trial", range(10))
def test_programs_may_claim_a_folder_at_the_same_time(tmp_path: Path, trial: int) -> None:
    together = Barrier(PROGRAMS)

    def claim(_: int) -> None:
        together.wait()
        claim_shared_folder(tmp_path / "run", {"seed": trial}, ["fold-1"])

    with ThreadPoolExecutor(PROGRAMS) as pool:
        list(pool.map(claim, range(PROGRAMS)))
    assert read_json(tmp_path / "run" / SETTINGS) == {"seed": trial}


def test_only_one_of_two_different_claims_holds(tmp_path: Path) -> None:
    together = Barrier(PROGRAMS)

    def claim(seed: int) -> None:
        together.wait()
        claim_shared_folder(tmp_path / "run", {"seed": seed}, ["fold-1"])

    with ThreadPoolExecutor(PROGRAMS) as pool:
        errors = [pool.submit(claim, seed).exception for seed in range(PROGRAMS)]
        told = [str(error()) for error in errors]
    assert told.count("None") == 1
    assert sum("holds work with other settings: seed is" in text for text in told) == PROGRAMS - 1
    assert read_json(tmp_path / "run" / SETTINGS) == {"seed": told.index("None")}


def test_a_folder_of_something_else_is_left_without_a_lock(tmp_path: Path) -> None:
    (tmp_path / "fold-1").mkdir()
    with pytest.raises(InputError, match=r"has fold-1 but no settings\.json"):
        claim_shared_folder(tmp_path, {}, ["fold-1"])
    assert [path.name for path in tmp_path.iterdir()] == ["fold-1"]
