"""Options of ``pytest benchmarks/``, and where its modules are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--all-cases``."""
    parser.addoption(
        "--all-cases",
        action="store_true",
        help="benchmark every contestant on every shape, not fastcaps on the small ones alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the cases that need ``--all-cases``."""
    config.addinivalue_line("markers", "slow_case: runs only with --all-cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the slow cases unless they are asked for."""
    if config.getoption("--all-cases"):
        return
    skip = pytest.mark.skip(reason="needs --all-cases")
    for item in items:
        if item.get_closest_marker("slow_case"):
            item.add_marker(skip)
