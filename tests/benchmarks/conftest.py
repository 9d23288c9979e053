"""Makes the benchmarks importable: they are no part of the installed package."""

from __future__ import annotations

import sys
from pathlib import Path

# Last, so that an installed fastcaps is found before the source tree.
sys.path.append(str(Path(__file__).resolve().parents[2]))
