"""The fused layer of any sizes by the CUDA kernels, run on the host, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastcaps import reference
from tests.comparing import CANCELLATION, assert_close, random_tensor
from tests.cuda_host.calls import OVER
from tests.cuda_host.library import ORDERS, STORAGE, HostLibrary

SHAPES = (
    (1, 1, 1, 1, 1),
    (3, 7, 3, 2, 5),
    (70, 5, 6, 13, 3),
    (2, 3, 70, 2, 20),
    (18, 40, 8, 3, 16),
    (5, 2, 130, 1, 70),
)
"""B, I, K, J, D."""
TOLERANCES = {
    torch.float32: 1e-5,
    torch.float64: 1e-13,
    torch.float16: torch.finfo(torch.float16).eps,
    torch.bfloat16: torch.finfo(torch.bfloat16).eps,
}
OPTIONS = pytest.mark.parametrize("options", [False, True], ids=["plain", "bias and prior"])
SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


class Layer:
    """A layer's tensors, and calls of the kernels on them.

    Attributes:
        given: u, weight and perhaps bias and prior.
        v, s, log_sum_exp: what the last call of :meth:`route` wrote.
    """

    def __init__(
        self,
        host: HostLibrary,
        shape: tuple[int, ...],
        *,
        options: bool = True,
        dtype: torch.dtype = torch.float32,
        over_inputs: bool = False,
        iterations: int = 3,
        part: int | None = None,
        slice_inputs: int = 4,
    ) -> None:
        batch, inputs, in_dim, outputs, dim = shape
        self.host = host
        self.shape = shape
        self.over_inputs = over_inputs
        self.iterations = iterations
        self.part = part or batch
        self.slice_inputs = slice_inputs
        self.dtype = dtype
        tensors = {
            "u": random_tensor(batch, inputs, in_dim, seed=1),
            "weight": random_tensor(inputs, in_dim, outputs, dim, seed=2, scale=in_dim**-0.5),
        }
        if options:
            tensors["bias"] = random_tensor(outputs, dim, seed=3)
            tensors["prior"] = random_tensor(inputs, outputs, seed=4)
        self.given = {name: x.to(dtype) for name, x in tensors.items()}
        self.grad = random_tensor(batch, outputs, dim, seed=5).to(dtype)

    def route(self, order: int = 0) -> Tensor:
        """Runs all iterations; the result is ``v``."""
        batch, inputs, _, outputs, dim = self.shape
        self.v = torch.full((batch, outputs, dim), torch.nan, dtype=self.dtype)
        self.s = self.empty(self.iterations, batch, outputs, dim)
        self.log_sum_exp = self.empty(self.iterations, batch, outputs, 2)
        workspace = (
            self.empty(self.part, outputs, dim),
            self.empty(inputs, outputs, self.part),
            self.partial(),
        )
        results = (self.v, self.s, self.log_sum_exp)
        switches = (self.iterations, int(self.over_inputs), self.part, self.slice_inputs, order)
        self.host("any_sizes_route", *self.inputs(), *results, *workspace, *self.sizes(), *switches)
        return self.v

    def gradients(self, *, detached: bool = False, order: int = 0) -> dict[str, Tensor]:
        """Those of ``grad`` after :meth:`route`, by name."""
        self.route()
        given = self.given
        batch, inputs, _, outputs, dim = self.shape
        vectors = (self.iterations, batch, outputs, dim)
        first = self.iterations - 1 if detached else 0
        kept = self.iterations - max(first, int("prior" not in given))
        pairs = (kept, inputs, outputs, self.part)
        grad_s = self.empty(*vectors)
        names = ["u", "weight"] + ["prior"] * ("prior" in given and not detached)
        result = {name: torch.full_like(given[name], torch.nan) for name in names}
        workspace = (
            self.empty(*vectors),
            self.sums(result["weight"]),
            self.sums(result.get("prior")),
            self.empty(self.part, outputs, dim),
            self.empty(*pairs),
            None if detached else self.empty(*pairs),
            self.partial(),
        )
        self.host(
            "any_sizes_route_backward",
            *(self.grad, *self.inputs(), self.s, grad_s),
            *(result["u"], result["weight"], result.get("prior")),
            *workspace,
            *self.sizes(),
            *(self.iterations, int(self.over_inputs), int(detached)),
            *(self.part, self.slice_inputs, order),
        )
        if "bias" in given:
            result["bias"] = grad_s[first:].sum((0, 1))
        return result

    def expected(self, *, detached: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """``v`` and the gradients by the reference, in float64."""
        leaves = {name: x.double() for name, x in self.given.items()}
        wanted = [name for name in leaves if not (detached and name == "prior")]
        for name in wanted:
            leaves[name].requires_grad_()
        v = reference.routed_capsules(
            **leaves,
            iterations=self.iterations,
            softmax_over="inputs" if self.over_inputs else "outputs",
            detach_routing=detached,
        )
        found = torch.autograd.grad(v, [leaves[name] for name in wanted], self.grad.double())
        return v.detach(), dict(zip(wanted, found, strict=True))

    def assert_agrees(self) -> None:
        """The result and every gradient are those of the reference."""
        v, _ = self.expected()
        assert_close("v", self.route(), v, TOLERANCES[self.dtype])
        assert not self.s.isnan().any()
        self.assert_gradients()

    def assert_gradients(self, *, detached: bool = False) -> None:
        """Every gradient is that of the reference."""
        result = self.gradients(detached=detached)
        _, expected = self.expected(detached=detached)
        assert result.keys() == expected.keys()
        floor = CANCELLATION * self.grad.double().norm().item()
        tolerance = 10 * TOLERANCES[self.dtype]
        for name, value in expected.items():
            assert_close(f"gradient of {name}", result[name], value, tolerance, floor)

    def inputs(self) -> tuple[Tensor | None, ...]:
        return tuple(self.given.get(name) for name in ("u", "weight", "bias", "prior"))

    def sizes(self) -> tuple[Tensor, int]:
        return torch.tensor(self.shape), STORAGE[self.dtype]

    def sums(self, gradient: Tensor | None) -> Tensor | None:
        """Where a gradient is added up over parts of the batch."""
        if gradient is None or self.part == self.shape[0]:
            return None
        return gradient if gradient.itemsize > 2 else self.empty(*gradient.shape)

    def empty(self, *sizes: int) -> Tensor:
        computed_in = torch.promote_types(self.dtype, torch.float32)
        return torch.full(sizes, torch.nan, dtype=computed_in)

    def partial(self) -> Tensor:
        _, inputs, _, outputs, dim = self.shape
        return self.empty(-(-inputs // self.slice_inputs), self.part, outputs, dim)


@OVER
@OPTIONS
@pytest.mark.parametrize("iterations", [1, 3])
@SHAPE
def test_agrees_with_the_reference(
    host: HostLibrary,
    shape: tuple[int, ...],
    iterations: int,
    options: bool,
    over_inputs: bool,
) -> None:
    Layer(
        host, shape, options=options, iterations=iterations, over_inputs=over_inputs
    ).assert_agrees()


@OVER
@pytest.mark.parametrize("dtype", [x for x in TOLERANCES if x != torch.float32], ids=str)
@SHAPE
def test_other_dtypes(
    host: HostLibrary, shape: tuple[int, ...], dtype: torch.dtype, over_inputs: bool
) -> None:
    Layer(host, shape, dtype=dtype, over_inputs=over_inputs).assert_agrees()


@OVER
@SHAPE
def test_detached_gradients(host: HostLibrary, shape: tuple[int, ...], over_inputs: bool) -> None:
    Layer(host, shape, over_inputs=over_inputs).assert_gradients(detached=True)


@OPTIONS
def test_log_sum_exp_is_of_the_logits(host: HostLibrary, options: bool) -> None:
    layer = Layer(host, (5, 9, 3, 4, 6), options=options, dtype=torch.float64, over_inputs=True)
    layer.route()
    u_hat = reference.prediction_vectors(layer.given["u"], layer.given["weight"])
    prior, bias = layer.given.get("prior", torch.zeros(9, 4)), layer.given.get("bias", 0)
    agreement = torch.zeros_like(layer.v)
    for s, log_sum_exp in zip(layer.s, layer.log_sum_exp, strict=True):
        logits = prior + torch.einsum("bijd,bjd->bij", u_hat, agreement)
        assert_close("log_sum_exp", log_sum_exp.sum(-1), logits.logsumexp(1), 1e-13)
        agreement = agreement + reference.squash(s + bias)


@OVER
@pytest.mark.parametrize("part", [1, 4, 7])
@pytest.mark.parametrize("slice_inputs", [1, 5, 40])
def test_any_parts_and_slices(
    host: HostLibrary, over_inputs: bool, slice_inputs: int, part: int
) -> None:
    shape = (9, 11, 5, 3, 7)
    layer = Layer(host, shape, over_inputs=over_inputs, part=part, slice_inputs=slice_inputs)
    layer.assert_agrees()
    layer.assert_gradients(detached=True)


@OVER
def test_the_order_of_threads_does_not_matter(host: HostLibrary, over_inputs: bool) -> None:
    layer = Layer(host, (18, 23, 5, 3, 20), over_inputs=over_inputs, slice_inputs=8)
    v, gradients = layer.route(), layer.gradients()
    for order in ORDERS[1:]:
        assert layer.route(order).equal(v)
        for name, value in layer.gradients(order=order).items():
            assert gradients[name].equal(value), name


@OVER
def test_nan_stays_in_its_sample(host: HostLibrary, over_inputs: bool) -> None:
    layer = Layer(host, (40, 5, 6, 3, 16), over_inputs=over_inputs)
    whole, clean = layer.route(), layer.gradients()["u"]
    layer.given["u"][7, 2, 3] = torch.nan
    v, grad_u = layer.route(), layer.gradients()["u"]
    assert v[7].isnan().all()
    assert grad_u[7].isnan().any()
    v[7], grad_u[7] = whole[7], clean[7]
    assert v.equal(whole)
    assert grad_u.equal(clean)


@OVER
def test_an_output_that_takes_all_has_no_gradient_of_its_own(
    host: HostLibrary, over_inputs: bool
) -> None:
    layer = Layer(host, (3, 1, 5, 1, 7), over_inputs=over_inputs)
    layer.given["weight"].mul_(1e5)
    layer.assert_gradients()


@OVER
def test_parts_of_half_types_are_rounded_once(host: HostLibrary, over_inputs: bool) -> None:
    """Sums over parts that were rounded each time would be ten times as wrong."""
    layer = Layer(host, (64, 3, 5, 2, 7), dtype=torch.bfloat16, over_inputs=over_inputs, part=1)
    layer.assert_agrees()
    in_parts = layer.gradients()
    layer.part = 64
    for name, value in layer.gradients().items():
        assert_close(name, in_parts[name], value.double(), 1e-3)


@pytest.mark.parametrize(
    ("shape", "over_inputs"),
    [
        ((1, 1, 40_000, 1, 1), False),
        ((1, 2, 10_000, 1, 1), True),
        ((10_000, 1, 1, 1, 1), False),
        ((1, 40_000, 1, 1, 1), True),
    ],
)
def test_long_sums_of_equal_numbers(
    host: HostLibrary, shape: tuple[int, ...], over_inputs: bool
) -> None:
    """Added up one after the other they would be wrong by up to 1e-3: all are rounded one way."""
    layer = Layer(host, shape, over_inputs=over_inputs, slice_inputs=shape[1], iterations=2)
    layer.grad.fill_(0.15)
    for name, numbers in layer.given.items():
        numbers.fill_(0 if name == "bias" else 0.01)
    layer.given["prior"][0] = 1  # so that the softmax over inputs does not add up ones
    layer.given["u"][:, 1:2] *= 1.5  # nor equal agreements
    v, gradients = layer.expected()
    assert_close("v", layer.route(), v, 1e-5)
    found = layer.gradients()
    for name in ("u", "weight"):
        assert_close(name, found[name], gradients[name], 1e-5)


@pytest.mark.parametrize(
    ("shape", "bytes_of_pair", "expected"),
    [
        ((128, 1152, 8, 12, 32), 4, (128, 105, 11)),
        ((128, 1152, 8, 12, 32), 16, (128, 105, 11)),
        ((200, 1152, 8, 12, 32), 24, (200, 231, 5)),
        ((250, 1152, 8, 12, 32), 24, (128, 105, 11)),
        ((1000, 1152, 8, 12, 32), 24, (256, 231, 5)),
        ((128, 2048, 8, 64, 16), 24, (19, 512, 4)),
        ((128, 32768, 8, 100, 16), 16, (22, 16384, 2)),
        ((3, 1 << 20, 1, 64, 1), 4, (1, 1 << 18, 4)),
        ((5, 7, 30000, 2, 9), 4, (5, 1, 7)),
        ((1, 1, 1, 1, 1), 8, (1, 1, 1)),
    ],
)
def test_the_plan(
    host: HostLibrary,
    shape: tuple[int, ...],
    bytes_of_pair: int,
    expected: tuple[int, ...],
) -> None:
    """With 132 multiprocessors and 64 MiB: samples at a time, input capsules of a slice, slices."""
    plan = torch.zeros(3, dtype=torch.int64)
    host("any_sizes_plan", plan, torch.tensor(shape), bytes_of_pair, 4, 132, 64 << 20)
    assert tuple(plan.tolist()) == expected
