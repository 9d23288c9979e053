"""Data that runs to be looked into are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastcaps.training.prepared import Prepared


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Made-up faces with labels of 3 action units."""
    from tests.training.au_runs import small_data

    return small_data(tmp_path_factory.mktemp("data") / "data")
