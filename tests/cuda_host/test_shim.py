"""The shim that runs CUDA kernels on the host catches what a GPU would get wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.cuda_host.library import ORDERS, HostLibrary, KernelError

BLOCKS, THREADS = 3, 64


def numbers() -> Tensor:
    return torch.arange(BLOCKS * THREADS, dtype=torch.int32)


def result_of(host: HostLibrary, kernel: str, order: int) -> Tensor:
    result = numbers()
    host("shim", kernel, result, BLOCKS, THREADS, order)
    return result


@pytest.mark.parametrize("order", ORDERS)
def test_barriers_and_shared_memory(host: HostLibrary, order: int) -> None:
    expected = numbers().view(BLOCKS, THREADS).flip(1).flatten()
    assert result_of(host, "reverse", order).equal(expected)


@pytest.mark.parametrize("order", ORDERS)
def test_a_missing_barrier_shows(host: HostLibrary, order: int) -> None:
    expected = numbers().view(BLOCKS, THREADS).flip(1).flatten()
    assert not result_of(host, "reverse without a barrier", order).equal(expected)


@pytest.mark.parametrize("order", ORDERS)
def test_lanes_exchange_values(host: HostLibrary, order: int) -> None:
    sums = numbers().view(-1, 32).sum(1, dtype=torch.int32).repeat_interleave(32)
    assert result_of(host, "sum of warp", order).equal(sums)
    assert not result_of(host, "sum of half a warp", order).equal(sums)


@pytest.mark.parametrize("order", ORDERS)
def test_a_lane_that_does_not_come_is_an_error(host: HostLibrary, order: int) -> None:
    with pytest.raises(KernelError, match="31 lanes of warp 0 wait in lane_xor"):
        result_of(host, "lonely lane", order)


@pytest.mark.parametrize("order", ORDERS)
def test_waiting_for_ever_is_an_error(host: HostLibrary, order: int) -> None:
    with pytest.raises(KernelError, match="block \\(0, 0, 0\\): 32 threads wait at the barrier"):
        result_of(host, "half at the barrier", order)


def test_an_incomplete_warp_is_an_error(host: HostLibrary) -> None:
    with pytest.raises(KernelError, match="whole warps"):
        host("shim", "reverse", numbers(), 1, 48, 0)


def test_copies_arrive_when_they_are_waited_for(host: HostLibrary) -> None:
    values = torch.arange(4 * BLOCKS * THREADS, dtype=torch.int32)
    copied, early = values.clone(), values.clone()
    host("shim", "copy", copied, BLOCKS, THREADS, 0)
    host("shim", "copy without waiting", early, BLOCKS, THREADS, 0)
    assert copied.equal(values + 1)
    assert (early == 0).all()  # what was read has all bits set


def test_what_has_not_arrived_is_no_number(host: HostLibrary) -> None:
    assert (result_of(host, "round poison", 0) == 1).all()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("misaligned copy", "not aligned"),
        ("write beyond", "shared memory is too small"),
        ("too much", "no GPU has 240000 bytes"),
        ("go apart", "lanes of a warp meet in (wait_for_warp|lane_xor) and"),
    ],
)
def test_what_a_gpu_refuses_is_an_error(host: HostLibrary, kernel: str, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        result_of(host, kernel, 0)


def test_numbers_are_rounded_as_pytorch_does(host: HostLibrary) -> None:
    random = torch.randn(BLOCKS * THREADS) * 2.0 ** torch.arange(-40, 56).repeat_interleave(2)
    random[:6] = torch.tensor([0.0, -0.0, 65519.0, 65520.0, 2.0**-25, torch.inf])
    result = random.view(torch.int32).clone()
    host("shim", "narrow", result, BLOCKS, THREADS, 0)
    found = result.view(torch.int16).view(-1, 2)
    assert found[:, 0].equal(random.half().view(torch.int16))
    assert found[:, 1].equal(random.bfloat16().view(torch.int16))
