"""The capsule modules: shapes, order of capsules, initialisation, bad arguments, torch's tools."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from fastcaps import CapsuleLinear, PrimaryCapsules, reference
from fastcaps.backends import BackendError

SIZES = {"in_capsules": 6, "in_dim": 3, "out_capsules": 4, "out_dim": 5}


def linear(**options: Any) -> CapsuleLinear:
    torch.manual_seed(0)
    return CapsuleLinear(**{**SIZES, **options})


def input_capsules(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, SIZES["in_capsules"], SIZES["in_dim"], generator=generator)


def test_primary_capsules_keep_the_channels_of_a_capsule_together() -> None:
    layer = PrimaryCapsules(2, capsules=3, dim=4, kernel_size=3, stride=2, padding=1)
    x = torch.randn(2, 2, 7, 9)
    maps = layer.conv(x)
    _, _, height, width = maps.shape
    v = layer(x)
    assert v.shape == (2, 3 * height * width, 4)
    for capsule, y, x_position in ((0, 0, 0), (1, 2, 3), (2, height - 1, width - 1)):
        s = maps[:, capsule * 4 : capsule * 4 + 4, y, x_position]
        torch.testing.assert_close(
            v[:, (capsule * height + y) * width + x_position], reference.squash(s)
        )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 2, "dilation": 3, "bias": False},
    ],
)
def test_primary_capsules_tell_their_number(options: dict[str, Any]) -> None:
    layer = PrimaryCapsules(1, capsules=2, dim=3, **options)
    assert layer.output_capsules(11, 8) == layer(torch.zeros(1, 1, 11, 8)).shape[1]


def test_primary_capsules_refuse_an_input_smaller_than_the_kernel() -> None:
    layer = PrimaryCapsules(1, 2, 3, kernel_size=3)
    with pytest.raises(ValueError, match=r"^height, width: expected .* got 2 x 9$"):
        layer.output_capsules(2, 9)
    with pytest.raises(ValueError, match=r"^x: expected .* kernel \(3, 3\), got 2 x 9$"):
        layer(torch.zeros(1, 1, 2, 9))
    assert layer.output_capsules(3, 3) == layer(torch.zeros(1, 1, 3, 3)).shape[1] == 2
    wide = PrimaryCapsules(1, 2, 3, kernel_size=2, dilation=3, padding=1)
    assert wide.output_capsules(2, 2) == wide(torch.zeros(1, 1, 2, 2)).shape[1] == 2
    with pytest.raises(ValueError, match=r"^x: expected .* got 1 x 2$"):
        wide(torch.zeros(1, 1, 1, 2))


@pytest.mark.parametrize(("value", "error"), [(2.5, TypeError), (0, ValueError)])
def test_primary_capsules_tell_the_number_for_whole_pixels_only(
    value: Any, error: type[Exception]
) -> None:
    layer = PrimaryCapsules(1, 2, 3, kernel_size=3)
    with pytest.raises(error, match=r"^height: expected"):
        layer.output_capsules(value, 9)
    with pytest.raises(error, match=r"^width: expected"):
        layer.output_capsules(9, value)


@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
@pytest.mark.parametrize("parameters", [{}, {"bias": True, "prior": True}])
@pytest.mark.parametrize("detach_routing", [False, True])
def test_linear_is_the_reference(
    softmax_over: str, parameters: dict[str, bool], detach_routing: bool
) -> None:
    layer = linear(
        iterations=2, softmax_over=softmax_over, detach_routing=detach_routing, **parameters
    )
    for parameter in (layer.bias, layer.prior):
        if parameter is not None:
            nn.init.normal_(parameter)
    u = input_capsules()
    options = {
        "iterations": 2,
        "softmax_over": softmax_over,
        "bias": layer.bias,
        "prior": layer.prior,
    }
    expected = reference.routed_capsules(u, layer.weight, detach_routing=detach_routing, **options)
    torch.testing.assert_close(layer(u), expected)
    c = layer.coupling_coefficients(u)
    torch.testing.assert_close(c, reference.coupling_coefficients(u, layer.weight, **options))
    assert not c.requires_grad


@pytest.mark.parametrize(("softmax_over", "smallest"), [("outputs", 0.3), ("inputs", 0.05)])
@pytest.mark.parametrize(
    "sizes",
    [(1152, 8, 10, 16), (1152, 8, 12, 32), (32, 8, 10, 16), (256, 8, 100, 16), (3, 4, 1, 2)],
)
def test_initial_sums_are_neither_tiny_nor_saturated(
    softmax_over: str, smallest: float, sizes: tuple[int, int, int, int]
) -> None:
    torch.manual_seed(0)
    layer = CapsuleLinear(*sizes, softmax_over=softmax_over)
    u = nn.functional.normalize(torch.randn(4, *sizes[:2]), dim=-1) / 2
    lengths = layer(u).norm(dim=-1)
    sums = (lengths / (1 - lengths)).sqrt()
    assert smallest < sums.square().mean().sqrt() < 1


@pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
def test_the_initialisation_trains(softmax_over: str) -> None:
    torch.manual_seed(0)
    u = nn.functional.normalize(torch.randn(32, 20, 8), dim=-1) * 0.3
    wanted = torch.eye(4)[torch.arange(32) % 4]
    layer = CapsuleLinear(20, 8, 4, 8, softmax_over=softmax_over, backend="reference")
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(60):
        loss = (layer(u).norm(dim=-1) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    predicted = layer(u).norm(dim=-1).argmax(1)
    assert (predicted == wanted.argmax(1)).float().mean() > 0.9


def test_reset_parameters_starts_afresh() -> None:
    layer = linear(bias=True, prior=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(7)
    torch.manual_seed(0)
    layer.reset_parameters()
    torch.testing.assert_close(layer.state_dict(), linear(bias=True, prior=True).state_dict())


def test_state_dict_pickle_and_deepcopy_keep_the_result() -> None:
    layer = linear(bias=True, prior=True, softmax_over="inputs")
    u = input_capsules()
    loaded = linear(bias=True, prior=True, softmax_over="inputs")
    loaded.reset_parameters()
    loaded.load_state_dict(layer.state_dict())
    for other in (loaded, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(other(u), layer(u), rtol=0, atol=0)
    assert set(layer.state_dict()) == {"weight", "bias", "prior"}
    assert set(linear().state_dict()) == {"weight"}


def test_dtype_and_device_reach_every_parameter(device: torch.device) -> None:
    layer = linear(bias=True, prior=True, dtype=torch.float64, device=device)
    primary = PrimaryCapsules(1, 2, 3, 2, dtype=torch.float64, device=device)
    for parameter in (*layer.parameters(), *primary.parameters()):
        assert (parameter.dtype, parameter.device.type) == (torch.float64, device.type)
    moved = layer.to(torch.float32)
    assert moved(input_capsules().to(device)).dtype == torch.float32


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_batch_of_any_size(batch: int) -> None:
    assert linear()(input_capsules(batch)).shape == (batch, 4, 5)
    assert PrimaryCapsules(1, 2, 3, 2)(torch.zeros(batch, 1, 4, 4)).shape == (batch, 18, 3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    primary = PrimaryCapsules(1, 2, 3, 3, stride=2)
    return nn.Sequential(primary, CapsuleLinear(primary.output_capsules(7, 7), 3, 4, 5, bias=True))


def test_compiles_without_graph_breaks() -> None:
    model = network()
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 1, 7, 7, requires_grad=True)
    torch.testing.assert_close(compiled(x), model(x))
    (actual,) = torch.autograd.grad(compiled(x).sum(), x)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(actual, expected)


def test_exports_for_any_batch() -> None:
    model = network()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (torch.randn(2, 1, 7, 7),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, 1, 7, 7)
    torch.testing.assert_close(exported.module()(x), model(x))


def test_autocast_runs_in_its_dtype() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network()(torch.randn(2, 1, 7, 7)).dtype == torch.bfloat16


def test_repr_shows_sizes_and_changed_options() -> None:
    assert repr(linear()) == (
        "CapsuleLinear(in_capsules=6, in_dim=3, out_capsules=4, out_dim=5, iterations=3, "
        "softmax_over='outputs')"
    )
    assert repr(linear(bias=True, detach_routing=True, backend="reference")).endswith(
        "softmax_over='outputs', bias=True, detach_routing=True, backend='reference')"
    )
    assert "capsules=2, dim=3, backend='reference'" in repr(
        PrimaryCapsules(1, 2, 3, 2, backend="reference")
    )


@pytest.mark.parametrize("name", [*SIZES, "iterations"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_linear_refuses_bad_sizes(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{name}: expected "):
        linear(**{name: value})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"softmax_over": "both"}, ValueError, r"^softmax_over: expected .* got 'both'"),
        ({"bias": torch.zeros(4, 5)}, TypeError, "^bias: expected a bool, got Tensor"),
        ({"prior": 1}, TypeError, "^prior: expected a bool, got int"),
        ({"detach_routing": None}, TypeError, "^detach_routing: expected a bool, got NoneType"),
        ({"backend": "quick"}, ValueError, "^backend: expected one of .* got 'quick'"),
    ],
)
def test_linear_refuses_bad_options(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        linear(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"in_channels": 0}, ValueError, "^in_channels: expected at least 1, got 0"),
        ({"capsules": 1.5}, TypeError, "^capsules: expected an int, got float"),
        ({"dim": -1}, ValueError, "^dim: expected at least 1, got -1"),
        ({"kernel_size": 0}, ValueError, "^kernel_size: expected at least 1, got 0"),
        ({"kernel_size": (3, 3, 3)}, TypeError, "^kernel_size: expected an int or a pair"),
        ({"stride": (1, 0)}, ValueError, r"^stride: expected at least 1, got \(1, 0\)"),
        ({"padding": -1}, ValueError, "^padding: expected at least 0, got -1"),
        ({"padding": "some"}, ValueError, "padding.*'some'"),
        ({"dilation": "2"}, TypeError, "^dilation: expected an int or a pair of ints, got '2'"),
        ({"bias": 0}, TypeError, "^bias: expected a bool, got int"),
        ({"backend": "quick"}, ValueError, "^backend: expected one of .* got 'quick'"),
    ],
)
def test_primary_capsules_refuse_bad_options(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PrimaryCapsules(**{"in_channels": 1, "capsules": 2, "dim": 3, "kernel_size": 3, **options})


@pytest.mark.parametrize(
    ("u", "error", "message"),
    [
        (torch.zeros(2, 6, 4), ValueError, r"^u: expected shape \[B, 6, 3\].* got \[2, 6, 4\]"),
        (torch.zeros(6, 3), ValueError, r"^u: expected shape \[B, 6, 3\].* got \[6, 3\]"),
        (torch.zeros(2, 6, 3, dtype=torch.int64), TypeError, "^u: expected one of .*int64"),
        ([1.0], TypeError, r"^u: expected a torch.Tensor, got list"),
    ],
)
def test_linear_refuses_bad_inputs(u: Any, error: type[Exception], message: str) -> None:
    for method in (linear(), linear().coupling_coefficients):
        with pytest.raises(error, match=message):
            method(u)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(2, 3, 5, 5), ValueError, r"^x: expected shape \[B, 1, H, W\].* got \[2, 3, 5"),
        (torch.zeros(1, 5, 5), ValueError, r"^x: expected shape \[B, 1, H, W\].* got \[1, 5, 5\]"),
        (None, TypeError, "^x: expected a torch.Tensor, got NoneType"),
        (torch.zeros(2, 1, 5, 5).int(), TypeError, "^x: expected one of .* got torch.int32"),
        (torch.zeros(2, 1, 5, 5).double(), TypeError, "^x: expected torch.float32 like the layer"),
        (torch.zeros(2, 1, 5, 5, device="meta"), ValueError, "^x: expected device cpu like the"),
    ],
)
def test_primary_capsules_refuse_bad_inputs(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PrimaryCapsules(1, 2, 3, 3)(x)


def test_a_named_backend_that_cannot_run_says_so() -> None:
    with pytest.raises(BackendError, match="backend 'cuda' cannot run routed_capsules"):
        linear(backend="cuda")(input_capsules())
