"""The Triton kernels by name: interpreted on the CPU, or on the GPU given by ``--device cuda``.

On a GPU the tests of every operator run on this backend too. The interpreter is slow, so here the
sizes are small: a few samples and inputs beside what fits a tile, and every option and dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.library import opcheck

import fastcaps
from fastcaps import reference
from fastcaps.backends import BackendError, choose_backend, why_not
from fastcaps.kernels import tiles
from tests.comparing import (
    HALF_TYPES,
    ROUTING_OPTIONS,
    Shape,
    Tensors,
    assert_agrees,
    assert_close,
    assert_same_bits,
    call,
    capsules,
    evaluate,
    gradient_of,
    option_name,
    predictions,
    random_tensor,
)

pytest.importorskip("triton", reason="the Triton kernels need the package triton")

from fastcaps.kernels.launch import Launcher, aligned
from fastcaps.kernels.plan import Plan
from fastcaps.kernels.precision import EXACT, dot_precision, routing_precision

pytestmark = pytest.mark.usefixtures("poisoned_memory", "triton_runs")

CPU = torch.device("cpu")
FLOATS = (torch.float32, *HALF_TYPES)
# B, N_in, D_in, N_out, D_out: several slices of the inputs; several tiles of samples.
SLICES: Shape = (3, 21, 7, 2, 5)
TILES: Shape = (67, 5, 3, 2, 4)
ODD_SHAPES: tuple[Shape, ...] = (
    (1, 1, 1, 1, 1),
    (2, 17, 1, 3, 16),
    (17, 3, 64, 1, 3),
    (5, 33, 8, 5, 17),
    (1, 9, 12, 2, 33),
    (33, 2, 5, 9, 2),
)
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])
ROUTING = pytest.mark.parametrize("operator", ["routed_capsules", "dynamic_routing"])
OPTIONS = pytest.mark.parametrize("options", ROUTING_OPTIONS, ids=option_name)


@pytest.fixture
def triton_runs(device: torch.device) -> None:
    """Skips where the kernels neither have a GPU nor are interpreted."""
    reason = why_not("triton", "squash", torch.empty(1, device=device))
    if reason is not None:
        pytest.skip(f"triton: {reason}")


def inputs_of(operator: str, shape: Shape, full: bool, **kind: Any) -> Tensors:
    """Arguments of a routing operator, with bias and prior where ``full``."""
    make = predictions if operator == "dynamic_routing" else capsules
    return make(shape, bias=full, prior=full, **kind)


# Agreement with the float64 reference -------------------------------------------------------------


@ROUTING
@pytest.mark.parametrize("full", [False, True], ids=("plain", "bias+prior"))
@OPTIONS
def test_agrees_on_every_option(
    device: torch.device, operator: str, options: dict[str, Any], full: bool
) -> None:
    assert_agrees(operator, "triton", inputs_of(operator, SLICES, full, device=device), **options)


@SOFTMAX_OVER
@pytest.mark.parametrize("detach_routing", [False, True])
def test_agrees_on_several_tiles_of_samples(
    device: torch.device, softmax_over: str, detach_routing: bool
) -> None:
    inputs = capsules(TILES, bias=True, device=device)
    options = {"softmax_over": softmax_over, "detach_routing": detach_routing}
    assert_agrees("routed_capsules", "triton", inputs, **options)


@ROUTING
@SOFTMAX_OVER
@pytest.mark.parametrize("dtype", HALF_TYPES, ids=str)
def test_agrees_in_half_types(
    device: torch.device, operator: str, softmax_over: str, dtype: torch.dtype
) -> None:
    inputs = inputs_of(operator, SLICES, True, dtype=dtype, device=device)
    assert_agrees(operator, "triton", inputs, softmax_over=softmax_over)


@ROUTING
@SOFTMAX_OVER
@pytest.mark.parametrize("shape", ODD_SHAPES, ids=str)
def test_agrees_on_odd_shapes(
    device: torch.device, operator: str, softmax_over: str, shape: Shape
) -> None:
    inputs = inputs_of(operator, shape, True, device=device)
    assert_agrees(operator, "triton", inputs, softmax_over=softmax_over, iterations=2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [SLICES, TILES, *ODD_SHAPES[:4]], ids=str)
def test_squash_and_prediction_vectors_agree(
    device: torch.device, shape: Shape, dtype: torch.dtype
) -> None:
    inputs = capsules(shape, dtype=dtype, device=device)
    assert_agrees("prediction_vectors", "triton", inputs)
    assert_agrees("squash", "triton", {"s": inputs["weight"]})


@SOFTMAX_OVER
@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("full", [False, True], ids=("plain", "bias+prior"))
def test_coupling_coefficients_agree(
    device: torch.device, softmax_over: str, iterations: int, full: bool
) -> None:
    inputs = capsules(SLICES, bias=full, prior=full, device=device)
    options: dict[str, Any] = {"softmax_over": softmax_over, "iterations": iterations}
    c = fastcaps.coupling_coefficients(**inputs, **options, backend="triton")
    exact = {name: x.double() for name, x in inputs.items()}
    assert_close("c", c, reference.coupling_coefficients(**exact, **options), 1e-5)


# Hard numbers -------------------------------------------------------------------------------------


@ROUTING
@SOFTMAX_OVER
def test_agrees_where_coefficients_are_nearly_zero_or_one(
    device: torch.device, operator: str, softmax_over: str
) -> None:
    inputs = inputs_of(operator, SLICES, True, scale=4.0, device=device)
    inputs["prior"] *= 30  # logits of about 100, whose exponentials overflow float32
    assert_agrees(operator, "triton", inputs, softmax_over=softmax_over)


@SOFTMAX_OVER
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e12])
@pytest.mark.parametrize("outputs", [1, 3])
def test_agrees_for_long_predictions(
    device: torch.device, softmax_over: str, scale: float, outputs: int
) -> None:
    """Where one input or output takes all, the terms of the gradients cancel."""
    inputs = capsules((3, 6, 8, outputs, 16), scale=scale, device=device)
    assert_agrees("routed_capsules", "triton", inputs, softmax_over=softmax_over)


@pytest.mark.parametrize("precision", [dot_precision, routing_precision])
def test_tf32_is_taken_where_it_is_allowed(precision: Callable[..., str]) -> None:
    assert precision(torch.float32, allow_tf32=True) == "tf32"
    assert precision(torch.float32, allow_tf32=False) == EXACT
    for dtype in (torch.float16, torch.bfloat16):
        assert precision(dtype, allow_tf32=True) == precision(dtype, allow_tf32=False) != EXACT


@ROUTING
@SOFTMAX_OVER
def test_a_prior_of_minus_infinity_shuts_off_an_input(
    device: torch.device, operator: str, softmax_over: str
) -> None:
    """Also where it shuts off every input of a slice, or all but one output."""
    inputs = inputs_of(operator, SLICES, True, device=device)
    shut = torch.zeros_like(inputs["prior"])
    shut[:, 0] = shut[:8, 1] = float("-inf")
    shut[20, 0] = shut[:, 1] = 0
    options: dict[str, Any] = {"softmax_over": softmax_over}
    v = call(operator, "triton")(**inputs | {"prior": shut}, **options)
    exact = {name: x.double() for name, x in (inputs | {"prior": shut}).items()}
    assert_close("v", v, getattr(reference, operator)(**exact, **options), 1e-5)


@ROUTING
@SOFTMAX_OVER
def test_nan_stays_in_its_sample(device: torch.device, operator: str, softmax_over: str) -> None:
    inputs = inputs_of(operator, SLICES, True, device=device)
    name = next(iter(inputs))
    spoiled = inputs | {name: inputs[name].clone()}
    spoiled[name][1] = float("nan")
    function = call(operator, "triton")
    clean = evaluate(function, inputs, softmax_over=softmax_over)
    actual = evaluate(function, spoiled, softmax_over=softmax_over)
    for part in ("result", gradient_of(name)):
        assert actual[part][1].isnan().all(), part
        assert torch.equal(actual[part][::2], clean[part][::2]), part


@pytest.mark.parametrize("scales", [(0, 1), (1e30, 1), (1, 1e20), (1e-40, 1), (1, 1e-44)], ids=str)
@SOFTMAX_OVER
def test_zero_huge_and_denormal_magnitudes_stay_finite(
    device: torch.device, softmax_over: str, scales: tuple[float, float]
) -> None:
    exact = capsules(SLICES, dtype=torch.float64, device=device)
    pairs = zip(exact.items(), scales, strict=True)
    inputs = {name: (x * scale).float() for (name, x), scale in pairs}
    actual = evaluate(call("routed_capsules", "triton"), inputs, softmax_over=softmax_over)
    for name, value in actual.items():
        assert value.isfinite().all(), name
    assert actual["result"].double().norm(dim=-1).max() < 1.01


# Calls --------------------------------------------------------------------------------------------


@SOFTMAX_OVER
@pytest.mark.parametrize("names", [("u",), ("weight",), ("bias",), ("prior", "bias")], ids=str)
def test_the_gradient_of_some_inputs(
    device: torch.device, softmax_over: str, names: tuple[str, ...]
) -> None:
    inputs = capsules(SLICES, bias=True, prior=True, device=device)
    function = call("routed_capsules", "triton")
    together = evaluate(function, inputs, softmax_over=softmax_over)

    def function_of_some(**leaves: Tensor) -> Tensor:
        return function(**(inputs | leaves), softmax_over=softmax_over)

    some = evaluate(function_of_some, {name: inputs[name] for name in names})
    for name in names:
        # Not the same bits: a kernel compiled for fewer gradients may add up in another order.
        assert_close(name, some[gradient_of(name)], together[gradient_of(name)], 1e-6)


@ROUTING
@SOFTMAX_OVER
def test_same_bits_every_run(device: torch.device, operator: str, softmax_over: str) -> None:
    inputs = inputs_of(operator, SLICES, True, device=device)
    function = call(operator, "triton")
    first = evaluate(function, inputs, softmax_over=softmax_over)
    assert_same_bits(first, evaluate(function, inputs, softmax_over=softmax_over))


def test_strided_and_misaligned_inputs(device: torch.device) -> None:
    u = random_tensor(6, 10, 9, seed=1, device=device)[::2, 1:9, 3:7]  # [3, 8, 4]
    weight = random_tensor(3, 2, 4, 8, seed=2, device=device).permute(3, 2, 1, 0)  # [8, 4, 2, 3]
    shifted = random_tensor(3 * 8 * 4 + 1, seed=1, device=device)[1:].view(3, 8, 4)
    for view in (u, shifted, u[:1].expand(3, 8, 4)):
        assert_agrees("routed_capsules", "triton", {"u": view, "weight": weight})
    assert aligned(shifted).data_ptr() % 16 == 0
    assert torch.equal(aligned(shifted), shifted)


@ROUTING
@SOFTMAX_OVER
def test_an_empty_batch_has_zero_gradients(
    device: torch.device, operator: str, softmax_over: str
) -> None:
    inputs = inputs_of(operator, (0, 5, 3, 4, 2), True, device=device)
    actual = evaluate(call(operator, "triton"), inputs, softmax_over=softmax_over)
    for name, value in actual.items():
        assert (value == 0).all(), name


# PyTorch ------------------------------------------------------------------------------------------


def operator_arguments(device: torch.device) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every operator of the namespace, with sample arguments."""
    namespace = torch.ops.fastcaps_triton
    inputs = capsules((3, 5, 4, 3, 2), bias=True, prior=True, device=device)
    u, weight, bias, prior = inputs.values()
    u_hat = namespace.prediction_vectors(u, weight, False)
    yield "squash", (u,)
    yield "squash_backward", (torch.ones_like(u), u)
    yield "prediction_vectors", (u, weight, False)
    yield "prediction_vectors_backward", (torch.ones_like(u_hat), u, weight, False, True, False)
    yield "coupling_coefficients", (u, weight, bias, prior, 2, False, False)
    for over_inputs in (False, True):
        common = (2, over_inputs, False)
        for operator, tensors, options, needs in (
            ("dynamic_routing", (u_hat, bias, prior), common, ()),
            ("routed_capsules", (u, weight, bias, prior), (*common, False), (True, True)),
        ):
            yield operator, (*tensors, *options)
            v, s, log_sum_exp = getattr(namespace, operator)(*tensors, *options)
            saved = (torch.ones_like(v), *tensors, s, log_sum_exp)
            yield f"{operator}_backward", (*saved, *options, *needs)


def test_opcheck(device: torch.device) -> None:
    for name, arguments in operator_arguments(device):
        operator = getattr(torch.ops.fastcaps_triton, name).default
        opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


@ROUTING
def test_compiles_into_one_graph(device: torch.device, operator: str) -> None:
    inputs = inputs_of(operator, (3, 5, 4, 3, 2), True, device=device)
    eager = evaluate(call(operator, "triton"), inputs)
    compiled = torch.compile(call(operator, "triton"), fullgraph=True, backend="aot_eager")
    for name, value in evaluate(compiled, inputs).items():
        assert_close(name, value, eager[name], 1e-6)


def test_vmap_folds_into_the_batch(device: torch.device) -> None:
    inputs = capsules((6, 5, 4, 3, 2), device=device)
    function: Callable[..., Tensor] = call("routed_capsules", "triton")
    together = function(**inputs)
    stacked = vmap(function, in_dims=(0, None))(inputs["u"].view(2, 3, 5, 4), inputs["weight"])
    assert_close("v", stacked.flatten(0, 1), together, 1e-6)


@SOFTMAX_OVER
def test_gradients_of_every_sample(device: torch.device, softmax_over: str) -> None:
    """vmap over the gradient hands the saved tensors back as strided views."""
    inputs = capsules((3, 5, 4, 3, 4), device=device)

    def energy(weight: Tensor, sample: Tensor, backend: str) -> Tensor:
        v = fastcaps.routed_capsules(
            sample[None], weight, softmax_over=softmax_over, backend=backend
        )
        return v.square().sum()

    every = vmap(grad(energy), in_dims=(None, 0, None))
    actual = every(inputs["weight"], inputs["u"], "triton")
    expected = every(inputs["weight"].double(), inputs["u"].double(), "reference")
    assert_close("gradient of weight", actual, expected, 1e-4)


# Choice, tiles and launches -----------------------------------------------------------------------


def test_other_dtypes_and_sizes_fall_back_or_say_why(device: torch.device) -> None:
    double = torch.empty(1, dtype=torch.float64, device=device)
    with pytest.raises(
        BackendError, match=r"computes in float32, and this tensor is torch.float64"
    ):
        choose_backend("triton", "routed_capsules", double)
    assert choose_backend(None, "routed_capsules", double) != "triton"
    single = torch.empty(1, device=device)
    message = r"got 40 x 100; the nearest that fits has N_out <= 8$"
    with pytest.raises(BackendError, match=message):
        choose_backend("triton", "dynamic_routing", single, N_out=40, D_out=100)
    with pytest.raises(BackendError, match=r"up to 128 numbers, got D_out = 129"):
        choose_backend("triton", "routed_capsules", single, D_in=8, N_out=2, D_out=129)
    with pytest.raises(BackendError, match=r"up to D_in = 64, got D_in = 65"):
        choose_backend("triton", "routed_capsules", single, D_in=65, N_out=2, D_out=8)
    large = torch.ones(2, 3, 65, device=device), torch.ones(3, 65, 2, 4, device=device)
    v = fastcaps.routed_capsules(*large)
    assert_close("v", v, fastcaps.routed_capsules(*large, backend="reference"), 1e-5)


def test_interpreting_is_never_the_automatic_choice() -> None:
    assert choose_backend(None, "squash", torch.empty(1)) != "triton"


KERNELS = (
    "uniform_sums_kernel",
    "normalizer_kernel",
    "weighted_sums_kernel",
    "input_gradients_kernel",
    "agreement_gradients_kernel",
    "weight_gradients_kernel",
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("in_dim", [1, 3, 8, 64])
@pytest.mark.parametrize("batch", [1, 20, 512])
@pytest.mark.parametrize("products", ["half", "tf32", "terms", "exact"])
@pytest.mark.parametrize("capability", [8, 9, 10])
def test_tiles_fit_tensor_cores(
    kernel: str, in_dim: int, batch: int, products: str, capability: int
) -> None:
    for dim in (1, 16, 32, 128):
        tile = tiles.routing_tile(
            kernel, batch, in_dim, dim, products=products, capability=capability
        )
        columns = tile.inputs * tiles.next_power_of_2(in_dim)
        assert tiles.MIN_DOT <= columns <= tiles.ARRANGED_INPUTS
        assert tiles.MIN_DOT <= tile.samples <= max(tiles.MIN_DOT, 2 * batch)


@pytest.mark.parametrize("batch", [1, 128, 512])
@pytest.mark.parametrize("inputs", [1, 9, 1152])
def test_slices_cover_the_inputs_once(batch: int, inputs: int) -> None:
    tile = tiles.RoutingTile(16, 4, 4, 2)
    count, length = tiles.slices(batch, inputs, 10, tile, 132)
    assert length % tile.inputs == 0
    assert (count - 1) * length < inputs <= count * length


@pytest.mark.parametrize("over_inputs", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [(3_000_000, 8, 4, 5, 8), (2, 40_000_000, 1, 3, 8), (2, 4_000_000, 64, 2, 128)],
    ids=str,
)
def test_grids_of_many_samples_and_inputs(sizes: Shape, over_inputs: bool) -> None:
    """Along x a GPU takes 2^31 - 1 programs, along y and z 65535."""
    plan = Plan(CPU, torch.float32, EXACT, *sizes, 3, over_inputs, False, False)
    kernels = ("arrange_kernel", "normalizer_kernel", "coefficients_kernel")
    for name in (*kernels, "input_gradients_kernel"):
        assert plan.by_input(name)[0] < 2**31
        tile = plan.tile(name)
        assert plan.by_input(name)[0] * tile.samples * tile.inputs >= sizes[0] * sizes[1]
    for name in ("weighted_sums_kernel", "agreement_gradients_kernel"):
        (x, y, z), length = plan.by_output(name)
        assert x < 2**31
        assert max(y, z) <= tiles.MAX_GRID
        assert z * length >= sizes[1]
    assert max(plan.by_number("uniform_sums_kernel")[0][1:]) <= tiles.MAX_GRID


@pytest.mark.parametrize("operator", ["routed_capsules", "coupling_coefficients"])
def test_more_outputs_than_a_grid_holds_are_refused(operator: str) -> None:
    u = torch.ones(1, 2, 1)
    assert why_not("triton", operator, u, D_in=1, N_out=65535, D_out=1) is None
    reason = why_not("triton", operator, u, D_in=1, N_out=65536, D_out=1)
    assert reason == "its grids hold up to N_out = 65535, got N_out = 65536"


def test_an_error_of_the_compiler_names_kernel_and_sizes() -> None:
    class Kernel:
        __name__ = "some_kernel"

        def __getitem__(self, grid: Any) -> Any:
            def launch(*args: Any, **constants: Any) -> Any:
                raise MemoryError("out of shared memory")

            return launch

    with pytest.raises(RuntimeError, match=r"some_kernel .*\(2, 1, 1\) .*'D': 8.*out of shared"):
        Launcher(Kernel(), D=8)((2, 1, 1), "tensor")


def test_a_launcher_compiles_once_and_passes_constants_on() -> None:
    """The second launch goes to the compiled kernel, with the arguments in the kernel's order."""
    launches: list[tuple[Any, ...]] = []

    class Compiled:
        def __getitem__(self, grid: Any) -> Any:
            return lambda *args: launches.append(("compiled", grid, args))

    class Kernel:
        arg_names = ("x", "n", "SIZE", "FLAG")

        def __getitem__(self, grid: Any) -> Any:
            def launch(*args: Any, **constants: Any) -> Any:
                launches.append(("first", grid, args, constants))
                return Compiled()

            return launch

    launcher = Launcher(Kernel(), FLAG=True, num_warps=4, SIZE=8)
    launcher((2, 1, 1), "tensor", 5)
    launcher((3, 1, 1), "other", 6)
    assert launches == [
        ("first", (2, 1, 1), ("tensor", 5), {"FLAG": True, "num_warps": 4, "SIZE": 8}),
        ("compiled", (3, 1, 1), ("other", 6, 8, True)),
    ]
