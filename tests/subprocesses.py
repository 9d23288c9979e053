"""Runs Python code in a process of its own, with the packages that this process sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run_python"]


def run_python(script: str, *arguments: str, folder: Path, **environment: str) -> str:
    """The standard output of ``script``, run in ``folder``; raises if it fails."""
    # Not from the working folder, whose source tree would come before an installed package.
    search = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    finished = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": search} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
