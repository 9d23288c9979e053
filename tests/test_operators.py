"""The operators inside PyTorch: opcheck, compile, export, autocast, vmap and the other transforms.

The compiled backends meet PyTorch through their schemas, fakes, gradients and batching rules;
what holds there must hold on the reference too, except for opcheck, which is about schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd.forward_ad import UnpackedDualTensor, dual_level, make_dual, unpack_dual
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vjp, vmap
from torch.library import opcheck

import fastcaps
from fastcaps.ops import library
from tests.comparing import (
    HALF_TYPES,
    Shape,
    Tensors,
    assert_close,
    call,
    capsules,
    gradient_of,
    incoming_gradient,
    predictions,
    random_tensor,
    require,
)

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SHAPE: Shape = (3, 5, 4, 3, 2)
OPERATORS = ("squash", "prediction_vectors", "dynamic_routing", "routed_capsules")
ALL_OPERATORS = (
    *OPERATORS,
    *(f"{operator}_backward" for operator in OPERATORS),
    "coupling_coefficients",
)
SOFTMAX_OVER = pytest.mark.parametrize("softmax_over", ["outputs", "inputs"])


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Forgets compiled code, so that no test counts on another's."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def inputs_of(operator: str, shape: Shape, **kind: Any) -> Tensors:
    """All tensors that ``operator`` takes, by name."""
    match operator:
        case "squash":
            return {"s": predictions(shape, **kind)["u_hat"]}
        case "prediction_vectors":
            return capsules(shape, **kind)
        case "dynamic_routing":
            return predictions(shape, bias=True, prior=True, **kind)
    return capsules(shape, bias=True, prior=True, **kind)


# opcheck ---------------------------------------------------------------------------------------


def routing_arguments(operator: str, **kind: Any) -> Iterator[tuple[Any, ...]]:
    """Arguments of the operator itself: plain and full, over outputs and over inputs."""
    for over_inputs, full in ((False, False), (True, False), (False, True), (True, True)):
        make = predictions if operator == "dynamic_routing" else capsules
        tensors = make(SHAPE, bias=full, prior=full, **kind)
        bias, prior = tensors.pop("bias", None), tensors.pop("prior", None)
        yield (*tensors.values(), bias, prior, 3, over_inputs)


def opcheck_arguments(name: str, **kind: Any) -> Iterator[tuple[Any, ...]]:
    """Sample arguments for every operator of the library."""
    capsule = capsules(SHAPE, **kind)
    u, weight = capsule["u"], capsule["weight"]
    match name:
        case "squash":
            yield (u,)
            yield (u.transpose(0, 2),)
        case "squash_backward":
            yield torch.ones_like(u), u
        case "prediction_vectors":
            yield u, weight, False
            yield u.transpose(0, 1).contiguous().transpose(0, 1), weight, True
        case "prediction_vectors_backward":
            u_hat = torch.ops.fastcaps.prediction_vectors(u, weight, False)
            for need_u, need_weight in ((True, True), (True, False), (False, True)):
                yield torch.ones_like(u_hat), u, weight, False, need_u, need_weight
        case "coupling_coefficients":
            for arguments in routing_arguments(name, **kind):
                yield (*arguments, False)
        case "dynamic_routing" | "routed_capsules":
            allow_tf32 = (False,) if name == "routed_capsules" else ()
            for arguments in routing_arguments(name, **kind):
                for detach in (False, True):
                    yield (*arguments, detach, *allow_tf32)
        case _:
            operator = name.removesuffix("_backward")
            all_needs = ((True, True), (True, False), (False, True))
            for arguments in opcheck_arguments(operator, **kind):
                v, s, log_sum_exp = getattr(torch.ops.fastcaps, operator)(*arguments)
                count = sum(x is None or isinstance(x, Tensor) for x in arguments)
                saved, options = (*arguments[:count], s, log_sum_exp), arguments[count:]
                for needs in all_needs if operator == "routed_capsules" else ((),):
                    yield (torch.ones_like(v), *saved, *options, *needs)


def require_compiled(name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Skip the test where the compiled operator cannot run."""
    backend = "cuda" if device.type == "cuda" else "cpu"
    _, _, in_dim, outputs, out_dim = SHAPE
    sizes = {"D_in": in_dim, "N_out": outputs, "D_out": out_dim}
    require(backend, name.removesuffix("_backward"), device, dtype, **sizes)


@pytest.mark.parametrize("name", ALL_OPERATORS)
def test_opcheck(device: torch.device, name: str) -> None:
    require_compiled(name, device, torch.float32)
    operator = getattr(torch.ops.fastcaps, name).default
    for arguments in opcheck_arguments(name, device=device):
        opcheck(operator, arguments)
        if name in OPERATORS:
            leaves = tuple(
                x.detach().clone().requires_grad_() if isinstance(x, Tensor) else x
                for x in arguments
            )
            opcheck(operator, leaves)


@pytest.mark.parametrize("dtype", [torch.float64, *HALF_TYPES], ids=str)
@pytest.mark.parametrize("name", ALL_OPERATORS)
def test_fakes_of_other_dtypes(device: torch.device, name: str, dtype: torch.dtype) -> None:
    require_compiled(name, device, dtype)
    operator = getattr(torch.ops.fastcaps, name).default
    for arguments in opcheck_arguments(name, device=device, dtype=dtype):
        opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.skipif(library.LOAD_ERROR is not None, reason=f"no extension: {library.LOAD_ERROR}")
def test_every_operator_of_the_library_is_checked() -> None:
    registered = {
        schema.name.removeprefix("fastcaps::")
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("fastcaps::")
        and any(isinstance(argument.type, torch.TensorType) for argument in schema.arguments)
    }
    assert registered == set(ALL_OPERATORS)


@pytest.mark.parametrize("operator", ["dynamic_routing", "routed_capsules"])
def test_only_the_first_result_has_a_gradient(device: torch.device, operator: str) -> None:
    """The others are what the backward pass needs, not results to build on."""
    require_compiled(operator, device, torch.float32)
    for arguments in opcheck_arguments(operator, device=device):
        first, *rest = arguments
        leaf = first.clone().requires_grad_()
        v, s, log_sum_exp = getattr(torch.ops.fastcaps, operator)(leaf, *rest)
        assert v.requires_grad
        assert not s.requires_grad
        assert not log_sum_exp.requires_grad


# Second derivatives ----------------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS)
def test_second_derivatives_are_refused_with_a_way_out(
    backend: str, device: torch.device, operator: str
) -> None:
    require(backend, operator, device, torch.float32)
    inputs = {
        name: x.requires_grad_() for name, x in inputs_of(operator, SHAPE, device=device).items()
    }
    result = call(operator, backend)(**inputs)
    first = next(iter(inputs.values()))
    (gradient,) = torch.autograd.grad(result.sum(), first, create_graph=True)
    if backend == "reference":
        (second,) = torch.autograd.grad(gradient.sum(), first, allow_unused=True)
        assert second is None or second.isfinite().all()
    else:
        with pytest.raises(RuntimeError, match=rf'fastcaps::{operator}.*backend="reference"'):
            gradient.sum().backward()


# Forward mode ----------------------------------------------------------------------------------


def dual_of(operator: str, inputs: Tensors, backend: str) -> UnpackedDualTensor:
    """Result and tangent of ``operator``, all of its inputs their own tangents."""
    with dual_level():
        duals = {name: make_dual(x, x.detach()) for name, x in inputs.items()}
        return unpack_dual(call(operator, backend)(**duals))


@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_forward_mode_is_refused_with_a_way_out(
    backend: str, device: torch.device, operator: str, needs_gradient: bool
) -> None:
    """Operators without a rule for it drop tangents without a word."""
    require(backend, operator, device, torch.float32)
    inputs = {
        name: x.requires_grad_(needs_gradient)
        for name, x in inputs_of(operator, SHAPE, device=device).items()
    }
    if backend == "reference":
        assert dual_of(operator, inputs, backend).tangent.abs().max() > 0
        return
    refused = pytest.raises(RuntimeError, match=rf'fastcaps::{operator}.*backend="reference"')
    with refused:
        dual_of(operator, inputs, backend)

    layer = Layer(operator, backend, "outputs")
    with refused:
        jvp(layer, (inputs,), (inputs,))
    with refused:
        jacfwd(layer)(inputs)

    def energy(tensors: Tensors) -> Tensor:
        result: Tensor = layer(tensors)
        return result.sum()

    with pytest.raises(NotImplementedError, match="forward mode"):  # in PyTorch's words
        jvp(grad(energy), (inputs,), (inputs,))


@pytest.mark.parametrize("operator", OPERATORS)
def test_forward_mode_of_an_incoming_gradient_is_refused(
    backend: str, device: torch.device, operator: str
) -> None:
    require(backend, operator, device, torch.float32)
    inputs = inputs_of(operator, SHAPE, device=device)
    layer = Layer(operator, backend, "outputs")
    result, pull = layer(inputs), vjp(layer, inputs)[1]
    if backend == "reference":
        tangents = jvp(pull, (result,), (result,))[1][0]
        assert any(x.abs().max() > 0 for x in tangents.values())
    else:
        with pytest.raises(RuntimeError, match=rf'fastcaps::{operator}.*backend="reference"'):
            jvp(pull, (result,), (result,))


def test_forward_mode_is_refused_when_compiled(
    backend: str, device: torch.device, fresh_compiler: None
) -> None:
    inputs = inputs_of("routed_capsules", SHAPE, device=device)
    layer = Layer("routed_capsules", backend, "outputs")

    @torch.compile(fullgraph=True, backend="aot_eager")
    def tangent(tensors: Tensors) -> Tensor:
        result: Tensor = jvp(layer, (tensors,), (tensors,))[1]
        return result

    if backend == "reference":
        assert tangent(inputs).abs().max() > 0
    else:
        with pytest.raises(RuntimeError, match=r'fastcaps::routed_capsules.*backend="reference"'):
            tangent(inputs)


# compile and export ----------------------------------------------------------------------------


class Layer(nn.Module):
    """A capsule layer with arithmetic around it, all differentiable."""

    def __init__(self, operator: str, backend: str, softmax_over: str) -> None:
        super().__init__()
        self.function = call(operator, backend)
        routed = operator in ("dynamic_routing", "routed_capsules")
        self.options = {"softmax_over": softmax_over} if routed else {}

    def forward(self, tensors: Tensors) -> Tensor:
        scaled = {name: x * 1.5 for name, x in tensors.items()}
        result: Tensor = self.function(**scaled, **self.options)
        return result.square().sum(-1)


def run_layer(function: Callable[[Tensors], Tensor], inputs: Tensors) -> Tensors:
    """The result of ``function`` and the gradient of every input, by name."""
    leaves = {name: x.detach().clone().requires_grad_() for name, x in inputs.items()}
    result = function(leaves)
    gradients = torch.autograd.grad(
        result, tuple(leaves.values()), incoming_gradient(result, result.dtype)
    )
    return {"result": result.detach()} | {
        gradient_of(name): g for name, g in zip(leaves, gradients, strict=True)
    }


def assert_all_close(actual: Tensors, expected: Tensors, tolerance: float = 1e-5) -> None:
    """All tensors are close, with a floor for gradients that cancel."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(name, actual[name], value, tolerance, floor=1e-3)


@pytest.mark.parametrize("operator", OPERATORS)
@SOFTMAX_OVER
def test_compile_without_graph_breaks(
    backend: str, device: torch.device, operator: str, softmax_over: str, fresh_compiler: None
) -> None:
    require(backend, operator, device, torch.float32)
    layer = Layer(operator, backend, softmax_over)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    inputs = inputs_of(operator, SHAPE, device=device)
    assert_all_close(run_layer(compiled, inputs), run_layer(layer, inputs))


@SOFTMAX_OVER
def test_compile_once_for_every_size(
    backend: str, device: torch.device, softmax_over: str, fresh_compiler: None
) -> None:
    layer = Layer("routed_capsules", backend, softmax_over)
    graphs = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=graphs)
    # Sizes that are equal by chance in the first call would count as always equal.
    for shape in ((6, 5, 4, 3, 2), (17, 6, 8, 4, 5), (9, 70, 3, 2, 16)):
        inputs = inputs_of("routed_capsules", shape, device=device)
        assert_all_close(run_layer(compiled, inputs), run_layer(layer, inputs))
    assert graphs.frame_count == 1


def test_compile_with_inductor(backend: str, device: torch.device, fresh_compiler: None) -> None:
    layer = Layer("routed_capsules", backend, "outputs")
    compiled = torch.compile(layer, fullgraph=True)
    inputs = inputs_of("routed_capsules", SHAPE, device=device)
    assert_all_close(run_layer(compiled, inputs), run_layer(layer, inputs))


def test_compile_in_inference_mode(
    backend: str, device: torch.device, fresh_compiler: None
) -> None:
    inputs = inputs_of("coupling_coefficients", SHAPE, device=device)
    function = call("coupling_coefficients", backend)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        assert_close("c", compiled(**inputs), function(**inputs), 1e-6)


@pytest.mark.parametrize("operator", OPERATORS)
def test_export_with_any_batch(backend: str, device: torch.device, operator: str) -> None:
    require(backend, operator, device, torch.float32)
    layer = Layer(operator, backend, "outputs")
    inputs = inputs_of(operator, SHAPE, device=device)
    batched = next(iter(inputs))
    sizes = {
        name: {0: torch.export.Dim("batch", min=2)} if name == batched else None for name in inputs
    }
    exported = torch.export.export(layer, (inputs,), dynamic_shapes=(sizes,)).module()
    for batch in (3, 2, 19):
        resized = inputs | {
            batched: inputs_of(operator, (batch, *SHAPE[1:]), device=device)[batched]
        }
        assert_close("result", exported(resized), layer(resized), 1e-5)


# autocast --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("operator", ["prediction_vectors", "dynamic_routing", "routed_capsules"])
def test_autocast_computes_in_its_dtype(
    backend: str, device: torch.device, operator: str, dtype: torch.dtype
) -> None:
    require(backend, operator, device, dtype)
    inputs = inputs_of(operator, SHAPE, device=device)
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    function = call(operator, backend)
    with torch.autocast(device.type, dtype=dtype):
        result = function(**leaves)
    assert result.dtype == dtype
    rounded = {name: x.detach().to(dtype).requires_grad_() for name, x in inputs.items()}
    expected = function(**rounded)
    assert torch.equal(result, expected)
    torch.autograd.backward([result, expected], [torch.ones_like(result)] * 2)
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        assert leaf.grad.dtype == torch.float32
        assert_close(gradient_of(name), leaf.grad, rounded[name].grad.float(), 1e-6, floor=1e-6)


def test_autocast_unites_dtypes_and_leaves_float64_alone(
    backend: str, device: torch.device
) -> None:
    inputs = inputs_of("routed_capsules", SHAPE, device=device)
    mixed = inputs | {"u": inputs["u"].bfloat16()}
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert fastcaps.routed_capsules(**mixed, backend=backend).dtype == torch.bfloat16
    with pytest.raises(TypeError, match=r"weight: expected torch\.bfloat16 like u"):
        fastcaps.routed_capsules(**mixed, backend=backend)
    require(backend, "routed_capsules", device, torch.float64)
    exact = {name: x.double() for name, x in inputs.items()}
    with torch.autocast(device.type, dtype=torch.bfloat16):
        v = fastcaps.routed_capsules(**exact, backend=backend)
    assert v.dtype == torch.float64


# torch.func ------------------------------------------------------------------------------------


def one_by_one(
    function: Callable[..., Tensor], arguments: tuple[Tensor, ...], in_dims: tuple[int | None, ...]
) -> Tensor:
    """What ``vmap(function, in_dims)(*arguments)`` must give."""
    dim, batched = next((d, x) for d, x in zip(in_dims, arguments, strict=True) if d is not None)
    return torch.stack(
        [
            function(
                *(
                    x if d is None else x.select(d, sample)
                    for x, d in zip(arguments, in_dims, strict=True)
                )
            )
            for sample in range(batched.shape[dim])
        ]
    )


@SOFTMAX_OVER
@pytest.mark.parametrize(
    "in_dims",
    [
        (0, None, None, None),
        (2, None, None, None),
        (None, 1, None, None),
        (0, 0, 0, 0),
        (3, 2, 1, 0),
        (None, None, 0, None),
        (0, None, None, 1),
    ],
    ids=str,
)
def test_vmap_of_routed_capsules(
    backend: str, device: torch.device, in_dims: tuple[int | None, ...], softmax_over: str
) -> None:
    plain = inputs_of("routed_capsules", SHAPE, device=device)
    arguments = tuple(
        x if dim is None else torch.stack([x, x * 0.5, x * -1.5, x * 2], dim)
        for x, dim in zip(plain.values(), in_dims, strict=True)
    )

    def route(u: Tensor, weight: Tensor, bias: Tensor, prior: Tensor) -> Tensor:
        options = {"bias": bias, "prior": prior, "softmax_over": softmax_over}
        return call("routed_capsules", backend)(u, weight, **options)

    actual = vmap(route, in_dims)(*arguments)
    assert_close("v", actual, one_by_one(route, arguments, in_dims), 1e-5)


@pytest.mark.parametrize("operator", [*OPERATORS, "coupling_coefficients"])
def test_vmap_of_every_operator(backend: str, device: torch.device, operator: str) -> None:
    require(backend, operator, device, torch.float32)
    inputs = inputs_of(operator, SHAPE, device=device)
    names = tuple(inputs)

    def function(*tensors: Tensor) -> Tensor:
        return call(operator, backend)(**dict(zip(names, tensors, strict=True)))

    for chosen in ({0}, set(range(len(names)))):
        in_dims = tuple(1 if place in chosen else None for place in range(len(names)))
        arguments = tuple(
            x if dim is None else torch.stack([x, x * 0.5, x * -1.5], dim)
            for x, dim in zip(inputs.values(), in_dims, strict=True)
        )
        actual = vmap(function, in_dims)(*arguments)
        assert_close("result", actual, one_by_one(function, arguments, in_dims), 1e-5)


@pytest.mark.parametrize("operator", [*OPERATORS, "coupling_coefficients"])
@pytest.mark.parametrize(("samples", "batch"), [(0, 3), (2, 0)])
def test_vmap_of_nothing(
    backend: str, device: torch.device, operator: str, samples: int, batch: int
) -> None:
    require(backend, operator, device, torch.float32)
    inputs = inputs_of(operator, (batch, *SHAPE[1:]), device=device)
    names = tuple(inputs)

    def function(*tensors: Tensor) -> Tensor:
        return call(operator, backend)(**dict(zip(names, tensors, strict=True)))

    expected = (samples, *function(*inputs.values()).shape)
    for chosen in ({0}, {len(names) - 1}, set(range(len(names)))):
        in_dims = tuple(1 if place in chosen else None for place in range(len(names)))
        arguments = tuple(
            x if dim is None else x.unsqueeze(dim).expand(x.shape[0], samples, *x.shape[1:])
            for x, dim in zip(inputs.values(), in_dims, strict=True)
        )
        assert vmap(function, in_dims)(*arguments).shape == expected


@pytest.mark.parametrize("operator", OPERATORS)
def test_func_grad_is_the_gradient(backend: str, device: torch.device, operator: str) -> None:
    require(backend, operator, device, torch.float32)
    inputs = inputs_of(operator, SHAPE, device=device)
    layer = Layer(operator, backend, "outputs")

    def loss(tensors: Tensors) -> Tensor:
        result: Tensor = layer(tensors)
        return (result * incoming_gradient(result, result.dtype)).sum()

    actual = {gradient_of(name): g for name, g in grad(loss)(inputs).items()}
    expected = run_layer(layer, inputs)
    del expected["result"]
    assert_all_close(actual, expected)
    pull = vjp(layer, inputs)[1]
    (pulled,) = pull(incoming_gradient(layer(inputs), torch.float32))
    assert_all_close({gradient_of(name): g for name, g in pulled.items()}, expected)


@SOFTMAX_OVER
def test_jacobian(backend: str, device: torch.device, softmax_over: str) -> None:
    inputs = inputs_of("routed_capsules", (2, 3, 2, 2, 2), device=device)

    def route(on: str) -> Callable[[Tensors], Tensor]:
        function = call("routed_capsules", on)
        return lambda tensors: function(**tensors, softmax_over=softmax_over)

    actual = jacrev(route(backend))(inputs)
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    v = route("reference")(leaves)
    rows = [torch.autograd.grad(x, list(leaves.values()), retain_graph=True) for x in v.flatten()]
    for name, gradients in zip(leaves, zip(*rows, strict=True), strict=True):
        expected = torch.stack(gradients).reshape(*v.shape, *leaves[name].shape)
        assert_close(f"jacobian of {name}", actual[name], expected, 1e-4)


@pytest.mark.parametrize("operator", OPERATORS)
def test_gradients_per_sample(backend: str, device: torch.device, operator: str) -> None:
    require(backend, operator, device, torch.float32)
    inputs = inputs_of(operator, SHAPE, device=device)
    names = tuple(inputs)

    def loss(*tensors: Tensor) -> Tensor:
        sample, *parameters = tensors
        named = dict(zip(names, (sample.unsqueeze(0), *parameters), strict=True))
        return call(operator, backend)(**named).square().sum()

    places = tuple(range(len(names)))
    in_dims = (0, *(None for _ in places[1:]))
    actual = vmap(grad(loss, places), in_dims)(*inputs.values())
    for sample, x in enumerate(next(iter(inputs.values()))):
        expected = grad(loss, places)(x, *tuple(inputs.values())[1:])
        for name, of_all, of_one in zip(names, actual, expected, strict=True):
            assert_close(
                f"sample {sample}, {gradient_of(name)}", of_all[sample], of_one, 1e-5, 1e-3
            )


def test_an_ensemble_of_layers(backend: str, device: torch.device) -> None:
    """vmap over the parameters of several modules, as torch.func.stack_module_state gives them."""

    class Capsules(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            weight = random_tensor(5, 4, 3, 2, seed=seed, device=device)
            self.weight = nn.Parameter(weight)

        def forward(self, u: Tensor) -> Tensor:
            return fastcaps.routed_capsules(u, self.weight, backend=backend)

    models = [Capsules(seed) for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(models)
    u = random_tensor(2, 5, 4, seed=9, device=device)

    def run(parameters: Tensors, buffers: Tensors) -> Tensor:
        v: Tensor = functional_call(models[0], (parameters, buffers), (u,))
        return v

    actual = vmap(run)(parameters, buffers)
    assert_close("v", actual, torch.stack([model(u) for model in models]), 1e-5)


def test_saved_tensors_of_another_call_are_refused() -> None:
    u, weight, grad = torch.randn(9, 5, 4), torch.randn(5, 4, 3, 2), torch.randn(9, 3, 2)
    options = (3, True, False, False)
    _, s, log_sum_exp = torch.ops.fastcaps.routed_capsules(u, weight, None, None, *options)
    backward = torch.ops.fastcaps.routed_capsules_backward
    for bad_s, bad_log_sum_exp in (
        (s, torch.empty(0)),
        (s.double(), log_sum_exp),
        (s[1:], log_sum_exp),
    ):
        with pytest.raises(RuntimeError, match=r"log_sum_exp|has the wrong shape"):
            backward(grad, u, weight, None, None, bad_s, bad_log_sum_exp, *options, True, True)


def test_many_iterations_fit_on_the_stack() -> None:
    u = torch.randn(8, 1, 1, requires_grad=True)
    v = fastcaps.routed_capsules(u, torch.randn(1, 1, 1, 1), iterations=100_000, backend="cpu")
    v.sum().backward()
    assert u.grad is not None
    assert u.grad.isfinite().all()
