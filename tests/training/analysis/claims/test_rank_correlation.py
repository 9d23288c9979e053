"""Rank correlations against SciPy's on repeated frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from fastcaps.training.analysis.claims.rank_correlation import rank_correlations


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.sampled_from([2, 4, 1000]))
def test_frames_that_count_several_times(seed: int, frames: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, levels, frames), random.integers(0, 6, frames)
    weights = random.integers(0, 4, (3, frames))
    found = rank_correlations(first, second, weights.astype(float))
    for times, value in zip(weights, found, strict=True):
        x, y = np.repeat(first, times), np.repeat(second, times)
        if len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
