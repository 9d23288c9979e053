"""Bad input: every error names the argument, what was expected and what was given."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastcaps
from tests.comparing import capsules, predictions

SHAPE = (2, 5, 3, 4, 6)
FUSED = ("routed_capsules", "coupling_coefficients")
ROUTING = (*FUSED, "dynamic_routing")
ANY_SIZE = "with named sizes >= 1 (B may be 0)"


def good_arguments(function: str) -> dict[str, Any]:
    """Arguments that ``function`` accepts."""
    match function:
        case "squash":
            return {"s": torch.ones(2, 3)}
        case "prediction_vectors":
            return dict(capsules(SHAPE))
        case "dynamic_routing":
            return dict(predictions(SHAPE, bias=True, prior=True))
    return dict(capsules(SHAPE, bias=True, prior=True))


def refuse(function: str, error: type[Exception], message: str, **bad: Any) -> None:
    """Assert that ``function`` raises exactly ``error`` with this message."""
    with pytest.raises(error, match=f"^{re.escape(message)}$") as raised:
        getattr(fastcaps, function)(**(good_arguments(function) | bad))
    assert raised.type is error


@pytest.mark.parametrize("function", ["squash", "prediction_vectors", "dynamic_routing", *FUSED])
def test_good_arguments_are_accepted(function: str) -> None:
    assert getattr(fastcaps, function)(**good_arguments(function)).isfinite().all()


TENSOR_ARGUMENTS = (
    ("squash", "s"),
    ("prediction_vectors", "u"),
    ("prediction_vectors", "weight"),
    ("dynamic_routing", "u_hat"),
    *((function, name) for function in FUSED for name in ("u", "weight")),
    *((function, name) for function in ROUTING for name in ("bias", "prior")),
)


@pytest.mark.parametrize(("function", "name"), TENSOR_ARGUMENTS)
def test_not_a_tensor(function: str, name: str) -> None:
    for value, given in (([[1.0]], "list"), (2, "int"), ("u", "str")):
        refuse(
            function, TypeError, f"{name}: expected a torch.Tensor, got {given}", **{name: value}
        )


@pytest.mark.parametrize(
    "dtype",
    [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn],
    ids=str,
)
@pytest.mark.parametrize(("function", "name"), TENSOR_ARGUMENTS)
def test_unsupported_dtype(function: str, name: str, dtype: torch.dtype) -> None:
    value = good_arguments(function)[name].to(dtype)
    known = "torch.float32, torch.float64, torch.float16, torch.bfloat16"
    message = f"{name}: expected one of {known}, got {dtype}"
    refuse(function, TypeError, message, **{name: value})


@pytest.mark.parametrize(("function", "name"), TENSOR_ARGUMENTS)
def test_not_dense(function: str, name: str) -> None:
    value = good_arguments(function)[name].to_sparse()
    message = f"{name}: expected a dense tensor, torch.strided, got torch.sparse_coo"
    refuse(function, TypeError, message, **{name: value})


MATCHED_ARGUMENTS = (
    ("prediction_vectors", "weight", "u"),
    ("dynamic_routing", "bias", "u_hat"),
    ("dynamic_routing", "prior", "u_hat"),
    *((function, name, "u") for function in FUSED for name in ("weight", "bias", "prior")),
)


@pytest.mark.parametrize(("function", "name", "like"), MATCHED_ARGUMENTS)
def test_mixed_dtypes(function: str, name: str, like: str) -> None:
    value = good_arguments(function)[name]
    message = f"{name}: expected torch.float32 like {like}, got torch."
    refuse(function, TypeError, f"{message}float64", **{name: value.double()})
    refuse(function, TypeError, f"{message}bfloat16", **{name: value.bfloat16()})


@pytest.mark.parametrize(("function", "name", "like"), MATCHED_ARGUMENTS)
def test_mixed_devices(function: str, name: str, like: str) -> None:
    value = good_arguments(function)[name].to("meta")
    message = f"{name}: expected device cpu like {like}, got meta"
    refuse(function, ValueError, message, **{name: value})


def refuse_shape(function: str, name: str, expected: str, value: Tensor) -> None:
    """Assert that ``function`` refuses the shape of ``value``."""
    message = f"{name}: expected shape [{expected}] {ANY_SIZE}, got {list(value.shape)}"
    refuse(function, ValueError, message, **{name: value})


@pytest.mark.parametrize("function", ["prediction_vectors", *FUSED])
@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (1, 2, 5, 3), (2, 0, 3), (2, 5, 0)])
def test_shape_of_u(function: str, shape: tuple[int, ...]) -> None:
    refuse_shape(function, "u", "B, N_in, D_in", torch.ones(shape))


@pytest.mark.parametrize("function", ["prediction_vectors", *FUSED])
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (15, 24),
        (5, 3, 4),
        (1, 5, 3, 4, 6),
        (4, 3, 4, 6),
        (5, 4, 4, 6),
        (5, 3, 0, 6),
        (5, 3, 4, 0),
        (1, 3, 4, 6),
    ],
)
def test_shape_of_weight(function: str, shape: tuple[int, ...]) -> None:
    refuse_shape(function, "weight", "5, 3, N_out, D_out", torch.ones(shape))


@pytest.mark.parametrize(
    "shape", [(), (5, 4, 6), (1, 2, 5, 4, 6), (2, 0, 4, 6), (2, 5, 0, 6), (2, 5, 4, 0)]
)
def test_shape_of_u_hat(shape: tuple[int, ...]) -> None:
    refuse_shape("dynamic_routing", "u_hat", "B, N_in, N_out, D_out", torch.ones(shape))


@pytest.mark.parametrize("function", ROUTING)
@pytest.mark.parametrize("shape", [(), (4,), (6, 4), (1, 4, 6), (4, 1), (1, 1), (4, 0)])
def test_shape_of_bias(function: str, shape: tuple[int, ...]) -> None:
    refuse_shape(function, "bias", "4, 6", torch.ones(shape))


@pytest.mark.parametrize("function", ROUTING)
@pytest.mark.parametrize("shape", [(), (4,), (4, 5), (1, 5, 4), (2, 5, 4), (5, 1), (0, 4)])
def test_shape_of_prior(function: str, shape: tuple[int, ...]) -> None:
    refuse_shape(function, "prior", "5, 4", torch.ones(shape))


@pytest.mark.parametrize("function", ROUTING)
def test_iterations(function: str) -> None:
    for value in (0, -1):
        refuse(
            function,
            ValueError,
            f"iterations: expected at least 1, got {value}",
            iterations=value,
        )
    for value in (2**31, 2**63):
        message = f"iterations: expected at most 2147483647, got {value}"
        refuse(function, ValueError, message, iterations=value)
    cases: tuple[tuple[object, str], ...] = (
        (3.0, "float"),
        (True, "bool"),
        ("3", "str"),
        (None, "NoneType"),
        (float("nan"), "float"),
        (float("inf"), "float"),
    )
    for given, kind in cases:
        refuse(
            function,
            TypeError,
            f"iterations: expected an int, got {kind}",
            iterations=given,
        )


@pytest.mark.parametrize("function", ROUTING)
@pytest.mark.parametrize("value", ["output", "", "Inputs", None, 1, True, ["inputs"]])
def test_softmax_over(function: str, value: object) -> None:
    message = f'softmax_over: expected "outputs" or "inputs", got {value!r}'
    refuse(function, ValueError, message, softmax_over=value)


@pytest.mark.parametrize("function", ["routed_capsules", "dynamic_routing"])
@pytest.mark.parametrize(("value", "given"), [(1, "int"), (None, "NoneType"), ("no", "str")])
def test_detach_routing(function: str, value: object, given: str) -> None:
    message = f"detach_routing: expected a bool, got {given}"
    refuse(function, TypeError, message, detach_routing=value)


@pytest.mark.parametrize("dim", [2, -3, 100])
def test_dim_of_squash(dim: int) -> None:
    message = f"dim: expected a dimension of s [2, 3], got {dim}"
    refuse("squash", ValueError, message, dim=dim)


@pytest.mark.parametrize(
    ("dim", "given"), [(1.0, "float"), ("x", "str"), (None, "NoneType"), (True, "bool")]
)
def test_dim_of_squash_is_an_int(dim: object, given: str) -> None:
    refuse("squash", TypeError, f"dim: expected an int, got {given}", dim=dim)


def test_softmax_over_an_array() -> None:
    value = np.array(["outputs", "inputs"])
    message = f'softmax_over: expected "outputs" or "inputs", got {value!r}'
    refuse("routed_capsules", ValueError, message, softmax_over=value)


def test_squash_of_a_number() -> None:
    message = "dim: expected a dimension of s [], got -1"
    refuse("squash", ValueError, message, s=torch.tensor(1.0))


@pytest.mark.parametrize("function", ["squash", "prediction_vectors", "dynamic_routing", *FUSED])
@pytest.mark.parametrize("value", ["gpu", "", "CPU", 0, ["cpu"]])
def test_unknown_backend(function: str, value: object) -> None:
    message = f"backend: expected one of cuda, triton, cpu, reference or None, got {value!r}"
    refuse(function, ValueError, message, backend=value)


@pytest.mark.parametrize("function", ROUTING)
def test_options_are_given_by_name(function: str) -> None:
    arguments = good_arguments(function)
    tensors = [arguments[name] for name in ("u", "weight", "u_hat") if name in arguments]
    call: Callable[..., Tensor] = getattr(fastcaps, function)
    with pytest.raises(TypeError, match="positional"):
        call(*tensors, 3)


@pytest.mark.parametrize("function", ["prediction_vectors", *FUSED])
def test_the_first_of_several_mistakes_is_reported(function: str) -> None:
    """A bad u is not blamed on the weight that fits it."""
    arguments = good_arguments(function) | {"u": torch.ones(5, 3)}
    with pytest.raises(ValueError, match=r"^u: expected shape \[B, N_in, D_in\]"):
        getattr(fastcaps, function)(**arguments)
