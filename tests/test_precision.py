"""PyTorch's settings of float32 products: read once for every call, and given to the operators."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode

import fastcaps
from fastcaps.ops.precision import tf32_is_allowed
from tests.comparing import Tensors, capsules, require
from tests.subprocesses import run_python

pytestmark = pytest.mark.usefixtures("restored_precision")
MULTIPLYING = ("prediction_vectors", "routed_capsules", "coupling_coefficients")
SHAPE = (2, 3, 4, 3, 2)


@pytest.fixture
def inputs(device: torch.device) -> Tensors:
    """A layer, where the Triton kernels run."""
    pytest.importorskip("triton", reason="the Triton kernels need the package triton")
    require("triton", "routed_capsules", device, torch.float32, D_in=4, N_out=3, D_out=2)
    return capsules(SHAPE, device=device)


class Recording(TorchDispatchMode):
    """Keeps what each operator of fastcaps was told of TF32."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, bool] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        names = [argument.name for argument in func._schema.arguments]
        if func.namespace.startswith("fastcaps") and "allow_tf32" in names:
            self.told[func._schema.name.split("::")[1]] = args[names.index("allow_tf32")]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("on_gpus", ["cuda", "triton"])
@pytest.mark.parametrize(
    ("setting", "allowed"), [("highest", False), ("high", True), ("medium", True)]
)
def test_the_older_setting_is_read(setting: str, allowed: bool, on_gpus: str) -> None:
    torch.set_float32_matmul_precision(setting)
    assert tf32_is_allowed(on_gpus) is allowed


@pytest.mark.parametrize(("setting", "allowed"), [("ieee", False), ("tf32", True)])
def test_the_newer_setting_is_read(
    monkeypatch: pytest.MonkeyPatch, setting: str, allowed: bool
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(fp32_precision=setting))
    assert tf32_is_allowed("cuda") is allowed


def test_nothing_is_read_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "matmul", None)
    torch.set_float32_matmul_precision("high")
    assert tf32_is_allowed("cpu") is False


# PyTorch then refuses to tell the older setting, for as long as the process lives.
SETTINGS_FOR_CPUS = """
import torch
from fastcaps.ops.precision import tf32_is_allowed

if hasattr(torch.backends.mkldnn, "matmul"):
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
print(tf32_is_allowed("cuda"), torch.compile(tf32_is_allowed, backend="eager")("triton"))
"""


def test_newer_settings_for_cpus_do_no_harm(tmp_path: Path) -> None:
    assert run_python(SETTINGS_FOR_CPUS, folder=tmp_path).split() == ["False", "False"]


@pytest.mark.parametrize(("setting", "allowed"), [("highest", False), ("high", True)])
@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.parametrize("operator", MULTIPLYING)
def test_operators_are_told(
    inputs: Tensors, operator: str, needs_gradient: bool, setting: str, allowed: bool
) -> None:
    leaves = {name: x.requires_grad_(needs_gradient) for name, x in inputs.items()}
    torch.set_float32_matmul_precision(setting)
    with Recording() as recording:
        getattr(fastcaps, operator)(**leaves, backend="triton")
    assert recording.told == {operator: allowed}


@pytest.mark.parametrize("operator", MULTIPLYING[:2])
def test_gradients_are_as_exact_as_what_they_are_of(inputs: Tensors, operator: str) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    torch.set_float32_matmul_precision("high")
    result: Tensor = getattr(fastcaps, operator)(**leaves, backend="triton")
    torch.set_float32_matmul_precision("highest")
    with Recording() as recording:
        result.sum().backward()
    assert recording.told == {f"{operator}_backward": True}


@pytest.mark.parametrize("operator", MULTIPLYING)
def test_compiled_code_follows_the_setting(inputs: Tensors, operator: str) -> None:
    torch.compiler.reset()
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(getattr(fastcaps, operator), backend=counter, fullgraph=True)
    for setting in ("highest", "high", "high", "highest"):
        torch.set_float32_matmul_precision(setting)
        compiled(**inputs, backend="triton")
    told = [
        node.args[-1]
        for graph in counter.graphs
        for node in graph.graph.nodes
        if node.op == "call_function" and "fastcaps" in str(node.target)
    ]
    assert told == [False, True]
