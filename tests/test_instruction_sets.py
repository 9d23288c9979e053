"""The CPU kernels of every instruction set that this processor has, not only of the best."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastcaps.ops import library
from tests.subprocesses import run_python

pytestmark = pytest.mark.skipif(library.LOAD_ERROR is not None, reason=str(library.LOAD_ERROR))

ACCURACY = """
import itertools
import sys

import torch

from fastcaps import reference, routed_capsules

assert torch.ops.fastcaps.instruction_set() == sys.argv[1]
torch.manual_seed(0)
SHAPES = [
    (1, 37, 8, 5, 16),
    (5, 40, 3, 4, 8),
    (17, 70, 8, 10, 16),
    (37, 21, 4, 3, 20),
    (9, 1, 1, 1, 1),
    (67, 70, 8, 3, 32),
    (80, 37, 4, 2, 16),
    (65, 9, 16, 2, 48),
]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 1e-2, torch.float16: 1e-2}
for shape, over, extra, dtype in itertools.product(
    SHAPES, ("outputs", "inputs"), (False, True), TOLERANCE
):
    B, I, K, J, D = shape
    sizes = {"u": (B, I, K), "weight": (I, K, J, D)}
    if extra:
        sizes |= {"bias": (J, D), "prior": (I, J)}
    values = {name: (torch.randn(size) * 0.5).to(dtype) for name, size in sizes.items()}
    grad = torch.randn(B, J, D).to(dtype)

    def run(function, to, **options):
        leaves = {name: x.to(to).requires_grad_() for name, x in values.items()}
        v = function(**leaves, softmax_over=over, **options)
        grads = torch.autograd.grad(v, list(leaves.values()), grad.to(to))
        return {"v": v, **dict(zip(leaves, grads))}

    actual = run(routed_capsules, dtype, backend="cpu")
    expected = run(reference.routed_capsules, torch.float64)
    for name, want in expected.items():
        error = (actual[name].double() - want).norm() / want.norm().clamp(min=1e-2)
        assert error <= TOLERANCE[dtype], (name, shape, over, extra, dtype, error.item())
"""

LARGE_BATCH_ERROR = """
import torch

from fastcaps import reference, routed_capsules

torch.manual_seed(0)
u, weight = torch.randn(96, 200, 8), torch.randn(200, 8, 4, 32) * 0.3
error = 0.0
for iterations in (1, 3):
    want = reference.routed_capsules(u.double(), weight.double(), iterations=iterations)
    actual = routed_capsules(u, weight, iterations=iterations, backend="cpu")
    error = max(error, ((actual.double() - want).norm() / want.norm()).item())
print(error)
"""

NAME = "import torch, fastcaps; print(torch.ops.fastcaps.instruction_set())"


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "amx"])
def test_every_instruction_set_agrees_with_the_reference(isa: str, tmp_path: Path) -> None:
    try:
        run_python(NAME, folder=tmp_path, FASTCAPS_CPU_ISA=isa)
    except AssertionError as error:
        if "this processor goes up to" in str(error):
            pytest.skip(f"this processor has no {isa}")
        raise
    run_python(ACCURACY, isa, folder=tmp_path, FASTCAPS_CPU_ISA=isa)


def test_the_best_instruction_set_keeps_the_accuracy_of_float32(tmp_path: Path) -> None:
    """Its matrix products are of bfloat16."""
    errors = [
        float(run_python(LARGE_BATCH_ERROR, folder=tmp_path, FASTCAPS_CPU_ISA=isa))
        for isa in ("portable", "")
    ]
    assert errors[1] <= max(2 * errors[0], 3e-7)


def test_an_unknown_instruction_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="expected portable, avx2, avx512 or amx, got sse9"):
        run_python(NAME, folder=tmp_path, FASTCAPS_CPU_ISA="sse9")
