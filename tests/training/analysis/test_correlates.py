"""Names for what dimensions of a capsule change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastcaps.training.analysis.claims.attributes import Attribute
from fastcaps.training.analysis.correlates import LEAST, strongest_correlates


def test_the_strongest_attribute_gives_the_name() -> None:
    random = np.random.default_rng(0)
    yaw, light = random.normal(size=(2, 60))
    light[::7] = np.nan
    directions = np.stack(
        [np.exp(yaw) + 0.1 * random.normal(size=60), -np.nan_to_num(light), np.full(60, 0.5)],
        axis=1,
    )
    directions = np.concatenate([directions, random.normal(size=(60, 1)) * 1e-3], axis=1)
    found = strongest_correlates(
        directions,
        [Attribute("yaw", "", yaw), Attribute("light_left", "", light)],
    )
    first, second, constant, noise = found
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("yaw", "light_left")
    assert first.rho == pytest.approx(spearmanr(directions[:, 0], yaw).statistic)
    # Frames whose light is not known do not count.
    assert second.rho == pytest.approx(-1)
    assert second.text == "light left -1.00"
    assert constant is None
    assert noise is None or abs(noise.rho) >= LEAST


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [np.nan, np.nan, np.nan]])
def test_what_does_not_vary_gives_no_name(values: list[float]) -> None:
    directions = np.random.default_rng(1).normal(size=(len(values), 5))
    found = strongest_correlates(directions, [Attribute("yaw", "", np.array(values))])
    assert found == (None,) * 5
