"""Tuning of the Triton kernels' tiles: what is measured, kept, used and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fastcaps
from fastcaps.backends import BackendError, why_not
from fastcaps.tune import BACKWARD, FORWARD, candidates, tune
from tests.comparing import assert_agrees, capsules

pytest.importorskip("triton", reason="tiles are those of Triton kernels")

from fastcaps.kernels import tuned
from fastcaps.kernels.plan import forget_plans, plan_of
from fastcaps.kernels.tiles import RoutingTile

SHAPE = (2, 3, 8, 2, 4)


@pytest.fixture(autouse=True)
def own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: torch.device) -> Path:
    """Tiles are kept in a file of the test, and forgotten after it."""
    reason = why_not("triton", "squash", torch.empty(1, device=device))
    if reason is not None:
        pytest.skip(f"triton: {reason}")
    path = tmp_path / "folder" / "tiles.json"
    monkeypatch.setenv("FASTCAPS_TUNED", str(path))
    tuned.forget()
    forget_plans()
    return path


@pytest.fixture(autouse=True)
def forget_afterwards(own_file: Path) -> object:
    yield
    tuned.forget()
    forget_plans()


@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
def test_the_fastest_tile_is_kept_and_used(
    own_file: Path, device: torch.device, softmax_over: str
) -> None:
    inputs = capsules(SHAPE, device=device)
    over_inputs = softmax_over == "inputs"
    wanted = RoutingTile(32, 8, 4, 3)
    forward = [kernel for kernel in FORWARD if not (over_inputs and "normalizer" in kernel)]
    kernels = (*forward, *BACKWARD)

    def seconds(call: Callable[[], object]) -> float:
        plan = plan_of(inputs["u"], inputs["weight"], None, None, 3, over_inputs, False)
        return -sum(plan.tile(kernel) == wanted for kernel in kernels)

    found = tune(**inputs, softmax_over=softmax_over, seconds=seconds)
    assert found == dict.fromkeys(kernels, tuple(wanted))
    tuned.forget()
    forget_plans()
    plan = plan_of(inputs["u"], inputs["weight"], None, None, 3, over_inputs, False)
    assert all(plan.tile(kernel) == wanted for kernel in kernels)
    assert_agrees("routed_capsules", "triton", inputs, softmax_over=softmax_over)
    assert own_file.read_text(encoding="utf-8").count("kernel") == len(kernels)


def test_a_tile_that_does_not_run_is_passed_over(device: torch.device) -> None:
    inputs = capsules(SHAPE, device=device)
    times = iter(range(1000, 0, -1))

    def seconds(call: Callable[[], object]) -> float:
        plan = plan_of(inputs["u"], inputs["weight"], None, None, 3, True, False)
        if plan.tile("weighted_sums_kernel").samples != 64:
            raise RuntimeError("out of shared memory")
        return next(times)

    found = tune(**inputs, softmax_over="inputs", seconds=seconds)
    assert found["weighted_sums_kernel"][0] == 64


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cpu": 3}', '{"cpu": {"a": [1, 2]}}', '{"cpu": {"a": [3, 2, 4, 2]}}']
)
def test_a_spoiled_file_is_left_alone(own_file: Path, device: torch.device, text: str) -> None:
    own_file.parent.mkdir()
    own_file.write_text(text, encoding="utf-8")
    inputs = capsules(SHAPE, device=device)
    with pytest.warns(UserWarning, match="not a file of tiles, not used"):
        fastcaps.routed_capsules(**inputs, backend="triton")
    assert own_file.read_text(encoding="utf-8") == text


def test_wrong_arguments_are_named(device: torch.device) -> None:
    inputs = capsules(SHAPE, device=device)
    with pytest.raises(ValueError, match="u: expected at least one sample"):
        tune(inputs["u"][:0], inputs["weight"])
    with pytest.raises(ValueError, match="weight: expected shape"):
        tune(inputs["u"], inputs["weight"][:2])
    with pytest.raises(BackendError, match="computes in float32"):
        tune(inputs["u"].double(), inputs["weight"].double())


def test_candidates_differ() -> None:
    tried = list(candidates(torch.empty(4, 3, 8)))
    assert len(set(tried)) == len(tried) > 10


def test_a_tile_wider_than_what_is_arranged_still_gives_the_result(device: torch.device) -> None:
    inputs = capsules((2, 40, 8, 2, 4), device=device)
    plan = plan_of(inputs["u"], inputs["weight"], None, None, 3, False, False)
    keys = [plan.tuning_key(kernel) for kernel in (*FORWARD, *BACKWARD)]
    tuned.remember(device, dict.fromkeys(keys, RoutingTile(16, 32, 4, 2)))
    forget_plans()
    assert_agrees("routed_capsules", "triton", inputs)


def test_stopping_leaves_no_trial_behind(own_file: Path, device: torch.device) -> None:
    def seconds(call: Callable[[], object]) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(**capsules(SHAPE, device=device), seconds=seconds)
    assert not tuned.TRIALS
    assert not own_file.exists()


def test_without_a_home_there_is_nothing_tuned(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTCAPS_TUNED", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert_agrees("routed_capsules", "triton", capsules(SHAPE, device=device))
