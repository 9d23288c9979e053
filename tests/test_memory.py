"""Memory: what is kept for the backward pass, what a call takes on the way, and poisoning."""

from __future__ import annotations

import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from fastcaps.ops import library
from tests.comparing import DTYPES, Shape, Tensors, call, capsules, predictions, require
from tests.subprocesses import run_python

MIB = 1 << 20
SAVED_PART = 0.03
"""What may be kept for the backward pass beyond the inputs, as a part of u_hat."""
WORKSPACE_PART = 0.05
LEAST_WORKSPACE = 64 * MIB
"""What a call may take on the way: this part of u_hat or these bytes, whichever is more."""
ALLOCATOR_SLACK = 4 * MIB

AU96: Shape = (16, 1152, 8, 12, 32)
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])


@pytest.mark.usefixtures("poisoned_memory")
def test_new_memory_is_poisoned(device: torch.device) -> None:
    like = torch.ones(3, device=device)
    for fresh in (torch.empty(3, device=device), like.new_empty(3), torch.empty_like(like)):
        assert fresh.isnan().all()


def saved_bytes(operator: str, backend: str, inputs: Tensors, **options: Any) -> int:
    """The bytes kept for the backward pass in other storages than those of the inputs."""
    kept: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    with saved_tensors_hooks(note, lambda x: x):
        result = call(operator, backend)(**leaves, **options)
    for x in (*leaves.values(), result):
        kept.pop(x.untyped_storage().data_ptr(), None)
    return sum(kept.values())


@SOFTMAX_OVER
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operator", ["routed_capsules", "dynamic_routing"])
def test_little_is_kept_for_the_backward_pass(
    backend: str, device: torch.device, operator: str, dtype: torch.dtype, softmax_over: str
) -> None:
    if backend == "reference":
        pytest.skip("the reference stores the prediction vectors")
    require(backend, operator, device, dtype)
    make = {"routed_capsules": capsules, "dynamic_routing": predictions}[operator]
    shape = (2, *AU96[1:])
    inputs = make(shape, bias=True, prior=True, dtype=dtype, device=device)
    batch, n_in, _, n_out, out_dim = shape
    u_hat = batch * n_in * n_out * out_dim * dtype.itemsize
    kept = saved_bytes(operator, backend, inputs, softmax_over=softmax_over)
    assert 0 < kept <= SAVED_PART * u_hat


def test_nothing_is_kept_of_squash_but_its_input(backend: str, device: torch.device) -> None:
    if backend == "reference":
        pytest.skip("autograd keeps what it needs")
    require(backend, "squash", device, torch.float32)
    assert saved_bytes("squash", backend, {"s": torch.ones(100, 8, device=device)}) == 0


PEAK_SCRIPT = """
import sys
import torch
import fastcaps

*shape, softmax_over, backward = sys.argv[1:]
batch, n_in, in_dim, n_out, out_dim = map(int, shape)
torch.set_num_threads(2)

def kilobytes(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":"))

def run(batch, u, weight):
    v = fastcaps.routed_capsules(u, weight, softmax_over=softmax_over, backend="cpu")
    if backward == "backward":
        v.sum().backward()

needs = backward == "backward"
small = [torch.randn(2, 3, 4, requires_grad=needs), torch.randn(3, 4, 2, 5, requires_grad=needs)]
run(2, *small)
u = torch.randn(batch, n_in, in_dim)
weight = torch.randn(n_in, in_dim, n_out, out_dim).mul_(0.1)
u.requires_grad_(needs)
weight.requires_grad_(needs)
before = kilobytes("VmRSS")
run(batch, u, weight)
print((kilobytes("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(library.LOAD_ERROR is not None, reason=f"no extension: {library.LOAD_ERROR}")
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
@pytest.mark.parametrize(
    ("shape", "softmax_over", "passes"),
    [
        ((128, 1024, 4, 32, 32), "outputs", "forward"),
        ((128, 1024, 4, 32, 32), "outputs", "backward"),
        ((128, 1024, 4, 32, 32), "inputs", "backward"),
        ((2, 65536, 2, 32, 32), "outputs", "backward"),
        ((512, 1024, 8, 4, 128), "outputs", "backward"),
        ((512, 1024, 8, 4, 128), "inputs", "backward"),
    ],
    ids=str,
)
def test_peak_memory_of_a_wide_layer(
    tmp_path: Path, shape: Shape, softmax_over: str, passes: str
) -> None:
    batch, n_in, in_dim, n_out, out_dim = shape
    u_hat = batch * n_in * n_out * out_dim * 4
    assert u_hat >= 512 * MIB
    gradients = 4 * (batch * n_in * in_dim + prod(shape[1:])) if passes == "backward" else 0
    arguments = (*map(str, shape), softmax_over, passes)
    extra = int(run_python(PEAK_SCRIPT, *arguments, folder=tmp_path))
    workspace = max(LEAST_WORKSPACE, WORKSPACE_PART * u_hat)
    print(f"extra peak memory {extra / MIB:.0f} MiB, gradients {gradients / MIB:.0f} MiB of it")
    assert extra <= gradients + workspace + ALLOCATOR_SLACK
