"""Looking into GPU binaries with the programs that come with Triton."""

from __future__ import annotations

import subprocess
from pathlib import Path

import triton

__all__ = ["LOCAL_MEMORY", "tool"]

LOCAL_MEMORY = ("LDL", "STL")
"""Instructions that read and write local memory, where a thread's spilled registers are."""


def tool(name: str, *arguments: str) -> str:
    """What cuobjdump or nvdisasm prints."""
    folder = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    command = [str(folder / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
