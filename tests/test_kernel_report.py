"""The Triton kernels' machine code: no spills, tensor cores used, the committed report of today.

Everything runs in processes of their own, since kernels that are interpreted cannot be compiled.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.subprocesses import run_python

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("triton", "typer", "rich")
MISSING = [name for name in NEEDED if find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

IMPORTS = """
import json, sys
sys.path.append(sys.argv[1])
from benchmarks import gpu_roofline, kernel_report
"""

COMPILE = """
found = kernel_report.record(("mnist", "au96"), ("TF32", "bfloat16"))
jobs = kernel_report.quick(found)
entries = kernel_report.compile_all(found, jobs)
codes = [code for entry in entries for code in entry.code.values()]
json.dump({
    "jobs": len(jobs),
    "codes": len(codes),
    "architectures": sorted({name for entry in entries for name in entry.code}),
    "multiplying": sum(code.matrix_products for code in codes),
    "kernels": sorted({entry.variant["kernel"] for entry in entries}),
    "problems": kernel_report.problems(entries),
}, sys.stdout)
"""

COMMITTED = """
version, entries = kernel_report.read()
json.dump({
    "differences": kernel_report.differences(kernel_report.record(), entries),
    "incomplete": [
        entry.variant["kernel"]
        for entry in entries
        if sorted(entry.code) != sorted(entry.uses["architectures"])
    ],
    "problems": kernel_report.problems(entries),
    "page": kernel_report.markdown(version, entries),
}, sys.stdout)
"""

PRODUCTS = """
layers = [
    gpu_roofline.Layer(gpu_roofline.SHAPES["au96"].size, "TF32", over_inputs, gpu_roofline.GPUS[1])
    for over_inputs in (False, True)
]
json.dump([
    {work.kernel: work.tensor / layer.product for work in gpu_roofline.works(layer) if work.tensor}
    for layer in layers
], sys.stdout)
"""

SPILLING = """
entry = kernel_report.Entry(
    {"kernel": "passes.some_kernel", "constants": {"UNIFORM": True}},
    {"shapes": ["au96"], "precisions": ["TF32"], "softmax_over": ["outputs"]},
    {
        "sm_80": kernel_report.Code(255, 16, 4, 0, {"HMMA": 8}, True),
        "sm_90": kernel_report.Code(100, 0, 0, 0, {}, True),
        "sm_100": kernel_report.Code(100, 0, 0, 0, {"UTCHMMA": 2}, True),
    },
)
json.dump(kernel_report.problems([entry]), sys.stdout)
"""


def _run(script: str, folder: Path) -> Any:
    return json.loads(run_python(IMPORTS + script, str(ROOT), folder=folder, TRITON_INTERPRET="0"))


def test_passes_fit_registers_and_use_tensor_cores(tmp_path: Path) -> None:
    """A subset that compiles in about a minute; ``kernel_report.quick`` says which and why."""
    found = _run(COMPILE, tmp_path)
    assert found["problems"] == []
    assert found["jobs"] == found["codes"] == found["multiplying"] > 50
    assert found["architectures"] == ["sm_100", "sm_80", "sm_90"]
    assert {"passes.normalizer_kernel", "passes.weight_gradients_kernel"} <= set(found["kernels"])


def test_committed_report_is_of_todays_kernels(tmp_path: Path) -> None:
    found = _run(COMMITTED, tmp_path)
    assert found["differences"] == [], "run make kernel-report"
    assert found["incomplete"] == []
    assert found["problems"] == []
    page = (ROOT / "benchmarks" / "kernels.md").read_text(encoding="utf-8")
    assert page == found["page"], "run make kernel-report"


def test_committed_roofline_is_of_todays_tiles(tmp_path: Path) -> None:
    page = _run("json.dump(gpu_roofline.page(), sys.stdout)", tmp_path)
    committed = (ROOT / "benchmarks" / "roofline.md").read_text(encoding="utf-8")
    assert committed == page, "run python benchmarks/gpu_roofline.py"


def test_roofline_counts_matrix_products(tmp_path: Path) -> None:
    over_inputs = {
        "uniform_sums": 1,
        "weighted_sums": 2,
        "input_gradients": 2,
        "agreement_gradients": 3,
        "input_gradients, first": 1,
        "weight_gradients": 9,
    }
    over_outputs = over_inputs | {"normalizer": 1, "input_gradients": 3}
    assert _run(PRODUCTS, tmp_path) == [over_outputs, over_inputs]


def test_problems_name_kernel_shape_and_architecture(tmp_path: Path) -> None:
    title = "passes.some_kernel (au96; TF32, softmax over outputs; UNIFORM)"
    spills = "255 registers, 16 bytes of stack, 4 accesses to local memory"
    assert _run(SPILLING, tmp_path) == [
        f"{title} on sm_80: spills: {spills}",
        f"{title} on sm_90: multiplies matrices without a tensor core instruction",
    ]
