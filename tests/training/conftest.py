"""Tests of AU data are skipped where the packages of its extra are missing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = (
    "av",
    "cv2",
    "jinja2",
    "matplotlib",
    "pandas",
    "pyarrow",
    "pytorch_lightning",
    "scipy",
    "skimage",
    "sklearn",
    "tensorboard",
    "torchvision",
    "typer",
    "yaml",
)
"""What the extra ``au`` installs."""

NEEDS_LESS = ("test_mnist.py",)


class Skipped(pytest.Module):
    """A module that is told as skipped without being imported."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(f"needs the extra au: {', '.join(_missing())}")


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Take a module's place where it cannot be imported."""
    if not _missing() or module_path.name in NEEDS_LESS:
        return None
    return Skipped.from_parent(parent, path=module_path)


def _missing() -> list[str]:
    return [name for name in PACKAGES if find_spec(name) is None]


@pytest.fixture(scope="module")
def tiny_network() -> Iterator[None]:
    """Put :class:`tests.training.au_runs.TinyCapsNet` among the networks."""
    from fastcaps.training.networks import NETWORKS
    from tests.training.au_runs import TINY, TinyCapsNet

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, TINY, TinyCapsNet)
        yield
