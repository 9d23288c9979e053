"""The arithmetic of the floor, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.roofline import backward_flops, bytes_moved, floor_seconds, forward_flops
from benchmarks.shapes import SHAPES, Size

SIZE = Size(batch=2, inputs=3, in_dim=5, outputs=7, out_dim=11)
VECTORS = 2 * 3 * 7 * 11
PRODUCT = 2 * VECTORS * 5
INPUTS = 2 * 3 * 5
WEIGHT = 3 * 5 * 7 * 11
OUTPUTS = 2 * 7 * 11


def test_one_iteration_is_one_matrix_product() -> None:
    assert forward_flops(SIZE, 1) == PRODUCT
    assert backward_flops(SIZE, 1) == 2 * VECTORS + 2 * PRODUCT


def test_each_further_iteration_adds_its_passes() -> None:
    assert forward_flops(SIZE, 3) == 3 * PRODUCT + 2 * 4 * VECTORS
    later = 2 * (PRODUCT + 3 * 2 * VECTORS)
    assert backward_flops(SIZE, 3) == later + 5 * 2 * VECTORS + 2 * PRODUCT


def test_detached_backward_does_not_depend_on_iterations() -> None:
    one = backward_flops(SIZE, 1, detached=True)
    assert one == backward_flops(SIZE, 4, detached=True) == backward_flops(SIZE, 1)


def test_action_units_need_what_the_design_says() -> None:
    size = SHAPES["au96"].size
    assert forward_flops(size, 3) == pytest.approx(3.17e9, rel=0.01)
    assert bytes_moved(size, 4, backward=False) == pytest.approx(19e6, rel=0.02)


def test_bytes_count_every_input_and_result_once_per_pass() -> None:
    assert bytes_moved(SIZE, 2, backward=False) == 2 * (INPUTS + WEIGHT + OUTPUTS)
    assert bytes_moved(SIZE, 4, backward=True) == 4 * (3 * (INPUTS + WEIGHT) + 2 * OUTPUTS)


@pytest.mark.parametrize(("bytes_per_second", "set_by"), [(1e15, "arithmetic"), (1.0, "memory")])
def test_floor_is_the_larger_of_two_times(bytes_per_second: float, set_by: str) -> None:
    seconds, by = floor_seconds(
        SIZE,
        3,
        4,
        backward=False,
        detached=False,
        flops_per_second=1e3,
        bytes_per_second=bytes_per_second,
    )
    assert by == set_by
    expected = {
        "arithmetic": forward_flops(SIZE, 3) / 1e3,
        "memory": bytes_moved(SIZE, 4, backward=False) / 1.0,
    }
    assert seconds == pytest.approx(expected[set_by])
