"""Timing, memory, inputs and scaling, on work too small to disturb anyone."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.contestants import CONTESTANTS
from benchmarks.examine import Judge, examine
from benchmarks.inputs import (
    SHARED_MNIST,
    BadDigitsError,
    Inputs,
    load_digits,
    make_inputs,
    primary_capsules,
)
from benchmarks.machine import read_weight
from benchmarks.memory import counting_saved_bytes, peak_bytes
from benchmarks.options import Settings
from benchmarks.results import ScalingPoint
from benchmarks.scaling import fit_exponent, fit_exponents, sizes_to_scale
from benchmarks.shapes import SHAPES, Shape, Size
from benchmarks.timing import Runner, interleave, quartiles

TINY = Shape("tiny", Size(3, 4, 2, 3, 5), "")


def tiny_inputs(dtype: torch.dtype = torch.float32) -> Inputs:
    return make_inputs(TINY, dtype, "cpu", None)


def test_inputs_are_the_same_every_time() -> None:
    first, second = tiny_inputs(), tiny_inputs()
    assert torch.equal(first.u, second.u)
    assert torch.equal(first.weight, second.weight)
    assert first.weight.shape == (4, 2, 3, 5)
    assert first.grad_v.shape == (3, 3, 5)


def test_primary_capsules_are_squashed_and_leave_the_generator_alone() -> None:
    images = torch.rand(2, 1, 28, 28)
    state = torch.random.get_rng_state()
    capsules = primary_capsules(images, SHAPES["real"].size)
    assert capsules.shape == (2, 1152, 8)
    assert 0 < capsules.norm(dim=-1).max() < 1
    assert torch.equal(capsules, primary_capsules(images, SHAPES["real"].size))
    assert torch.equal(state, torch.random.get_rng_state())


def test_digits_are_repeated_where_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr("benchmarks.inputs.SHARED_MNIST", Path("absent"))
    images, source = load_digits(1800, None)
    assert source == "scikit-learn digits"
    assert images.shape == (1800, 1, 28, 28)
    assert torch.equal(images[0], images[1797])
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.skipif(not SHARED_MNIST.exists(), reason="mnist.npz is not beside the repository")
def test_real_digits_are_found() -> None:
    images, source = load_digits(5, None)
    assert source == "MNIST digits"
    assert images.shape == (5, 1, 28, 28)
    assert images.max() == 1


def test_a_file_without_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    path.write_text("no archive")
    with pytest.raises(BadDigitsError, match=r"mnist\.npz: expected a \.npz file"):
        load_digits(1, path)


@pytest.mark.parametrize("name", [n for n, c in CONTESTANTS.items() if not c.compiled])
def test_contestants_pass_the_judge(name: str) -> None:
    inputs = tiny_inputs()
    contestant = CONTESTANTS[name]
    layer = contestant.layer(3, "outputs", "reference")
    judge = Judge(inputs, Settings())
    seen = examine(layer, inputs, judge, mode="forward+backward", detached=contestant.detached)
    assert set(seen.errors) == {"v", "grad u", "grad weight"}
    assert max(seen.errors.values()) < 1e-5
    assert seen.saved_bytes is not None


def test_judge_notices_a_wrong_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = tiny_inputs()
    monkeypatch.setattr("benchmarks.examine.JUDGED_BYTES", 2 * 8 * inputs.weight[:, 0].numel())
    judge = Judge(inputs, Settings())
    assert judge.samples == 2
    assert judge.grad_v[2:].count_nonzero() == 0
    v = CONTESTANTS["einsum"].layer(3, "outputs", None)(inputs.u, inputs.weight)
    assert judge.errors((v,), detached=False)["v"] < 1e-5
    v[1] += 1
    assert judge.errors((v,), detached=False)["v"] > 0.1


def test_saved_storages_count_once_and_inputs_not() -> None:
    x = torch.ones(10, requires_grad=True)
    with counting_saved_bytes(x) as saved:
        y = x * x
        z = y[:5] * y[5:]
    assert z.requires_grad
    assert saved.total == 40


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
def test_peak_counts_what_is_not_returned() -> None:
    def call() -> tuple[Tensor, ...]:
        scratch = torch.ones(8 << 20)
        return (scratch[: 4 << 20] + 1,)

    (returned,), extra = peak_bytes(call, "cpu")
    assert returned.numel() == 4 << 20
    if extra is None:
        pytest.skip("this kernel does not reset peaks")
    assert extra == pytest.approx(32 << 20, rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_weight_is_read_whole(dtype: torch.dtype) -> None:
    assert read_weight(torch.ones(2, 3, 4, dtype=dtype)).dim() == 0


def test_runners_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(timing, "LONG_CALL", 0.0)  # so that every call counts as a long one
    runners = {name: Runner(partial(order.append, name), None, first=1.0) for name in "ab"}
    assert list(interleave(runners, 3, 1.0, "cpu")) == ["a", "b"] * 3
    assert order == ["a", "b"] * 4  # once to tell that they are long
    assert all(len(runner.seconds) == 3 for runner in runners.values())


def test_a_call_that_was_long_once_is_repeated_if_it_is_short() -> None:
    runner = Runner(lambda: None, None, first=1.0)
    list(interleave({"a": runner}, 3, 1.0, "cpu"))
    assert runner.calls > 1


def test_short_calls_are_repeated_within_one_repeat() -> None:
    runners = {"a": Runner(lambda: None, None)}
    list(interleave(runners, 3, 0.0, "cpu"))
    assert runners["a"].calls > 100


def test_only_hopeless_runners_stop_early() -> None:
    hopeless = Runner(lambda: None, "full", seconds=[4.0] * 3)
    assert hopeless.should_stop(2.0, {"full": 1.0})
    assert not hopeless.should_stop(20.0, {"full": 1.0})
    assert not hopeless.should_stop(2.0, {"full": 3.0})
    assert not Runner(lambda: None, "full", seconds=[4.0] * 2).should_stop(2.0, {"full": 1.0})
    assert not Runner(lambda: None, None, seconds=[4.0] * 9).should_stop(2.0, {"full": 1.0})


def test_quartiles() -> None:
    assert quartiles([5.0]) == (5.0, 5.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)


def test_exponents_are_those_of_the_power_law() -> None:
    assert fit_exponent([(n, 3 * n**1.5) for n in (1, 2, 4, 8)]) == pytest.approx(1.5)
    points = [
        ScalingPoint("batch", mode, Size(n, 1, 1, 1, 1), power(n))
        for mode, power in (("forward", float), ("forward+backward", lambda n: n * n))
        for n in (2, 4, 8)
    ]
    assert fit_exponents(points) == pytest.approx(
        {"batch forward": 1.0, "batch forward+backward": 2.0}
    )


def test_scaling_doubles_one_number_at_a_time() -> None:
    sizes = sizes_to_scale("cpu")
    assert [size.batch for size in sizes["batch"]] == [64, 128, 256, 512]
    assert [size.outputs for size in sizes["outputs"]] == [6, 12, 24, 48]
    assert {size.batch for size in sizes["inputs"]} == {64}
